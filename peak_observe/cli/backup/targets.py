"""Targets of a restore as options give them: `--to`, `--map` and `--state-file`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.errors import UsageError
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterable


def places(
    to: Path | None, given: Iterable[str] | None, state_file: Path | None
) -> tuple[Path | None, dict[str, str], Path | None]:
    """Return where a restore is to go to: the folder of its own, old paths with their new ones, the file of the state.

    Raises:
        UsageError: Something is no path or no such pair, or they contradict each other.
    """
    moved = {}
    for text in given or ():
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise UsageError(f"--map takes OLD=NEW, as /srv/bot=/home/me/bot, not {shown(text)}")
        key = os.path.abspath(_expanded("--map", old))  # noqa: PTH100 - links stay, as in the paths of a backup
        if key in moved:
            raise UsageError(f"--map says twice where {key} goes: give it once")
        moved[key] = _expanded("--map", new)
    if to is not None and moved:
        raise UsageError("--to puts all into one folder, and --map says where each path goes: give one of them")
    if state_file is not None and str(state_file) == "-":
        raise UsageError("--state-file takes the path of a file; --json prints the state on standard output")
    folder, file = (path and Path(_expanded(name, str(path))) for name, path in _named(to, state_file))
    return folder, moved, file


def _named(to: Path | None, state_file: Path | None) -> tuple[tuple[str, Path | None], ...]:
    return ("--to", to), ("--state-file", state_file)


def _expanded(option: str, path: str) -> str:
    """Return a path with the home folder for a `~`, which a shell does not see behind an equals sign.

    Raises:
        UsageError: There is no such user.
    """
    found = os.path.expanduser(path)  # noqa: PTH111 - a slash at the end stays
    if path.startswith("~") and found == path:
        raise UsageError(f"{option}: {shown(path)} begins with the home folder of a user that this host does not know")
    return found
