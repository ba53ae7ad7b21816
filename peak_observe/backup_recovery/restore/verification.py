"""Verification of a backup: reading every byte of it, and restoring it into a folder where it does no harm."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery.create.left_out import summary
from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.files.safe_read import is_gone
from peak_observe.backup_recovery.repository.manifest import FILE
from peak_observe.backup_recovery.repository.metadata import KINDS, BackupStatus
from peak_observe.backup_recovery.repository.repository import DRILL
from peak_observe.backup_recovery.repository.stored_files import StoredFiles
from peak_observe.backup_recovery.restore.file_steps import remove_tree
from peak_observe.backup_recovery.restore.places import RestoreOptions
from peak_observe.backup_recovery.restore.restore import Restore, manifest_of
from peak_observe.errors import BackupCorruptError, BackupError
from peak_observe.events import BackupVerified
from peak_observe.observers import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from peak_observe.backup_recovery.files.workers import Progress
    from peak_observe.backup_recovery.repository.ledger import Account
    from peak_observe.backup_recovery.repository.metadata import BackupMetadata
    from peak_observe.backup_recovery.repository.repository import Repository
    from peak_observe.backup_recovery.restore.plan import Action

    Tell = Callable[[Progress], object]

SPARE = 1.02  # of the room that a drill needs, for folders and the like
BLOCK = 4096  # bytes that a file takes at least
STALE = 86_400  # seconds after which the folder of a drill is one that a crash has left


class NoRoomError(BackupError):
    """No folder has room for a drill, or can be written."""


class VerifyReport(NamedTuple):
    """Result of reading every byte of a backup.

    Args:
        backup_id: The backup.
        files: How many files were read.
        size_bytes: How many bytes.
        seconds: How long it took.
        problems: The differences, a line a file.
    """

    backup_id: str
    files: int
    size_bytes: int
    seconds: float
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it was stored."""
        return not self.problems


def verify(repository: Repository, backup_id: str, tell: Tell | None) -> VerifyReport:
    """Read every byte that is stored of a backup, and record what that found.

    Raises:
        BackupNotFoundError: There is no such backup, or no more.
        BackupError: It failed, so that there is nothing that could be right or wrong.
    """
    began = time.perf_counter()
    files = size = 0
    try:
        backup = repository.get(backup_id)
        if backup.status in (BackupStatus.FAILED, BackupStatus.IN_PROGRESS):
            raise BackupError(f"{backup_id} is {backup.status.value}: there is nothing in it to verify")
        manifest = manifest_of(repository, backup, ())
        stored = StoredFiles(repository.root, manifest)
        problems = [*stored.check_all(manifest.entries, tell), *stored.strangers()]
        sizes = [entry.size for entry in manifest.entries if entry.type == FILE]
        files, size = len(sizes), sum(sizes)
        proves = bool(backup.manifest)
    except BackupCorruptError as error:
        problems, proves = list(error.problems), True
    if problems:
        repository.check_there(backup_id)
    report = VerifyReport(backup_id, files, size, time.perf_counter() - began, tuple(problems))
    if proves:
        _record(repository, report)
    elif backup_id in repository.ledger.read().corrupt:
        with suppress(OSError):  # what could not be read then can be read now, and nothing else is known of it
            repository.ledger.update(lambda known: known.without_corrupt([backup_id]))
    return report


def drill(repository: Repository, backup: BackupMetadata, tell: Tell | None, folder: Path | None) -> VerifyReport:
    """Restore a backup into a temporary folder, check its databases, remove it, and verify the backup itself.

    Args:
        repository: Where the backup is.
        backup: The backup.
        tell: Called with a `Progress`.
        folder: Where the temporary folder is made; by default in the repository, or the system's folder for temporary
            files where the repository is read-only or has no room.

    Raises:
        BackupCorruptError: Something is not what was stored.
        BackupError: It could not be restored.
    """
    place = _made(repository, backup, folder)
    try:
        with noting_corruption(repository):
            problems = _restored(repository, backup, place, tell)
            if problems:
                raise BackupCorruptError(backup.backup_id, tuple(problems))
    finally:
        with suppress(OSError):  # the next one that works in the repository removes it
            remove_tree(str(place))
    return verify(repository, backup.backup_id, tell)


