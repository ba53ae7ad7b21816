"""File systems whose files change without a trace in their status, when a program writes to them through `mmap`.

Only the first write to a page sets the time of the last change. A disk makes the next write a first one again when it
has written the page back; tmpfs (`/dev/shm`), ramfs and hugetlbfs write nothing back.
"""

from __future__ import annotations

import ctypes
import os

_IN_MEMORY = frozenset({0x0102_1994, 0x8584_58F6, 0x9584_58F6})
"""`f_type` of tmpfs, ramfs and hugetlbfs, as in `linux/magic.h`."""
_ROOM = 512  # bytes, more than a `struct statfs` has on any platform; its first word is the type


def is_in_memory(path: str) -> bool:
    """Return whether a file is on a file system in memory; False where that cannot be told."""
    call = getattr(ctypes.CDLL(None), "statfs", None)
    if call is None or os.uname().sysname != "Linux":
        return False
    found = ctypes.create_string_buffer(_ROOM)
    if call(os.fsencode(path), found) != 0:
        return False
    return ctypes.c_long.from_buffer(found).value & 0xFFFF_FFFF in _IN_MEMORY
