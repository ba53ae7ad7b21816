"""Stored files of a backup: find, copy and verify them in the repository."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from operator import attrgetter
from typing import TYPE_CHECKING

from blake3 import blake3

from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.files.copying import WriteError
from peak_observe.backup_recovery.files.safe_read import is_no_access
from peak_observe.backup_recovery.files.workers import Meter, Progress, each
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, LINK, Entry, Manifest, decode_name
from peak_observe.backup_recovery.repository.metadata import KINDS
from peak_observe.backup_recovery.repository.repository import MANIFEST, METADATA
from peak_observe.errors import BackupCorruptError, BackupUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

DEFAULT_ACL = "system.posix_acl_default"


class NoAccessError(OSError):
    """Error of a stored file that cannot be read, which says nothing of its content."""


class StoredFiles:
    """Stored files of one backup.

    Args:
        root: The repository's folder.
        manifest: What is in the backup.
        flat: Whether `root` is itself the folder of the only part there is.
        temporary: Whether nobody needs the repository afterwards, so that a file may be moved out of it.
    """

    def __init__(self, root: Path, manifest: Manifest, *, flat: bool = False, temporary: bool = False) -> None:
        self._root = root
        self._manifest = manifest
        self._flat = flat
        self._temporary = temporary
        self._real: set[str] = {str(root)}
        self._plain: dict[str, bool] = {}

    def path(self, entry: Entry) -> str:
        """Return where an entry lies.

        Raises:
            OSError: A folder on the way is a symbolic link, so that it would lie somewhere else.
        """
        stored = decode_name(entry.stored)
        if self._flat:
            found = f"{self._root}/{stored.partition('/')[2]}"
        else:
            found = f"{self._root}/{entry.base or self._manifest.backup_id}/{stored}"
        self._check_folder(found.rpartition("/")[0])
        return found

    def _check_folder(self, folder: str) -> None:
        if folder not in self._real:
            self._check_folder(folder.rpartition("/")[0])
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                raise OSError(None, "the folder it was in is none any more")
            self._real.add(folder)

    def read(self, entry: Entry) -> bytes:
        """Return what is stored of a small file.

        Raises:
            NoAccessError: It cannot be read.
            ValueError: It is not there, or is not what was stored.
        """
        path = None
        try:
            path = self.path(entry)
            descriptor, _ = copying.opened(path)
            try:
                found = os.read(descriptor, entry.size + 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            copying.name(error, path)
            _refuse_no_access(error, entry)
            raise ValueError(f"{entry.stored}: {_reason(error)}") from None
        if (len(found), blake3(found).hexdigest()) != (entry.size, entry.blake3):
            raise ValueError(self.check(entry) or f"{entry.stored}: changed while it was read")
        return found

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield what is stored of a file, after all of it was checked.

        Raises:
            BackupCorruptError: It is not what was stored.
            BackupUnreadableError: It cannot be read.
        """
        problems = self.check_all([entry], None)
        if problems:
            raise BackupCorruptError(self._manifest.backup_id, tuple(problems))
        return _chunks(self.path(entry))

    def copy(self, entry: Entry, target: str, tell: Callable[[int], object] | None = None) -> None:
        """Write the file of an entry to a new place, or move it there.

        Raises:
            WriteError: That cannot be done.
            NoAccessError: The stored file cannot be read.
            ValueError: What is stored is not what was stored; the new file has to be removed.
        """
        if self._is_movable(entry, target):
            if problem := self.check(entry, tell):
                raise ValueError(problem)
            if self.moved(entry, target):
                return
            tell = None  # all of it has been told
        try:
            found = copying.copied(self.path(entry), target, tell, sparse=entry.sparse)
        except WriteError:
            raise
        except OSError as error:
            _refuse_no_access(error, entry)
            raise ValueError(f"{entry.stored}: {_reason(error)}") from None
        if (found.size, found.blake3) != (entry.size, entry.blake3):
            raise ValueError(f"{entry.stored}: {_difference(entry, found)}")

    def moved(self, entry: Entry, target: str) -> bool:
        """Move a file that was read and is right to a new place, if it may be; return whether it is there now."""
        if not self._is_movable(entry, target):
            return False
        try:
            os.rename(self.path(entry), target)
        except OSError:  # another file system
            return False
        return True

    def _is_movable(self, entry: Entry, target: str) -> bool:
        """Return whether a file is in a new place what a copy would be there, with nothing of the folder's own."""
        if not self._temporary or entry.sparse or os.path.lexists(target):
            return False
        folder = os.path.dirname(target)
        if folder not in self._plain:
            self._plain[folder] = not _hands_down(folder)
        return self._plain[folder]

    def check(self, entry: Entry, tell: Callable[[int], object] | None = None) -> str:
        """Read the file of an entry, and return what is wrong with it; empty if nothing is.

        Raises:
            NoAccessError: It cannot be read.
        """
        try:
            path = self.path(entry)
            if entry.type == FILE:
                found = copying.hashed(path, tell)
                difference = (found.size, found.blake3) != (entry.size, entry.blake3)
                return f"{entry.stored}: {_difference(entry, found)}" if difference else ""
            return "" if _is_there(entry, path) else f"{entry.stored}: is not the {entry.type} it was"
        except OSError as error:
            _refuse_no_access(error, entry)
            return f"{entry.stored}: {_reason(error)}"

    def check_all(self, entries: Collection[Entry], tell: Callable[[Progress], object] | None) -> list[str]:
        """Read the files of entries, and return what is wrong, a line a file.

        Raises:
            BackupUnreadableError: Some cannot be read, and nothing is wrong with the others.
        """
        files = [entry for entry in entries if entry.type == FILE]
        meter = Meter(tell, "verify", len(files), sum(entry.size for entry in files))
        unread: list[str] = []

        def check(entry: Entry) -> str:
            try:
                found = self.check(entry, meter.bytes)
            except NoAccessError as error:
                unread.append(f"{entry.stored}: {_reason(error)}")
                found = ""
            if entry.type == FILE:
                meter.file()
            return found

        problems = [problem for problem in each(check, list(entries), attrgetter("size")) if problem]
        if unread and not problems:
            raise BackupUnreadableError(self._manifest.backup_id, tuple(unread))
        return problems + unread

    def strangers(self) -> Iterable[str]:
        """Yield what lies in the backup's folder and is not in its manifest."""
        folder = self._root / self._manifest.backup_id
        named = {decode_name(entry.stored) for entry in self._manifest.entries if not entry.base}
        named |= {METADATA, MANIFEST, *KINDS}
        for where, folders, files in os.walk(folder):
            below = os.path.relpath(where, folder)
            for name in (*folders, *files):
                path = name if below == "." else f"{below}/{name}"
                # An incremental backup has the folders on the way to what it holds.
                if path not in named:
                    yield f"{path}: is not in the manifest"


