"""Runs and restores that the ledger had no room for, as on a full disk: kept by a folder's name or in memory."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery.repository.ledger import FAILED, INTERRUPTED, Account, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAILURE = ".failed-"


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


_memory: dict[Path, list[Uncounted]] = {}
_restores: dict[Path, list[str]] = {}
_lock = threading.Lock()
"""Held for both and while they are brought into the ledger, so that no run is told twice or not at all."""


def keep(root: Path, run: Uncounted, staging: Path) -> None:
    """Remember a run that the ledger has no room for.

    Args:
        root: The repository's folder.
        run: The run; one that made a backup needs nothing, as the backup is there to be counted.
        staging: Its staging folder, which may not be there; that of an interrupted run stands for it as it is.
    """
    if run.outcome not in (FAILED, INTERRUPTED):
        return
    try:
        if run.outcome == FAILED:  # a rename needs no room
            staging.rename(staging.with_name(f"{FAILURE}{run.sequence}{staging.name.removeprefix('.')}"))
    except OSError:
        remember(root, run)


def remember(root: Path, run: Uncounted) -> None:
    """Remember a run in memory, until somebody can write to the ledger."""
    with _lock:
        _memory.setdefault(root.absolute(), []).append(run)


def remember_restore(root: Path, outcome: str) -> None:
    """Remember how a restore ended, until somebody can write to the ledger."""
    with _lock:
        _restores.setdefault(root.absolute(), []).append(outcome)


@contextmanager
def counting(root: Path, ledger: Ledger) -> Iterator[tuple[Account, list[Uncounted], list[str]]]:
    """Yield the ledger, and the runs and outcomes of restores to bring into it, which are forgotten after that.

    Raises:
        OSError: The ledger cannot be read; whatever is raised inside comes through, and nothing is forgotten.
    """
    with _lock:
        known = ledger.load()
        runs = [run for run in _all(root) if run.sequence > known.sequence]
        yield known, runs, list(_restores.get(root.absolute(), ()))
        _memory.pop(root.absolute(), None)
        _restores.pop(root.absolute(), None)


def account(root: Path, ledger: Ledger) -> Account:
    """Return the account of a ledger together with the runs and restores that are not in it yet."""
    with _lock:
        found = _all(root)  # before the ledger: what goes into it meanwhile is then not counted twice
        known = ledger.read()
        newest = known.sequence
        for run in sorted(found):
            if run.sequence > newest:
                last = max(known.last_attempt, run.at)
                known = replace(known.counted(run.outcome), running_since=0.0, last_attempt=last)
        for outcome in _restores.get(root.absolute(), ()):
            known = known.counted(outcome, restores=True)
        return known


def _all(root: Path) -> list[Uncounted]:
    left: list[Uncounted] = []
    with suppress(OSError), os.scandir(root) as listing:
        left = [_of_folder(entry) for entry in listing if entry.name.startswith(FAILURE)]
    return left + _memory.get(root.absolute(), [])


def _of_folder(entry: os.DirEntry[str]) -> Uncounted:
    number = entry.name.removeprefix(FAILURE).partition("staging-")[0]
    sequence = int(number) if number.isdecimal() else 0
    return Uncounted(sequence, FAILED, entry.stat(follow_symlinks=False).st_mtime)
