"""Runs that the ledger had no room for and that stand in the repository themselves, as backups or as empty folders."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery.repository.ledger import FAILED, Account, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peak_observe.backup_recovery.repository.metadata import BackupMetadata

FAILURE = ".failed-"
"""Begins the name of the empty folder that an earlier version left of a failed run."""


class Uncounted(NamedTuple):
    """Run that is not in the ledger.

    Args:
        sequence: Its number in the repository.
        outcome: How it ended.
        at: Unix time in seconds.
    """

    sequence: int
    outcome: str
    at: float


def pending(root: Path, ledger: Ledger) -> tuple[Account, list[Uncounted]]:
    """Return the ledger, with its notes brought in, and the runs to bring into it beside them.

    Raises:
        OSError: The ledger cannot be read, or has no room for its notes.
    """
    known = ledger.settle()
    return known, [run for run in _folders(root) if run.sequence > known.sequence]


def account(root: Path, ledger: Ledger, backups: Iterable[BackupMetadata]) -> Account:
    """Return the account of a ledger together with the runs and restores that are not in it yet.

    Args:
        root: The repository's folder.
        ledger: Its ledger.
        backups: Its backups; they have to be listed before, so that nothing is counted twice.

    Raises:
        OSError: The ledger may not be read.
    """
    found = _folders(root)  # before the ledger, for the same reason
    known = ledger.account()
    newest = known.sequence
    if newest:  # otherwise the ledger is new, or cannot be read
        runs = (Uncounted(item.sequence, item.status.value, item.created.timestamp()) for item in backups)
        found.extend(run for run in runs if run.sequence > newest)
    for run in sorted(found):
        if run.sequence > newest:
            last = max(known.last_attempt, run.at)
            known = replace(known.counted(run.outcome), running_since=0.0, last_attempt=last)
    return known


def _folders(root: Path) -> list[Uncounted]:
    with suppress(OSError), os.scandir(root) as listing:
        return [_of_folder(entry) for entry in listing if entry.name.startswith(FAILURE)]
    return []


def _of_folder(entry: os.DirEntry[str]) -> Uncounted:
    number = entry.name.removeprefix(FAILURE).partition("staging-")[0]
    sequence = int(number) if number.isdecimal() else 0
    return Uncounted(sequence, FAILED, entry.stat(follow_symlinks=False).st_mtime)
