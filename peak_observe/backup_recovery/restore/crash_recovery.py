"""Work in a repository: alone, after a restore that a crash cut off has been brought to its end, and on the record."""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.repository.ledger import FAILED, INTERRUPTED, PARTIAL, SUCCESS
from peak_observe.backup_recovery.repository.locking import locked_for_reading
from peak_observe.backup_recovery.repository.manifest import decode_name
from peak_observe.backup_recovery.repository.notes import Counts
from peak_observe.backup_recovery.restore.attributes import mend
from peak_observe.backup_recovery.restore.transaction import BESIDE, Transaction
from peak_observe.errors import BackupError, BackupNotFoundError, RepositoryLockedError
from peak_observe.events import RestoreFinished
from peak_observe.observers import emit
from peak_observe.support.loggers import logger
from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from peak_observe.backup_recovery.repository.manifest import Root
    from peak_observe.backup_recovery.repository.repository import Repository
    from peak_observe.backup_recovery.restore.places import RestoreOptions

_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)

_NO_END = "a restore that a crash cut off cannot be brought to its end"

_log = logger("peak_observe.backup")


class UnendedError(BackupError):
    """Error of a restore that a crash cut off, and that cannot be brought to its end, as its disk is not there."""


@contextmanager
def writing(repository: Repository, doing: str, touched: Collection[str] | None = None) -> Iterator[None]:
    """Be the only one that writes; a restore that a crash cut off is undone, or carried on, first.

    Args:
        repository: The repository.
        doing: What for, for the message of the second one.
        touched: The paths that are read or changed meanwhile, if they are known; a restore of others that cannot be
            brought to its end is told of and left.

    Raises:
        RepositoryLockedError: Somebody else is.
        UnendedError: The restore cannot be brought to its end.
        BackupError: The folder cannot be made or written.
    """
    with _told(repository, doing), repository.writing(doing):
        _bring_to_an_end(repository, Transaction.left_behind(repository.own), touched)
        yield


@contextmanager
def restoring(
    repository: Repository, doing: str, beside: Iterable[Path] = (), touched: Collection[str] | None = None
) -> Iterator[None]:
    """Do as `writing` does, and in a repository that is read-only or full keep writers out, which needs no room.

    Args:
        repository: The repository.
        doing: What for, for the message of the second one.
        beside: Folders in which the journal of a restore may lie; see `folders_beside`.
        touched: The paths that are changed, as for `writing`.

    Raises:
        RepositoryLockedError: Somebody else works there.
        BackupError: A restore that a crash cut off cannot be brought to its end.
    """
    with _told(repository, doing), ExitStack() as stack:
        left = _left_beside(beside)
        try:
            stack.enter_context(repository.writing(doing))
            left = chain(left, Transaction.left_behind(repository.own))
        except (OSError, BackupError) as error:
            if not is_unwritable(error):
                raise
            stack.enter_context(locked_for_reading(repository.own / "lock", repository.root))
        _bring_to_an_end(repository, left, touched)
        yield


