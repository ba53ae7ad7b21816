"""File systems whose files change without a trace in their status, when a program writes to them through `mmap`.

Only the first write to a page sets the time of the last change. A disk makes the next write a first one again when it
has written the page back, which it does at once where `write_back` asks for it; tmpfs (`/dev/shm`), ramfs and hugetlbfs
write nothing back, nor does an overlay whose upper layer is on one of them.
"""

from __future__ import annotations

import ctypes
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.files.copying import READ

if TYPE_CHECKING:
    from pathlib import Path

_IN_MEMORY = frozenset({0x0102_1994, 0x8584_58F6, 0x9584_58F6})
"""`f_type` of tmpfs, ramfs and hugetlbfs, as in `linux/magic.h`."""
_OVERLAY = 0x794C_7630
_PLAIN = frozenset({0x0102_1994, 0xEF53})
"""Those of tmpfs and ext4, where a file without holes takes its size, and what is said to be free is all there is."""
_ROOM = 512  # bytes, more than a `struct statfs` has on any platform; its first word is the type
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def is_in_memory(path: str) -> bool:
    """Return whether what is written to a file stays in memory; False where that cannot be told."""
    found = _type_of(os.fsencode(path))
    if found == _OVERLAY:
        with suppress(OSError, ValueError):  # an upper layer of another namespace, as that of a container, is not seen
            found = _type_of(_upper_layer(path))
    return found in _IN_MEMORY


def is_plain(path: str) -> bool:
    """Return whether a file surely takes as much room as its size says; others compress, or free more when asked."""
    return _type_of(os.fsencode(path)) in _PLAIN


def _type_of(path: bytes) -> int:
    """Return the `f_type` of a file's file system; 0 where that cannot be told."""
    call = getattr(ctypes.CDLL(None), "statfs", None)
    if call is None or os.uname().sysname != "Linux":
        return 0
    found = ctypes.create_string_buffer(_ROOM)
    if call(path, found) != 0:
        return 0
    return ctypes.c_long.from_buffer(found).value & 0xFFFF_FFFF


def _upper_layer(path: str) -> bytes:
    """Return the upper layer of the overlay that a file is on; empty if it has none.

    Raises:
        OSError: It cannot be told.
        ValueError: It cannot be told.
    """
    # With `O_PATH` no lock of this process on the file is lost when the descriptor is closed.
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
            (mount,) = (line.split()[1] for line in file if line.startswith(b"mnt_id:"))
    finally:
        os.close(descriptor)
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            if line.split(b" ", 1)[0] == mount:
                for option in line.split()[-1].split(b","):
                    if option.startswith(b"upperdir=/"):
                        return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), option.partition(b"=")[2])
    return b""


def sync_filesystem(folder: Path) -> None:
    """Bring everything written to the file system of `folder` to the disk.

    Raises:
        OSError: The disk reports an error.
    """
    descriptor = os.open(folder, _FOLDER)
    try:
        _sync(descriptor, str(folder))
    finally:
        os.close(descriptor)


def _sync(descriptor: int, path: str) -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:  # not Linux
        os.sync()
    elif call(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def write_back(path: str, status: os.stat_result) -> None:
    """Let the file system of a file write back what was written to it, so that the next write shows in its times.

    What goes wrong with that says nothing of the file.

    Args:
        path: The file.
        status: Its status.
    """
    folder = os.path.dirname(path)
    if _is_synced(folder, _FOLDER, status.st_dev):
        return
    # It is a mount of its own, or on an overlay.
    for descriptor in sqlite.open_here(status):  # to open and close it once more would cost this process its locks
        with suppress(OSError):
            _sync(descriptor, path)
        return
    _is_synced(path, READ, status.st_dev)


def _is_synced(path: str, flags: int, device: int) -> bool:
    """Sync the file system of a file or folder, and return whether that is one of a device."""
    with suppress(OSError):
        descriptor = os.open(path, flags)
        try:
            found = os.fstat(descriptor).st_dev == device
            with suppress(OSError):
                _sync(descriptor, path)
        finally:
            os.close(descriptor)
        return found
    return False
