"""Work in a repository: alone, after a restore that a crash cut off has been brought to its end, and on the record."""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.files.helper_names import BESIDE
from peak_observe.backup_recovery.files.safe_read import check_is_of_file
from peak_observe.backup_recovery.repository.ledger import FAILED, INTERRUPTED, PARTIAL, SUCCESS
from peak_observe.backup_recovery.repository.locking import locked_for_reading
from peak_observe.backup_recovery.repository.manifest import decode_name
from peak_observe.backup_recovery.repository.metadata import KINDS
from peak_observe.backup_recovery.repository.notes import Counts
from peak_observe.backup_recovery.restore.attributes import mend
from peak_observe.backup_recovery.restore.path_checks import nearest_folder, unlisted
from peak_observe.backup_recovery.restore.reach import is_of_drill
from peak_observe.backup_recovery.restore.transaction import Transaction
from peak_observe.backup_recovery.restore.ways_out import command_of, recovers
from peak_observe.errors import BackupError, BackupNotFoundError, RepositoryLockedError
from peak_observe.events import RestoreFinished
from peak_observe.observers import emit
from peak_observe.support.loggers import logger
from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from peak_observe.backup_recovery.repository.manifest import Root
    from peak_observe.backup_recovery.repository.repository import Repository
    from peak_observe.backup_recovery.restore.journal_files import Stranger
    from peak_observe.backup_recovery.restore.places import RestoreOptions

_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)
_NO_END = "a restore that a crash cut off cannot be brought to its end"

_log = logger("peak_observe.backup")


class UnendedError(BackupError):
    """Error of a restore that a crash cut off, and that cannot be brought to its end, as its disk is not there."""


class Beside(NamedTuple):
    """Places in which a restore leaves its journal where the repository has no room for it.

    Args:
        folders: The folders.
        roots: The paths that such a restore changes files at or below, and nowhere else.
        command: Brings it to its end.
    """

    folders: Collection[Path] = ()
    roots: Collection[str] = ()
    command: str = "peak-observe backup recover"


NOWHERE = Beside()


@contextmanager
def writing(
    repository: Repository,
    doing: str,
    touched: Collection[str] | None = None,
    options: RestoreOptions | None = None,
    *,
    new: bool = False,
) -> Iterator[None]:
    """Be the only one that writes; a restore that a crash cut off is undone, or carried on, first.

    Args:
        repository: The repository.
        doing: What for, for the message of the second one.
        touched: The paths that are read or changed meanwhile, if they are known; a restore of others that cannot be
            brought to its end is told of and left.
        options: Those of a restore whose journal may lie beside its files.
        new: Whether a folder becomes a repository that is none yet.

    Raises:
        RepositoryLockedError: Somebody else is.
        UnendedError: The restore cannot be brought to its end.
        BackupError: The folder cannot be made or written.
    """
    with _told(repository, doing), repository.writing(doing, new=new):
        beside = beside_of(repository, options)
        _bring_to_an_end(repository, _left(repository, beside), touched, beside)
        yield


@contextmanager
def restoring(
    repository: Repository,
    doing: str,
    options: RestoreOptions | None = None,
    touched: Collection[str] | None = None,
) -> Iterator[None]:
    """Do as `writing` does, and in a repository that is read-only or full keep writers out, which needs no room.

    Args:
        repository: The repository.
        doing: What for, for the message of the second one.
        options: Those of a restore whose journal may lie beside its files.
        touched: The paths that are changed, as for `writing`.

    Raises:
        RepositoryLockedError: Somebody else works there.
        BackupError: A restore that a crash cut off cannot be brought to its end.
    """
    with _told(repository, doing), ExitStack() as stack:
        own, beside = True, beside_of(repository, options)
        try:
            stack.enter_context(repository.writing(doing))
        except (OSError, BackupError) as error:
            if not is_unwritable(error):
                raise
            own = False
            stack.enter_context(locked_for_reading(repository.own / "lock", repository.root))
            _look_for_stuck(repository, touched, beside)
        _bring_to_an_end(repository, _left(repository, beside, own=own), touched, beside)
        yield


def _look_for_stuck(repository: Repository, touched: Collection[str] | None, beside: Beside) -> None:
    """Look for journals in a repository that cannot be written: they would undo later what is restored now.

    Raises:
        UnendedError: There is one of the same files.
    """
    left: list[Transaction] = []
    with suppress(OSError, ValueError):
        left += Transaction.left_behind(repository.own, strangers=[])
    for item in left:
        item.command = beside.command
        message = f"{_NO_END}: {repository.root} cannot be written; {_way_out(item)}"
        _refuse(message, stops=touched is None or item.journal.touches(touched))