@contextmanager
def _told(repository: Repository, doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or repository.root
        raise BackupError(f"cannot {doing}: {error.strerror or error} ({where})") from error


def is_unwritable(error: BaseException) -> bool:
    """Return whether an error tells that a repository cannot be written now, and may be read all the same."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _UNWRITABLE


def read_by(named: Mapping[str, Iterable[Root]]) -> list[str]:
    """Return the paths that a backup reads, given by part, as they are named and as they are."""
    sources = [decode_name(root.source) for roots in named.values() for root in roots]
    return [*sources, *map(os.path.realpath, sources)]


def targets_of(options: RestoreOptions) -> list[str]:
    """Return the paths below which a restore changes files."""
    beside = [] if options.state_file is None else [os.path.realpath(options.state_file)]
    return [*_places(options, [root for root in options.named if root.kind in options.kinds]), *beside]


def folders_beside(options: RestoreOptions) -> list[Path]:
    """Return the folders in which a restore leaves its journal where the repository has no room for it."""
    places = _places(options, options.named)
    found = dict.fromkeys(folder for place in places for folder in (place, *map(str, Path(place).parents)))
    return [Path(folder) for folder in found if os.path.isdir(folder)]


def _places(options: RestoreOptions, named: Iterable[Root]) -> list[str]:
    if options.inside is not None:
        return [os.path.realpath(options.inside)]
    sources = [decode_name(root.source) for root in named]
    return list(dict.fromkeys(os.path.realpath(path) for path in (*sources, *options.moved.values())))


def _left_beside(folders: Iterable[Path]) -> Iterator[Transaction]:
    for folder in dict.fromkeys(folders):
        with suppress(PermissionError):  # nothing of ours can be in it
            yield from Transaction.left_behind(folder, BESIDE)


def _bring_to_an_end(repository: Repository, left: Iterable[Transaction], touched: Collection[str] | None) -> None:
    try:
        transactions = list(left)
    except (OSError, ValueError) as error:
        raise UnendedError(f"{_NO_END}: {error}") from error
    for transaction in transactions:
        finishing = transaction.done
        try:
            done = transaction.recover()
        except (OSError, ValueError) as error:
            message = f"{_NO_END}: {_problem(error)}{mend(error)}; {_way_out(transaction.path)}"
            if touched is not None and not transaction.touches(touched):
                _log.warning("%s", message)
                continue
            raise UnendedError(message) from error
        if not finishing:  # else only the old files were still there
            what = "carried on: all files are those of the backup" if done else "undone: all files are as before"
            _record(repository, transaction.backup_id, Counted(INTERRUPTED, f"a crash cut it off; it was {what}"))


def _problem(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _way_out(journal: Path) -> str:
    again = "then run `peak-observe backup recover`"
    return f"{again}; if that can never be, look at the files that {journal} names, then remove it"


def settle(repository: Repository) -> None:
    """Bring a restore that a crash has left behind to its end, unless somebody else is about to.

    Raises:
        UnendedError: That is not possible; files may be between old and new.
    """
    if not _is_cut_off(repository):
        return
    with suppress(RepositoryLockedError):
        try:
            with writing(repository, "recover"):
                pass
        except BackupError as error:
            if not is_unwritable(error):
                raise
            where = "" if isinstance(error, UnendedError) else f"{repository.root} holds the journal of a restore: "
            _log.warning("%s%s", where, error)


def check_settled(repository: Repository) -> None:
    """Look whether a restore is still between old and new.

    Raises:
        BackupError: It is, or that cannot be seen.
    """
    mend = "run this as the user whose backups these are"
    try:
        left = [transaction.path for transaction in Transaction.left_behind(repository.own)]
    except OSError as error:
        raise BackupError(f"{repository.own} cannot be read: {error.strerror}; {mend}") from error
    if left:
        raise BackupError(f"{left[0]} tells of a restore that was cut off, and cannot be removed; {mend}")


def _is_cut_off(repository: Repository) -> bool:
    try:
        return any(True for _ in Transaction.left_behind(repository.own))
    except PermissionError:
        return False  # whoever may not look is not the one to recover
    except (OSError, ValueError):
        return True


class Counted:
    """The end of a restore, for the ledger and the event.

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
    """Count a restore by how it ends; that there is no such backup, or no turn for it, counts for nothing."""
    began, found = time.perf_counter(), Counted()
    try:
        yield found
        found.outcome = PARTIAL if found.message else SUCCESS
    except (BackupNotFoundError, RepositoryLockedError):
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
    try:
        repository.ledger.update(lambda known: known.counted(found.outcome, restores=True))
    except OSError:  # on a full disk, or in a repository that is read-only
        repository.ledger.note(Counts(restores={found.outcome: 1}))
    now = repository.clock.now()
    told = (found.outcome, now, found.seconds, found.files, found.message)
    emit(RestoreFinished(repository.name, backup_id, *told))
