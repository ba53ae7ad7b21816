"""Locking of a repository: one writer at a time, and the second one is told who the first is."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from peak_observe.backup_recovery.files.safe_read import decoded
from peak_observe.backup_recovery.repository.permissions import owners_rights
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import RepositoryLockedError
from peak_observe.support import posix
from peak_observe.support.atomic_files import hand_over
from peak_observe.support.posix import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Holder(msgspec.Struct, frozen=True):
    """Holder of a lock."""

    pid: int
    host: str
    since: str
    doing: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which began to {self.doing} at {self.since}"


PATIENCE = 10.0  # seconds for a lock that is held for an instant
_OPEN = os.O_RDWR | posix.CLOEXEC | posix.NOFOLLOW | posix.NONBLOCK
_DECODER = msgspec.json.Decoder(Holder)
_held: dict[int, None] = {}
"""Descriptors of locks that this process holds or tries to take."""


@contextmanager
def locked(path: Path, repository: Path, doing: str) -> Iterator[None]:
    """Hold the lock of a repository; the system lets go of it when the process ends, however it ends.

    Args:
        path: The lock file, or the repository's own folder, which can be locked like a file.
        repository: What is locked, for the message.
        doing: What the lock is for, for the message of the second one.

    Raises:
        RepositoryLockedError: Another process or thread holds it.
        OSError: The file cannot be opened.
    """
    # A descriptor of its own makes flock() tell threads of one process apart as well.
    with _let_go_of(_opened(path, folder=path == repository)) as descriptor:
        if not _taken(descriptor):
            raise RepositoryLockedError(str(repository), _holder(descriptor))
        since = SYSTEM_CLOCK.now().isoformat(timespec="seconds")
        _write(descriptor, msgspec.json.encode(Holder(os.getpid(), socket.gethostname(), since, doing)))
        yield


@contextmanager
def locked_if_writable(path: Path | None, repository: Path | None, doing: str) -> Iterator[None]:
    """Hold the lock of a repository as `locked` does, unless there is none, or it is read-only.

    Raises:
        RepositoryLockedError: Another process or thread holds it.
    """
    with ExitStack() as stack:
        if path is not None and repository is not None:
            with suppress(OSError):
                stack.enter_context(locked(path, repository, doing))
        yield


@contextmanager
def locked_for_reading(path: Path, repository: Path) -> Iterator[None]:
    """Keep writers out of a repository that this process cannot write; without a lock file there is none to keep out.

    Raises:
        RepositoryLockedError: Somebody writes there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield
        return
    with _let_go_of(descriptor):
        with suppress(OSError):  # a file system without locks
            if not _taken(descriptor, shared=True):
                raise RepositoryLockedError(str(repository), _holder(descriptor))
        yield


@contextmanager
def briefly_locked(path: Path) -> Iterator[None]:
    """Hold a lock that everybody holds for an instant only, and wait for it; also that of a folder.

    Raises:
        TimeoutError: Somebody holds it for longer, such as a process that has been stopped.
        OSError: The file cannot be opened.
    """
    with _let_go_of(_opened(path, folder=path.is_dir())) as descriptor:
        deadline = time.monotonic() + PATIENCE
        while not _taken(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"held by another process for more than {PATIENCE:g} s", str(path))
            time.sleep(0.005)
        yield


def _opened(path: Path, *, folder: bool) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if folder else _opened_file(path)


def _opened_file(path: Path) -> int:
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        descriptor = _made(path)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


@owners_rights()
def _made(path: Path) -> int:
    try:
        descriptor = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # somebody else was quicker
        return os.open(path, _OPEN)
    hand_over(descriptor, path.parent)
    return descriptor


def _taken(descriptor: int, *, shared: bool = False) -> bool:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _let_go_of(descriptor: int) -> Iterator[int]:
    """Let go of what is locked with a descriptor at the end of the block, and close it."""
    _held[descriptor] = None
    try:
        try:
            yield descriptor
        finally:
            _unlock(descriptor)
    finally:
        # No call comes before this one: after any, the handler of a signal could raise, and the lock would stay.
        if descriptor in _held:
            del _held[descriptor]
            try:  # noqa: SIM105 - see above
                os.close(descriptor)
            except OSError:  # what was done is done
                pass


def _unlock(descriptor: int) -> None:
    # To close it is not enough while a child that was forked meanwhile has it open too.
    if descriptor in _held:  # else this is a forked child of who holds it
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _write(descriptor: int, text: bytes) -> None:
    # Room that the file has already is not given back first: on a full disk somebody else may take it.
    size = 0
    with suppress(OSError):  # the lock holds without a name in it
        size = os.pwrite(descriptor, text, 0)
    with suppress(OSError):
        os.ftruncate(descriptor, size)


def _holder(descriptor: int) -> str:
    try:
        return str(decoded(os.pread(descriptor, 4096, 0), _DECODER))
    except (OSError, ValueError):
        return "another process"  # it has only just taken the lock


def _after_fork() -> None:
    """Leave the locks to the process that took them: one that lives longer would keep them."""
    for descriptor in tuple(_held):
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
