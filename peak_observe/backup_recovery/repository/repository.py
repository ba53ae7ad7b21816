"""Repository of backups on the disk: list, lock, publish, remove, and recover from runs that a crash cut off."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files.copying import CREATE
from peak_observe.backup_recovery.files.file_systems import sync_filesystem
from peak_observe.backup_recovery.files.safe_read import check_is_of_file, content, is_gone, is_no_access
from peak_observe.backup_recovery.repository import uncounted
from peak_observe.backup_recovery.repository.ledger import Account, Ledger, Promise
from peak_observe.backup_recovery.repository.leftovers import (
    DRILL,
    NO_ROOM,
    OFFSITE,
    STAGING,
    TRASH,
    clear,
    empty,
)
from peak_observe.backup_recovery.repository.locking import locked, locked_if_writable
from peak_observe.backup_recovery.repository.manifest import Manifest, check_id
from peak_observe.backup_recovery.repository.manifest_file import (
    ManifestReader,
    lacks_sources,
    whole_manifest,
    with_sources,
)
from peak_observe.backup_recovery.repository.metadata import BackupMetadata
from peak_observe.backup_recovery.repository.names import MANIFEST, METADATA, OWN, is_plain, own_names
from peak_observe.backup_recovery.repository.names import stamp as _stamp
from peak_observe.backup_recovery.repository.permissions import FILE_MODE, FOLDER_MODE, owners_rights, tighten
from peak_observe.backup_recovery.repository.sizes import fail, size_alone, walk
from peak_observe.errors import BackupCorruptError, BackupError, BackupNotFoundError, BackupUnreadableError
from peak_observe.support.atomic_files import sync_folder
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from peak_observe.clock import Clock

__all__ = ["DRILL", "MANIFEST", "METADATA", "OWN", "STAGING", "TRASH", "Repository", "sync_filesystem"]

_log = logger("peak_observe.backup")


class Unread(str):
    """Reason why the metadata of a backup cannot be read now; what it holds may be sound, and need another backup."""

    __slots__ = ()


class NoAccess(Unread):
    """Reason that says nothing of the content, as want of a right or a newer version."""


class Repository:
    """Repository of backups in a folder.

    Args:
        root: The folder; it is made when something is first written.
        name: The label of its metrics.
        clock: Source of the time.
    """

    def __init__(self, root: Path, name: str, clock: Clock) -> None:
        self.root = root
        self.name = name
        self.clock = clock
        self.own = root / OWN
        self.ledger = Ledger(self.own)
        self._known: dict[str, tuple[int, BackupMetadata]] = {}
        self._held = ""  # the whole path, if it had backups when it was last seen

    @property
    def temporary(self) -> bool:
        """Whether it was fetched from an off-site store for one restore, and is removed after that."""
        return self.root.name.startswith(OFFSITE)

    @property
    def home(self) -> Path | None:
        """Folder of the lasting repository: its own, or that in which it was fetched; None if that is no repository."""
        if not self.temporary:
            return self.root
        return self.root.parent if (self.root.parent / OWN).is_dir() else None

    def configure(self, max_age: float | None, *, new: bool = True) -> None:
        """Make the folder, and note what its owner promises; where it cannot be written it can still be read.

        Args:
            max_age: The promise.
            new: Whether a folder becomes a repository that is none yet.

        Raises:
            BackupError: It cannot be made.
        """
        if not new and is_plain(f"{self.root}"):
            return
        with owners_rights():
            self._make(self.root)
            with suppress(OSError):
                self.own.mkdir(FOLDER_MODE, exist_ok=True)
                now = self.clock.now().timestamp()
                self.ledger.update(lambda known: known.configured(now, Promise(self.name, max_age)))

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            check_is_of_file(error)
            why = "what is there is no folder" if isinstance(error, FileExistsError) else error.strerror
            raise BackupError(f"cannot make the repository {self.root}: {why}") from error
        if os.path.islink(self.own):
            raise BackupError(f"{self.own} is a symbolic link: remove it")

    def folder(self, backup_id: str) -> Path:
        """Return the folder of a backup, which need not exist.

        Raises:
            BackupNotFoundError: Nothing can have that name.
        """
        try:
            return self.root / check_id(backup_id)
        except ValueError as error:
            raise BackupNotFoundError(str(backup_id), str(error)) from None

    def backups(self) -> list[BackupMetadata]:
        """Return all backups whose metadata can be read, the oldest first.

        Raises:
            BackupError: The folder cannot be listed.
        """
        return self.look()[0]

    def look(self) -> tuple[list[BackupMetadata], dict[str, str]]:
        """Return all backups, the oldest first, and of those whose metadata cannot be read why; each is looked at once.

        Raises:
            BackupError: The folder cannot be listed.
        """
        found = self._look()
        backups = [item for item in found.values() if isinstance(item, BackupMetadata)]
        unreadable = {name: item for name, item in found.items() if isinstance(item, str)}
        return sorted(backups, key=lambda backup: backup.order), unreadable

    def empty(self) -> bool:
        """Return whether nothing is there that could be a backup.

        Raises:
            BackupError: The folder cannot be listed.
        """
        return not self._names()

    def unreadable(self) -> dict[str, str]:
        """Return the backups whose metadata cannot be read, and why."""
        return self.look()[1]

    def _look(self) -> dict[str, BackupMetadata | str]:
        # A backup never changes after the rename that made it visible, so its metadata is read once. What could not be
        # read, all of it or the paths that were named, may have failed for an instant, and is tried again.
        known, found = {}, {}
        for name in self._names():
            changed = _stamp(f"{self.root}/{name}/{METADATA}")
            before = self._known.get(name)
            item = before[1] if before and before[0] == changed else self._read(name)
            if item is not None:
                found[name] = item
            if isinstance(item, BackupMetadata) and not lacks_sources(item):
                known[name] = changed, item
        self._known = known
        if found or not is_gone(self.own):
            self._held = str(self.root.absolute()) if found else ""
        return found

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.root) as listing:
                return [found.name for found in listing if found.name[0] != "." and found.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            check_is_of_file(error)
            mend = "; run this as the user whose backups these are" if isinstance(error, PermissionError) else ""
            raise BackupError(f"{self.root} cannot be listed: {error.strerror}{mend}") from error

    def _read(self, name: str) -> BackupMetadata | str | None:
        try:
            return self.load(self.root / name)
        except FileNotFoundError:
            return None  # somebody's folder, or a backup that was just removed
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if is_no_access(error):
                return NoAccess(reason)
            return Unread(reason) if getattr(error, "errno", None) == errno.EIO else reason

    def load(self, folder: Path) -> BackupMetadata:
        """Return the metadata of a backup.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not what was written, or not a backup's.
        """
        if os.path.islink(folder):
            raise ValueError("the folder is a symbolic link")
        try:
            text = content(folder / METADATA)
        except FileNotFoundError:
            if os.path.exists(f"{folder}/{MANIFEST}"):
                raise ValueError("it is missing") from None
            raise
        found = BackupMetadata.from_json(text)
        if found.backup_id != folder.name:
            raise ValueError(f"the metadata is that of {found.backup_id!r}")
        return with_sources(found, folder / MANIFEST)

    def get(self, backup_id: str) -> BackupMetadata:
        """Return one backup.

        Raises:
            BackupNotFoundError: There is none of that name.
            BackupCorruptError: Its metadata is not what was written.
            BackupUnreadableError: Its metadata cannot be read.
        """
        folder = self.folder(backup_id)
        try:
            return self.load(folder)
        except (FileNotFoundError, NotADirectoryError):
            newest = [backup.backup_id for backup in self.backups()[-1:]]
            hint = f"the newest is {newest[0]}" if newest else f"{self.root} has none"
            raise BackupNotFoundError(backup_id, hint) from None
        except (OSError, ValueError) as error:
            raise unusable(backup_id, METADATA, error) from None

    def manifest(self, backup: BackupMetadata) -> Manifest:
        """Return what a backup says is in it; nothing is in the manifest of a failed one.

        Raises:
            BackupCorruptError: The manifest is missing, not what was written, or names something outside.
            BackupUnreadableError: It cannot be read.
        """
        with self.reading(backup):
            return whole_manifest(*self._manifest_file(backup))

    def reader(self, backup: BackupMetadata) -> ManifestReader:
        """Return what reads the manifest of a backup entry by entry, with the errors of `manifest`."""
        with self.reading(backup):
            return ManifestReader(*self._manifest_file(backup))

    def _manifest_file(self, backup: BackupMetadata) -> tuple[Path, str, str, str]:
        return self.root / backup.backup_id / MANIFEST, backup.manifest, backup.backup_id, backup.base

    @contextmanager
    def reading(self, backup: BackupMetadata, name: str = MANIFEST) -> Iterator[None]:
        """Say of what goes wrong with a file whether the backup is corrupt, cannot be read, or is gone."""
        try:
            yield
        except (BackupCorruptError, OSError, ValueError) as error:
            self.check_there(backup.backup_id)
            raise error if isinstance(error, BackupCorruptError) else unusable(backup.backup_id, name, error) from None

    def check_there(self, backup_id: str) -> None:
        """Look whether a backup in which something is wrong or missing is still there.

        Raises:
            BackupNotFoundError: It was removed meanwhile, and nothing is wrong with it.
        """
        if is_gone(self.folder(backup_id)):
            raise BackupNotFoundError(backup_id, "it was removed meanwhile") from None

    @contextmanager
    def writing(self, doing: str, *, new: bool = False) -> Iterator[None]:
        """Be the only one that writes; what a crash left behind is cleared first, and counted.

        Args:
            doing: What for, for the message of the second one.
            new: Whether a folder becomes a repository that is none yet; else nothing is made in one.

        Raises:
            RepositoryLockedError: Somebody else is.
            BackupError: The folder cannot be made, or is gone with the backups that were seen there.
            OSError: It cannot be written.
        """
        # A backup of what is being restored from a store would be half old, half new.
        home = self.home if self.temporary else None
        with owners_rights(), locked_if_writable(home and home / OWN / "lock", home, doing):
            self._check_mounted()
            if not new and is_plain(f"{self.root}"):
                with locked_if_writable(self.root, self.root, doing):
                    yield
                return
            self._make(self.own)
            with locked(self.own / "lock", self.root, doing):
                self._tighten()
                clear(self.root, self.ledger, self.backups())
                yield

    def _check_mounted(self) -> None:
        if self._held == str(self.root.absolute()) and is_gone(self.own) and not self.backups():
            mend = "mount its disk; a program that is started anew, or a new RecoveryManager, begins a new repository"
            raise BackupError(f"{self.root} has no backups any more: {mend}")

    def _tighten(self) -> None:
        ours, backups = own_names(f"{self.root}")
        # Of a backup without a manifest only the copies themselves tell the modes that they had.
        tighten(self.root, ours, [name for name in backups if not os.path.lexists(f"{self.root}/{name}/{MANIFEST}")])

    def account(self, backups: Iterable[BackupMetadata] = ()) -> Account:
        """Return what the ledger says, with the runs that could not be counted in it yet.

        Args:
            backups: Those that were there before this call.

        Raises:
            OSError: It may not be read.
        """
        return uncounted.account(self.root, self.ledger, backups)

    def new_id(self) -> tuple[str, int]:
        """Return name and number of a new backup; with the writer's lock held."""
        newest = max((backup.sequence for backup in self.backups()), default=0)
        return self.free_name(), max(newest, self.ledger.load().sequence) + 1

    def free_name(self) -> str:
        """Return a name that no backup has, made of the time; a new backup takes the next free one."""
        now = self.clock.now()
        while True:
            found = f"backup_{round(now.timestamp() * 1_000_000)}_{now:%Y%m%d_%H%M%S_%f}"
            if not (self.root / found).exists():
                return found
            now += now.resolution

    def publish(self, staging: Path, backup: BackupMetadata) -> None:
        """Make a backup visible by one rename, after everything it names is on the disk.

        Raises:
            OSError: The disk is full or reports an error.
        """
        with os.fdopen(os.open(staging / METADATA, CREATE, FILE_MODE), "wb") as file:
            file.write(backup.to_json())
        sync_filesystem(staging)
        staging.rename(self.root / backup.backup_id)
        self._held = str(self.root.absolute())
        sync_folder(self.root)

    def remove(self, backup_ids: Iterable[str]) -> None:
        """Remove backups, with the writer's lock held: each is out of sight at once, whatever happens then.

        On a full disk nothing can be written before something is removed, so the ledger comes last.

        Raises:
            OSError: One cannot be removed.
        """
        freed: dict[str, int | None] = {}
        try:
            for backup_id in backup_ids:
                trash = self.root / f"{TRASH}{backup_id}"
                self.folder(backup_id).rename(trash)
                sync_folder(self.root)
                size = size_alone(trash)
                empty(trash)
                freed[backup_id] = size
        finally:
            if freed:
                self._forget(freed)

    def _forget(self, freed: dict[str, int | None]) -> None:
        try:
            self.ledger.update(lambda known: known.forgotten(freed))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            _log.warning("%s: no room to account for what was removed; the next run does so", self.root)
        else:
            for backup_id in freed:
                (self.root / f"{TRASH}{backup_id}").rmdir()

    def measured(self, *, onerror: Callable[[OSError], object] | None = fail) -> int:
        """Return what all backups take on the disk, by looking.

        Args:
            onerror: What is done about a folder that cannot be listed.

        Raises:
            OSError: Something cannot be looked at.
        """
        files = (found for name in self._names() for found in walk(self.root / name, onerror=onerror))
        return sum({found.st_ino: found.st_size for found in files if stat.S_ISREG(found.st_mode)}.values())


def unusable(backup_id: str, name: str, error: Exception) -> BackupError:
    """Return the error for a file of a backup: that it cannot be read says nothing of its content."""
    problem = f"{name}: {getattr(error, 'strerror', None) or error}"
    return (BackupUnreadableError if is_no_access(error) else BackupCorruptError)(backup_id, (problem,))
