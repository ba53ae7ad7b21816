"""Folders of a repository that are no backups: staging, trash, drills and failed runs that nobody could count.

Each is emptied before it is accounted for, as a full disk has no room for the account before; the empty folder stays
until that is done, so that a crash in between forgets nothing.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

STAGING, TRASH, DRILL, FAILURE = PREFIXES = ".staging-", ".trash-", ".drill-", ".failed-"


class Uncounted(NamedTuple):
    """A run that ended when the ledger could not be written.

    Args:
        sequence: Its number in the repository.
        outcome: How it ended.
        at: Unix time in seconds.
    """

    sequence: int
    outcome: str
    at: float


def empty(folder: Path) -> None:
    """Remove everything in a folder, and keep the folder; whatever else stands there is removed itself.

    Raises:
        OSError: Something cannot be removed.
    """
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink()
        return
    with os.scandir(folder) as listing:
        entries = list(listing)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def failure_name(sequence: int, staging: Path) -> Path:
    """Return the name that the staging folder of a failed run gets until the run is counted."""
    return staging.with_name(f"{FAILURE}{sequence}{staging.name.removeprefix('.')}")


def failure_of(entry: os.DirEntry[str], outcome: str) -> Uncounted:
    """Return the failed run that a folder stands for; number 0 where its name tells none."""
    number = entry.name.removeprefix(FAILURE).partition("staging-")[0]
    return Uncounted(int(number) if number.isdecimal() else 0, outcome, entry.stat(follow_symlinks=False).st_mtime)