def _hands_down(folder: str) -> bool:
    """Return whether new files in a folder get its group or its default ACL."""
    if os.stat(folder).st_mode & stat.S_ISGID:
        return True
    try:
        return DEFAULT_ACL in os.listxattr(folder)
    except (OSError, AttributeError):  # without such attributes
        return False


def _chunks(path: str) -> Iterator[bytes]:
    descriptor, _ = copying.opened(path)
    with os.fdopen(descriptor, "rb") as file:
        while chunk := file.read(copying.CHUNK):
            yield chunk


def _is_there(entry: Entry, path: str) -> bool:
    if entry.type == LINK:
        with suppress(FileNotFoundError):  # unlike `islink`, for which one that cannot be seen is none
            return stat.S_ISLNK(os.lstat(path).st_mode) and os.readlink(path) == decode_name(entry.target)
        return False
    return entry.type == FOLDER and stat.S_ISDIR(os.lstat(path).st_mode)


def _difference(entry: Entry, found: copying.Copied) -> str:
    if found.size != entry.size:
        return f"has {found.size} bytes instead of {entry.size}"
    return "its content has changed"


def _refuse_no_access(error: OSError, entry: Entry) -> None:
    if is_no_access(error):
        raise NoAccessError(error.errno, error.strerror, entry.stored) from error


def _reason(error: OSError) -> str:
    return "is missing" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
