"""Working in a repository: alone, after what a crash cut off has been brought to its end, and on the record."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.repository.ledger import FAILED, INTERRUPTED, PARTIAL, SUCCESS
from peak_observe.backup_recovery.restore.transaction import Transaction
from peak_observe.errors import BackupError, BackupNotFoundError
from peak_observe.events import RestoreFinished
from peak_observe.observers import emit
from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.backup_recovery.repository.repository import Repository


@contextmanager
def writing(repository: Repository, doing: str) -> Iterator[None]:
    """Be the only one that writes; a restore that a crash cut off is undone, or carried on, first.

    Raises:
        RepositoryLockedError: Somebody else is.
        BackupError: The folder cannot be made or written, or the restore cannot be brought to its end.
    """
    try:
        with repository.writing(doing):
            _bring_to_an_end(repository)
            yield
    except OSError as error:
        where = error.filename or repository.root
        raise BackupError(f"cannot {doing}: {error.strerror or error} ({where})") from error


def _bring_to_an_end(repository: Repository) -> None:
    try:
        for transaction in list(Transaction.left_behind(repository.own)):
            if transaction.done:
                transaction.recover()  # only the old files were still there
                continue
            done = transaction.recover()
            what = "carried on: all files are those of the backup" if done else "undone: all files are as before"
            _record(repository, transaction.backup_id, Counted(INTERRUPTED, f"a crash cut it off; it was {what}"))
    except (OSError, ValueError) as error:
        raise BackupError(f"a restore that a crash cut off cannot be brought to its end: {error}") from error


def is_cut_off(repository: Repository) -> bool:
    """Return whether a crash has left a restore behind."""
    try:
        return any(Transaction.left_behind(repository.own))
    except (OSError, ValueError):
        return True


class Counted:
    """What a restore has to tell at its end.

    Args:
        outcome: How it ended.
        message: What went wrong, in one line.
    """

    def __init__(self, outcome: str = SUCCESS, message: str = "") -> None:
        self.outcome = outcome
        self.message = message
        self.files = 0
        self.seconds = 0.0


@contextmanager
def counted(repository: Repository, backup_id: str) -> Iterator[Counted]:
    """Count a restore by how it ends; that there is no such backup counts for nothing."""
    began, found = time.perf_counter(), Counted()
    try:
        yield found
        found.outcome = PARTIAL if found.message else SUCCESS
    except BackupNotFoundError:
        found.outcome = ""
        raise
    except BaseException as error:
        found.outcome = FAILED if isinstance(error, Exception) else INTERRUPTED
        found.message = str(error) if isinstance(error, BackupError) else describe(error)
        raise
    finally:
        found.seconds = time.perf_counter() - began
        if found.outcome:
            _record(repository, backup_id, found)


def _record(repository: Repository, backup_id: str, found: Counted) -> None:
    with suppress(OSError):  # on a full disk
        repository.ledger.update(lambda known: known.counted(found.outcome, restores=True))
    now = repository.clock.now()
    told = (found.outcome, now, found.seconds, found.files, found.message)
    emit(RestoreFinished(repository.name, backup_id, *told))
