"""Targets of a restore as options give them: `--to`, `--map` and `--state-file`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from peak_observe.cli.options import expanded
from peak_observe.errors import UsageError
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def moved_paths(to: Path | None, given: Iterable[str] | None, state_file: Path | None) -> dict[str, str]:
    """Return old paths with their new ones, after looking at what the other options say of where a restore goes.

    Raises:
        UsageError: Something is no path or no such pair, or they contradict each other.
    """
    moved = {}
    for text in given or ():
        # A name may hold `=`: where there are several, that before an absolute path is meant.
        old, equals, new = text.partition("=/" if text.count("=/") == 1 else "=")
        new = f"/{new}" if equals == "=/" else new
        if not (old and equals and new):
            raise UsageError(f"--map takes OLD=NEW, as /srv/bot=/home/me/bot, not {shown(text)}")
        key = os.path.abspath(expanded("--map", old))  # noqa: PTH100 - links stay, as in the paths of a backup
        if key in moved:
            raise UsageError(f"--map says twice where {key} goes: give it once")
        moved[key] = expanded("--map", new)
    if to is not None and moved:
        raise UsageError("--to puts all into one folder, and --map says where each path goes: give one of them")
    if state_file is not None and str(state_file) == "-":
        raise UsageError("--state-file takes the path of a file; --json prints the state on standard output")
    return moved
