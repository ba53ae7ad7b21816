"""Idempotent file operations used by the restore transaction: each can be made again after a crash."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files.copying import CHUNK, CREATE, READ, stretches, write_all
from peak_observe.backup_recovery.files.safe_read import check_is_of_file
from peak_observe.backup_recovery.restore.ownership import PRIVILEGED, Owner, give
from peak_observe.backup_recovery.restore.plan import there
from peak_observe.support import posix

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

PARTIAL = "~"
"""Ends the name of a copy on its way."""
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_OVERWRITE = os.O_WRONLY | posix.NOFOLLOW | posix.NONBLOCK | posix.CLOEXEC
_FOLDER = os.O_RDONLY | posix.DIRECTORY | posix.NOFOLLOW | posix.CLOEXEC


def keep(target: str, old: str) -> None:
    """Give the file at `target` a second name; where links cannot be made, move it there."""
    if there(old):
        return
    try:
        os.link(target, old, follow_symlinks=False)
    except FileNotFoundError:
        return  # it went away meanwhile
    except OSError as error:
        check_is_of_file(error)
        move(target, old)


def keep_copy(target: str, old: str) -> None:
    """Copy the file at `target` to `old`, which holds all of it or is not there."""
    if there(old):
        return
    unlink(old + PARTIAL)
    _copy(target, old + PARTIAL, CREATE)
    os.rename(old + PARTIAL, old)


def overwrite(source: str, target: str) -> None:
    """Write content, mode, owner and time of a file over those of another one, whose inode stays."""
    _copy(source, target, _OVERWRITE)


def overwrite_back(source: str, target: str) -> None:
    """Do as `overwrite`; a file that cannot be written, and is what it is to become, was never changed.

    Raises:
        OSError: It cannot be written, and is something else.
    """
    try:
        overwrite(source, target)
    except OSError as error:
        if error.errno not in _REFUSED or not filecmp.cmp(source, target, shallow=False):
            raise


def _copy(source: str, target: str, flags: int) -> None:
    with _naming(target), _opened(source, READ) as reader, _opened(target, flags) as writer:
        status = os.fstat(reader)
        mode = stat.S_IMODE(status.st_mode)
        # Who may not read the one or the other must not read what is written until then either.
        with _as_far_as_owned():
            os.fchmod(writer, mode & stat.S_IMODE(os.fstat(writer).st_mode))
        given = give(writer, Owner(status.st_uid, status.st_gid, exact=True))
        os.ftruncate(writer, 0)  # so that there are holes wherever nothing is written
        for length, hole in stretches(reader, status):
            if hole:
                os.lseek(writer, length, os.SEEK_CUR)
            else:
                _write(reader, writer, length)
        os.ftruncate(writer, os.lseek(writer, 0, os.SEEK_CUR))
        with _as_far_as_owned():
            os.fchmod(writer, mode & (~0 if given else ~PRIVILEGED))
            os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(writer)


def _write(reader: int, writer: int, length: int) -> None:
    while length > 0 and (chunk := os.read(reader, min(CHUNK, length))):
        write_all(writer, memoryview(chunk))
        length -= len(chunk)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Name a path in an error that names none, as that of a full disk."""
    try:
        yield
    except OSError as error:
        check_is_of_file(error)
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, path) from error


@contextmanager
def _as_far_as_owned() -> Iterator[None]:
    """Do without what only the owner of a file may do: whoever may write it need not own it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EPERM:
            raise


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def set_access(folder: str, uid: int, gid: int, mode: int, *, durable: bool = False) -> None:
    """Set owner and permissions of a folder; a symbolic link in its place is not followed.

    Args:
        folder: The folder.
        uid: Its owner.
        gid: Its group.
        mode: Its permissions.
        durable: Whether that is on the disk when this returns.

    Raises:
        OSError: It is none any more, or the disk reports an error.
    """
    with _naming(folder):
        try:
            descriptor = os.open(folder, _FOLDER)
        except PermissionError:  # its owner may not read it; only root has to fear that others change it meanwhile
            status = os.stat(folder)
            os.chmod(folder, mode if (uid, gid) == (status.st_uid, status.st_gid) else mode & ~PRIVILEGED)
            return
        try:
            given = give(descriptor, Owner(uid, gid, exact=True))
            os.fchmod(descriptor, mode if given else mode & ~PRIVILEGED)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def move(path: str, to: str) -> None:
    """Rename a file if there is one."""
    with suppress(FileNotFoundError):
        os.rename(path, to)


def unlink(path: str) -> None:
    """Remove a file if there is one."""
    try:
        os.unlink(path)
    except OSError:  # a read-only file system says so also where there is none
        if there(path):
            raise


def put_back(old: str, target: str) -> bool:
    """Put a folder back that an earlier version took for an old file, and return whether it is one."""
    if os.path.islink(old) or not is_folder(old):
        return False
    if not there(target):
        os.rename(old, target)
    return True


def remove_tree(folder: str) -> None:
    """Remove a folder that nobody else uses, also what its modes protect."""
    if not there(folder):
        return
    for where, _, _ in os.walk(folder):
        with suppress(OSError):
            os.chmod(where, stat.S_IRWXU)
    shutil.rmtree(folder)


def take_back_tree(folder: str, changed_ns: int, linked: Collection[int]) -> None:
    """Remove from a folder all that has not changed since a time; what changed later is somebody else's and stays.

    Args:
        folder: The folder.
        changed_ns: Time of the last change of a status, in nanoseconds since 1970.
        linked: Inode numbers of files that go in any case.
    """
    known = frozenset(linked)
    for where, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = f"{where}/{name}"
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                with suppress(OSError):  # it holds something of somebody else's
                    os.rmdir(path)
            elif status.st_ctime_ns <= changed_ns or status.st_ino in known:
                os.unlink(path)
    with suppress(OSError):
        os.rmdir(folder)


def is_folder(path: str) -> bool:
    """Return whether a folder is there, or a link to one."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
