"""Lock of one intent among threads and processes: while one works on a key, the others wait for its order."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from peak_observe.support import posix
from peak_observe.support.posix import fcntl

_OPEN = os.O_RDWR | os.O_CREAT | posix.CLOEXEC | posix.NOFOLLOW


class KeyHold:
    """Lock of one intent that is held: let go of at the latest when nobody knows it any more.

    So it is where the handler of a signal raised before whoever took it could note that.

    Args:
        locks: The locks of its journal.
        number: The intent.
    """

    def __init__(self, locks: KeyLocks, number: int) -> None:
        self._locks = locks
        self._number = number
        self._mark = object()  # for the locks, which must not keep the hold itself alive

    def take(self) -> bool:
        """Take it; return False while another thread or process has it."""
        return self._locks.take(self._number, self._mark)

    def free(self) -> None:
        """Let go of it; twice is once."""
        self._locks.free(self._number, self._mark)

    __del__ = free


class KeyLocks:
    """Locks of the intents of one journal: each is one byte of a file, which the system frees when a process ends.

    Args:
        path: The lock file.
    """

    # Locks of this kind belong to the process, and closing any descriptor of the file lets go of all of them: there is
    # one descriptor for each file, for the life of the process.
    _files: dict[str, KeyLocks] = {}  # noqa: RUF012 - shared on purpose
    _files_lock = threading.Lock()

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, _OPEN, 0o600)
        self._held: dict[int, object] = {}
        self._lock = threading.RLock()  # the collector may free one while we are inside
        self._pid = os.getpid()

    @classmethod
    def of(cls, path: Path) -> KeyLocks:
        """Return the locks of a file, the same for all journals of this process.

        Raises:
            OSError: The file cannot be opened.
        """
        name = os.path.realpath(path)
        with cls._files_lock:
            found = cls._files.get(name)
            if found is None or found._pid != os.getpid() or not found._current(name):  # noqa: SLF001 - its own kind
                found = cls._files[name] = cls(path)
            return found

    def _current(self, name: str) -> bool:
        try:
            return os.path.samestat(Path(name).stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def hold(self, number: int) -> KeyHold | None:
        """Take the lock of an intent; return None while another thread or process has it."""
        hold = KeyHold(self, number)
        return hold if hold.take() else None

    def take(self, number: int, mark: object = None) -> bool:
        """Take the lock of an intent for who shows this mark; return False while another one has it."""
        with self._lock:
            if number in self._held:
                return False
            self._held[number] = mark  # first, so that whatever is locked below is let go of
            if fcntl is not None:
                try:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                except (BlockingIOError, PermissionError):
                    del self._held[number]
                    return False
            return True

    def free(self, number: int, mark: object = None) -> None:
        """Let go of the lock of an intent that was taken with this mark."""
        if self._pid != os.getpid():
            return  # this is a forked child, in which a thread that is not here may have the lock
        with self._lock:
            if number in self._held and self._held[number] is mark:
                if fcntl is not None:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)
                del self._held[number]


def _after_fork() -> None:
    KeyLocks._files_lock = threading.Lock()  # noqa: SLF001 - a thread that is not here may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
