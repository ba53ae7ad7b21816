"""Counts of runs that end before they have a staging folder: each run that was asked for is counted once."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from peak_observe.backup_recovery.repository.ledger import FAILED, INTERRUPTED, Account
from peak_observe.backup_recovery.repository.notes import Counts
from peak_observe.errors import BackupError, RepositoryLockedError
from peak_observe.events import BackupFinished
from peak_observe.observers import emit
from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.backup_recovery.repository.repository import Repository


class Beginning:
    """Beginning of a run, which ends when the run has a number and counts itself."""

    def __init__(self) -> None:
        self.over = False


@contextmanager
def counting(repository: Repository) -> Iterator[Beginning]:
    """Count a run that ends while it begins; one that finds the repository locked leaves the count to the other run."""
    beginning = Beginning()
    try:
        yield beginning
    except RepositoryLockedError:
        raise
    except BaseException as error:
        if not beginning.over:
            count(repository, error)
        raise


def count(repository: Repository, error: BaseException) -> None:
    """Count a run that made nothing, in the ledger or, where that cannot be written, in its notes."""
    now = repository.clock.now()
    at, outcome = now.timestamp(), FAILED if isinstance(error, Exception) else INTERRUPTED

    def counted(known: Account) -> Account:
        return replace(known.counted(outcome), last_attempt=at)  # what a clock that was ahead has left does not count

    try:
        repository.ledger.update(counted)
    except OSError:
        repository.ledger.note(Counts({outcome: 1}, last_attempt=at))
    message = str(error) if isinstance(error, BackupError) else describe(error)
    with suppress(OSError):  # of a folder that may not be looked into
        emit(BackupFinished(repository.name, repository.free_name(), outcome, now, 0.0, 0, 0, message))
