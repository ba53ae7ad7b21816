"""Attributes of files (`chattr`) that forbid changes to everybody, and what to do about an error of writing."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from functools import cache
from typing import Any

IMMUTABLE, APPEND_ONLY = "i", "a"
_BITS = {IMMUTABLE: 0x10, APPEND_ONLY: 0x20}
"""Bits of `stx_attributes`, which lie 8 bytes behind the beginning of a `struct statx` of 256 bytes (statx(2))."""
_AT_FDCWD, _NOFOLLOW = -100, 0x100
_FLAGS = {
    IMMUTABLE: getattr(stat, "UF_IMMUTABLE", 0) | getattr(stat, "SF_IMMUTABLE", 0),
    APPEND_ONLY: getattr(stat, "UF_APPEND", 0) | getattr(stat, "SF_APPEND", 0),
}
"""The same of `st_flags`, on BSD and macOS."""


def attribute(path: str) -> str:
    """Return the attribute that forbids changes of a file or folder; empty if none does, or that cannot be seen.

    The file is not opened: to close it again would cost a database of this process its locks.
    """
    found = _statx()
    if found is None:
        return _of_flags(path)
    buffer = ctypes.create_string_buffer(256)
    if found(_AT_FDCWD, os.fsencode(path), _NOFOLLOW, 0, buffer) != 0:
        return ""
    bits = int.from_bytes(buffer.raw[8:16], sys.byteorder)
    return next((name for name, bit in _BITS.items() if bits & bit), "")


def mend(error: BaseException) -> str:
    """Return a part of a message: what to do about an error of writing; empty where the error itself says it."""
    if isinstance(error, PermissionError):
        attributes = ", and take the attribute that forbids it away (lsattr, chattr -i -a)"
        return f"; run this as a user who may write there{attributes if error.errno == errno.EPERM else ''}"
    if isinstance(error, FileNotFoundError) and "/.peak-" in str(error.filename):
        return "; that folder takes no new files: choose another place"
    return ""


@cache
def _statx() -> Any:
    return getattr(ctypes.CDLL(None), "statx", None)


def _of_flags(path: str) -> str:
    try:
        flags = getattr(os.lstat(path), "st_flags", 0)
    except OSError:
        return ""
    return next((name for name, bits in _FLAGS.items() if flags & bits), "")