def _restored(repository: Repository, backup: BackupMetadata, place: Path, tell: Tell | None) -> list[str]:
    """Restore a backup into a folder, and return what is wrong with its databases there."""
    manifest = manifest_of(repository, backup, ())
    work = Restore(repository, backup, manifest, RestoreOptions(kinds=KINDS, inside=place), tell)
    work.carry_out(tell)
    return _check_databases(work.actions)


def _made(repository: Repository, backup: BackupMetadata, folder: Path | None) -> Path:
    """Make the folder of a drill where there is room for it, for its owner only."""
    needed = int(backup.size_bytes * SPARE) + backup.files_count * BLOCK
    tried, is_small = [], False
    for known in [repository.root, None] if folder is None else [folder]:
        try:
            # The system's folder is looked for last: to find one that can be written, Python writes to it.
            place = Path(tempfile.gettempdir()) if known is None else known
            _sweep(place)
            status = os.statvfs(place)
            free = status.f_bavail * status.f_frsize
            if free >= needed:
                found = place / f"{DRILL}{backup.backup_id}-{secrets.token_hex(4)}"
                found.mkdir(0o700)
                return found
            tried.append(f"{place} has {free:,} bytes free")
            is_small = True
        except OSError as error:
            tried.append(f"{known or 'temporary files'}: {error.strerror}")
    what = f"there is no room for a drill, which needs {needed:,} bytes" if is_small else "no folder takes a drill"
    raise NoRoomError(f"{what}: {'; '.join(tried)}")


def _sweep(place: Path) -> None:
    """Remove folders of drills that a crash has left where no repository clears them."""
    for left in place.glob(f"{DRILL}backup_*"):
        status = left.lstat()
        if status.st_uid == os.geteuid() and time.time() - status.st_mtime > STALE and not left.is_symlink():
            remove_tree(str(left))


def _check_databases(actions: Iterable[Action]) -> list[str]:
    problems = []
    for action in actions:
        if action.entry.type == FILE and action.entry.source_size is not None:
            try:
                sqlite.check(action.target)
            except sqlite3.Error as error:
                if not sqlite.is_damage(error):  # as for want of room or memory
                    raise BackupError(f"{action.entry.stored} cannot be checked: {error}") from error
                problems.append(f"{action.entry.stored}: {error}")
    return problems


@contextmanager
def noting_corruption(repository: Repository) -> Iterator[None]:
    """Remember a backup that turns out to be corrupt, so that nothing relies on it and the metrics tell.

    Raises:
        BackupNotFoundError: It was removed meanwhile, by somebody whom no lock kept out.
    """
    try:
        yield
    except BackupCorruptError as error:
        _note(repository, VerifyReport(error.backup_id, 0, 0, 0.0, error.problems), 0.0)
        repository.check_there(error.backup_id)
        raise


def _record(repository: Repository, report: VerifyReport) -> None:
    now = repository.clock.now()
    _note(repository, report, now.timestamp())
    message = summary(report.problems)
    told = (report.ok, now, report.seconds, report.files, message)
    emit(BackupVerified(repository.name, report.backup_id, *told))


def _note(repository: Repository, report: VerifyReport, now: float) -> None:
    found = {**_of_base(repository, report), report.backup_id: len(report.problems)}

    def noted(known: Account) -> Account:
        # Whoever removes a backup forgets what was said of it, after which nobody may say more.
        there = {name: count for name, count in found.items() if not is_gone(repository.folder(name))}
        if not report.ok:
            return replace(known, corrupt={**known.corrupt, **there})
        return replace(known.whole([report.backup_id]), last_verified=now) if there else known

    with suppress(OSError):  # a repository that cannot be written can still be read
        repository.ledger.update(noted)


def _of_base(repository: Repository, report: VerifyReport) -> dict[str, int]:
    """Return the base of a backup with how many of the files that are wrong are the base's own, if any is."""
    # A name may have a colon in it.
    named = {line[: colon.start()] for line in report.problems for colon in re.finditer(": ", line)}
    with suppress(OSError, ValueError, BackupError):  # then the base is known to be corrupt, or cannot be read
        backup = repository.get(report.backup_id)
        if named and backup.base:
            wrong = {entry.stored for entry in repository.reader(backup) if entry.base and entry.stored in named}
            base = repository.get(backup.base)
            count = sum(entry.stored in wrong for entry in repository.reader(base)) if wrong else 0
            return {backup.base: count} if count else {}
    return {}
