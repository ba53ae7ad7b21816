"""Mapped byte of a trading switch: not 0 while its file says trading, so that a call before an order reads one byte.

It is set to 0 before the file says anything else, and back after the file says trading: what finds 0 reads the file.
Each process maps it; it is written by `pwrite`, as a store to a map of a full disk ends the process.
"""

from __future__ import annotations

import mmap
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from peak_observe.measures import forks
from peak_observe.support import posix

if TYPE_CHECKING:
    from pathlib import Path

SHUT, OPEN = b"\0", b"\1"


class SwitchByte:
    """Byte of one switch, shared by all processes that map it.

    Args:
        path: Its file, made where that can be done.
    """

    def __init__(self, path: Path) -> None:
        self.cell: mmap.mmap | bytes = SHUT
        self._path = path
        self._descriptor = -1
        self._found: tuple[int, int] | None = None
        self._lock = threading.RLock()
        forks.renew(self)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.RLock()

    def look(self) -> None:
        """Map the file, anew if another one is in its place; where that fails the byte is 0 here."""
        with self._lock:
            if not self._is_current():
                self._forget()
                with suppress(OSError, ValueError):
                    self._map()

    def shut(self) -> None:
        """Have all processes read the file before they let anything pass."""
        self._write(SHUT)

    def open(self) -> None:
        """Let all processes pass without a look at the file, which says trading."""
        self._write(OPEN)

    def _is_current(self) -> bool:
        try:
            now = os.stat(self._path)  # noqa: PTH116 - four times a second: Path.stat() is this with more steps
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == self._found and now.st_size > 0

    def _map(self) -> None:
        flags = posix.CLOEXEC | posix.NOFOLLOW
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | flags, 0o666)
        except PermissionError:
            self._descriptor = os.open(self._path, os.O_RDONLY | flags)  # another user's, who alone changes it
        if not os.fstat(self._descriptor).st_size:
            os.pwrite(self._descriptor, SHUT, 0)
        found = os.fstat(self._descriptor)
        self.cell = mmap.mmap(self._descriptor, 1, access=mmap.ACCESS_READ)
        self._found = found.st_dev, found.st_ino

    def _forget(self) -> None:
        # The old map is not closed: another thread may be reading it at this moment.
        self.cell, self._found = SHUT, None
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, value: bytes) -> None:
        self.look()
        with self._lock, suppress(OSError):  # where it fails, all look at the file within a quarter of a second
            os.pwrite(self._descriptor, value, 0)

    def __del__(self) -> None:
        with suppress(OSError):
            self._forget()
