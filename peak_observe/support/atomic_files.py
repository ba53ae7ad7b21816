"""Atomic writing of files: a reader finds the old text or the new one, never a part."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

from peak_observe.support import posix

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}  # a file system without hard links


def replace_text(path: Path, text: str, *, durable: bool = False, private: bool = False) -> None:
    """Write `text` to `path` by one rename, making the folders above it; several threads and processes may do so.

    Args:
        path: The file.
        text: What it shall hold.
        durable: Whether to return only when a power cut cannot take it away any more.
        private: Whether only its owner may read it.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    if path.is_dir():  # a rename would call it busy
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    missing = [folder for folder in path.parents if not folder.exists()] if durable else []
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, text.encode(), durable=durable, private=private)
    if durable:
        for entry in (path, *missing):
            sync_folder(entry.parent)


def replace_durably(
    path: Path, content: bytes | Iterable[bytes], *, private: bool = False, handed: bool = False
) -> None:
    """Write `content` to `path` by one rename, in a folder that exists; when this returns it outlives a power cut.

    Args:
        path: The file.
        content: What it shall hold, in one piece or in many.
        private: Whether only its owner may read it.
        handed: Whether root hands it to the owner of its folder, who must not be locked out of what is his.

    Raises:
        OSError: The file cannot be written.
    """
    _replace(path, content, durable=True, private=private, handed=handed)
    sync_folder(path.parent)


def create_file(
    path: Path, content: bytes, *, durable: bool = False, private: bool = False, handed: bool = False
) -> bool:
    """Make a file with its content at once, in a folder that exists; one that is there stays.

    Of several threads and processes one makes it, and nobody ever sees a part of it.

    Args:
        path: The file.
        content: What it shall hold.
        durable: Whether to return only when a power cut cannot take it away any more.
        private: Whether only its owner may read it.
        handed: Whether root hands it to the owner of its folder.

    Returns:
        Whether it was made.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        _write(temporary, content, durable=durable, private=private, handed=handed)
        made = _linked(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)
    return made


def _linked(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)  # unlike a rename it never replaces what another process just wrote
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _renamed(temporary, path)
    return True


def _renamed(temporary: Path, path: Path) -> bool:
    # The next best: a rename, of which two within the same instant may both believe that they made the file.
    if path.exists():
        return False
    temporary.replace(path)
    return True


def sync_folder(path: Path) -> None:
    """Make the names in a folder outlive a power cut; one that may not be opened, or never synced, is left as it is.

    Raises:
        OSError: The disk reports an error.
    """
    try:
        folder = os.open(path, os.O_RDONLY | posix.CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # as in /proc
            raise
    finally:
        os.close(folder)


def hand_over(descriptor: int, folder: Path) -> None:
    """Give a new file to the owner of its folder, where root has made it in the folder of somebody else."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        owner = folder.stat()
        if owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _replace(
    path: Path, content: bytes | Iterable[bytes], *, durable: bool, private: bool, handed: bool = False
) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # a crash may have left one, which others can read
        _write(temporary, content, durable=durable, private=private, handed=handed)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes | Iterable[bytes], *, durable: bool, private: bool, handed: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | posix.CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600 if private else 0o666), "wb") as file:
        if handed:
            hand_over(file.fileno(), path.parent)
        file.writelines([content] if isinstance(content, bytes) else content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
