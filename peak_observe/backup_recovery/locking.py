"""One writer in a repository at a time, and the second one is told who it is."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import RepositoryLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock."""

    pid: int
    host: str
    since: str
    doing: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which began to {self.doing} at {self.since}"


@contextmanager
def locked(path: Path, repository: Path, doing: str) -> Iterator[None]:
    """Hold the lock of a repository; the system lets go of it when the process ends, however it ends.

    Args:
        path: The lock file.
        repository: What is locked, for the message.
        doing: What the lock is for, for the message of the second one.

    Raises:
        RepositoryLockedError: Another process or thread holds it.
        OSError: The file cannot be opened or written.
    """
    # A descriptor of its own makes flock() tell threads of one process apart as well.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RepositoryLockedError(str(repository), _holder(descriptor)) from None
        since = SYSTEM_CLOCK.now().isoformat(timespec="seconds")
        _write(descriptor, msgspec.json.encode(Holder(os.getpid(), socket.gethostname(), since, doing)))
        yield
    finally:
        os.close(descriptor)


@contextmanager
def briefly_locked(path: Path) -> Iterator[None]:
    """Hold a lock that everybody holds for an instant only, and wait for it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(descriptor: int, text: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)


def _holder(descriptor: int) -> str:
    try:
        return str(msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Holder))
    except (OSError, ValueError):
        return "another process"  # it has only just taken the lock
