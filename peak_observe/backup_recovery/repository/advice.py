"""Commands that messages name: whoever copies one into a shell gets what was meant."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

DEFAULT = Path("backups")
"""The repository of a command that names none."""


def command(name: str, repository: Path | None, *words: str) -> str:
    """Return a command of `peak-observe backup` for a shell.

    Args:
        name: Which one.
        repository: The repository that is meant; None for none.
        words: What follows.
    """
    named = [] if repository is None or repository == DEFAULT else ["--repository", f"{repository}"]
    return shlex.join(["peak-observe", "backup", name, *named, *words])


def paired(old: str, new: str) -> str:
    """Return an old path and the new one as `--map` takes them; of several `=` it takes one before an absolute path."""
    return f"{old}={os.path.abspath(new) if '=' in old + new else new}"