@contextmanager
def _told(repository: Repository, doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        check_is_of_file(error)
        raise BackupError(f"cannot {doing}: {error.strerror} ({error.filename or repository.root})") from error


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
    return _folders(_places(options, options.named))


def beside_of(repository: Repository, options: RestoreOptions | None) -> Beside:
    """Return where the journal of a restore with these options may lie that the repository had no room for."""
    if options is None:
        return NOWHERE
    places = _places(options, options.named)
    below = [place for place in _moved(repository, options) if place not in places]
    return Beside(_folders([*places, *below]), places, command_of(repository, options))


def _folders(places: Iterable[str]) -> list[Path]:
    found = dict.fromkeys(folder for place in places for folder in (place, *map(str, Path(place).parents)))
    return [Path(folder) for folder in found if os.path.isdir(folder)]


def _places(options: RestoreOptions, named: Iterable[Root]) -> list[str]:
    if options.inside is not None:
        return [os.path.realpath(options.inside)]
    sources = [decode_name(root.source) for root in named]
    return list(dict.fromkeys(os.path.realpath(path) for path in (*sources, *options.moved.values())))


def _moved(repository: Repository, options: RestoreOptions) -> Iterator[str]:
    """Yield where what was named in backups goes below a new place: the folder itself may hold no journal."""
    if not options.moved:
        return
    with suppress(BackupError):
        backups = repository.backups()
        sources = {decode_name(source) for item in backups for kind in KINDS for source in item.sources_of(kind)}
        for old, new in options.moved.items():
            for source in sorted(sources):
                if source.startswith(f"{os.path.abspath(old).rstrip('/')}/"):
                    below = source[len(os.path.abspath(old).rstrip("/")) :]
                    yield str(nearest_folder(os.path.realpath(new.rstrip("/") + below)))


def _left(repository: Repository, beside: Beside, *, own: bool = True) -> Iterator[Transaction | Stranger]:
    """Yield the journals that crashes have left, this user's own and those of others."""
    strangers: list[Stranger] = []
    for folder in dict.fromkeys(beside.folders):
        with suppress(PermissionError):  # nothing of ours can be in it
            yield from Transaction.left_behind(folder, BESIDE, strangers)
    if own:
        yield from Transaction.left_behind(repository.own, strangers=strangers)
    yield from strangers


def _bring_to_an_end(
    repository: Repository,
    left: Iterable[Transaction | Stranger],
    touched: Collection[str] | None,
    beside: Beside,
) -> None:
    try:
        found = list(left)
    except (OSError, ValueError) as error:
        check_is_of_file(error)
        raise UnendedError(unlisted(error) or f"{_NO_END}: {error}") from error
    for item in found:
        if not isinstance(item, Transaction):
            asked = beside.roots if item.beside and touched is None else touched
            _refuse(f"{_NO_END}: {item.problem}", stops=item.touches(asked))
            continue
        if item.bound:
            if not item.journal.within(beside.roots, [str(repository.own.absolute()), *map(str, beside.folders)]):
                _refuse(_too_far(item), stops=touched is None or item.journal.touches(touched))
                continue
            item.command = beside.command
        finishing = item.done
        try:
            done = item.recover()
        except (OSError, ValueError) as error:
            check_is_of_file(error)
            message = f"{_NO_END}: {_problem(error)}{mend(error)}; {_way_out(item)}"
            _refuse(message, error, stops=touched is None or item.journal.touches(touched))
            continue
        # In the last phase only the old files were still there, and a drill counts for no restore.
        if not finishing and not is_of_drill(item.journal):
            what = "carried on: all files are those of the backup" if done else "undone: all files are as before"
            _record(repository, item.backup_id, Counted(INTERRUPTED, f"a crash cut it off; it was {what}"))


def _refuse(message: str, error: Exception | None = None, *, stops: bool) -> None:
    """Say that a restore cannot be brought to its end.

    Args:
        message: Why, and the way out.
        error: The reason.
        stops: Whether that stops what is under way.

    Raises:
        UnendedError: It does.
    """
    if stops:
        raise UnendedError(message) from error
    _log.warning("%s", message)


def _too_far(transaction: Transaction) -> str:
    what = f"{_NO_END}: {transaction.path} names files outside of what is named here"
    way = (
        f"name all that it was to restore, as `{recovers(transaction.path)}` does with --to, --map, --config and --data"
    )
    return f"{what}: {way}; if it is none of yours, remove it"


def _problem(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _way_out(transaction: Transaction) -> str:
    way = transaction.command if transaction.bound else recovers(transaction.path)
    return f"then run `{way}`; if that can never be, look at the files that {transaction.path} names, then remove it"


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


def settle_beside(repository: Repository, options: RestoreOptions) -> None:
    """Do as `settle` does for a restore whose journal lies beside the files that are about to be read.

    Raises:
        RepositoryLockedError: Somebody else works there.
        UnendedError: It cannot be brought to its end; files may be between old and new.
    """
    if _is_left(_left(repository, beside_of(repository, options), own=False)):
        with restoring(repository, "recover", options, targets_of(options)):
            pass


def check_settled(repository: Repository, options: RestoreOptions | None = None) -> tuple[str, ...]:
    """Look whether a restore is still between old and new, and return the paths beside which its journal could lie.

    Raises:
        BackupError: It is, or that cannot be seen.
    """
    mend, beside = "run this as the user whose backups these are", beside_of(repository, options)
    try:
        left = [item.path for item in _left(repository, beside)]
    except OSError as error:
        raise BackupError(f"{repository.own} cannot be read: {error.strerror}; {mend}") from error
    if left:
        raise BackupError(f"{left[0]} tells of a restore that was cut off, and cannot be removed; {mend}")
    return tuple(beside.roots)


def _is_cut_off(repository: Repository) -> bool:
    return _is_left(_left(repository, NOWHERE))


def _is_left(left: Iterable[Transaction | Stranger]) -> bool:
    try:
        return any(True for _ in left)
    except PermissionError:
        return False  # whoever may not look is not the one to recover
    except (OSError, ValueError):
        return True


class Counted:
    """The end of a restore, for the ledger and the event.

    Args:
        outcome: How it ended; empty where there was nothing to restore.
        message: What went wrong, in one line.
    """

    def __init__(self, outcome: str = SUCCESS, message: str = "") -> None:
        self.outcome = outcome
        self.message = message
        self.files = 0
        self.seconds = 0.0


@contextmanager
def counted(repository: Repository, backup_id: str) -> Iterator[Counted]:
    """Count a restore by how it ends; one without an outcome, a backup or a turn counts for nothing."""
    began, found = time.perf_counter(), Counted()
    try:
        yield found
        found.outcome = found.outcome and (PARTIAL if found.message else SUCCESS)
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
