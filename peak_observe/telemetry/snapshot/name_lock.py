"""Lock of a process name: an `flock` on a file of its own, held for the life of the process and freed by the kernel.

Containers that share the folder see it across pid namespaces, time namespaces and boot ids. The owner of a name holds
it exclusively; who looks, or folds what a dead process left, shares it for an instant.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from weakref import finalize

from peak_observe.measures import forks
from peak_observe.support import posix
from peak_observe.support.posix import fcntl
from peak_observe.telemetry.snapshot import snapshot_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".lock"
PATIENCE = 2.0
"""Seconds to wait for those who look."""
RETRY = 0.01  # seconds
ATTEMPTS = 100
"""Times that a lock file may vanish, as its holder removes it, between two looks of one that wants it."""
_FLAGS = posix.NOFOLLOW | posix.NONBLOCK | posix.CLOEXEC
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}  # a file system without flock


class NameLock:
    """Lock of a name, held until it is released or the process ends; a forked child does not hold it.

    Args:
        path: The lock file.
        descriptor: The open file.
        created: Whether the file was made for it, so that its being free tells nothing of earlier owners.
        firm: Whether the file system has such locks.
    """

    def __init__(self, path: Path, descriptor: int, *, created: bool, firm: bool) -> None:
        self.created = created
        self.firm = firm
        self._path = path
        self._found = os.fstat(descriptor)
        self._descriptor = descriptor
        self._dropped = finalize(self, os.close, descriptor)
        self._dropped.atexit = False  # the last snapshot comes later, and the kernel frees the lock
        forks.renew(self)

    def after_fork(self) -> None:
        """Close this child's copy: a lock lasts until the last copy is closed."""
        self._close()

    def _close(self) -> None:
        if self._dropped.detach():  # not by calling it, which does nothing once the interpreter ends
            os.close(self._descriptor)

    @property
    def held(self) -> bool:
        """Whether it is held, and the lock file is still the one that others see."""
        return self._dropped.alive and _same(self._path, self._found)

    def release(self, *, remove: bool = False) -> None:
        """Free the name.

        Args:
            remove: Remove the lock file too, for nothing of the name is left.
        """
        if remove and self.held:
            with suppress(OSError):
                self._path.unlink()
        self._close()


def path_of(folder: Path, process: str) -> Path:
    """Return the lock file of a name."""
    return folder / f".{snapshot_file.path_of(folder, process).name.removesuffix(snapshot_file.SUFFIX)}{SUFFIX}"


def acquire(path: Path, *, patience: float = PATIENCE) -> NameLock | None:
    """Return the lock of a name; None if a living process has it.

    Args:
        path: The lock file, made when it is missing; what is no plain file is removed where that is allowed.
        patience: Seconds to wait for those who look.

    Raises:
        OSError: The lock file cannot be had.
    """
    if missing := posix.unsupported("snapshots of processes"):
        raise OSError(missing)
    deadline = time.monotonic() + patience
    while True:
        descriptor, created = _opened(path)
        try:
            taken = _flock(descriptor, fcntl.LOCK_EX)
            if taken is False and not _flock(descriptor, fcntl.LOCK_SH):
                return None
            if taken is not False and _same(path, os.fstat(descriptor)):
                kept, descriptor = descriptor, -1
                return NameLock(path, kept, created=created, firm=taken is True)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        if time.monotonic() >= deadline:
            return None
        time.sleep(RETRY)


def is_held(path: Path) -> bool | None:
    """Return whether a living process holds a name; None where no lock tells."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        return None
    try:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        free = _flock(descriptor, fcntl.LOCK_SH) if plain and fcntl is not None else None
    except OSError:
        free = None
    finally:
        os.close(descriptor)
    return None if free is None else not free


@contextmanager
def free(path: Path) -> Iterator[bool]:
    """Keep a name free for a moment, as nobody who comes can take it; yields False if a living process has it.

    Raises:
        OSError: The lock file cannot be had.
    """
    descriptor, _ = _opened(path)
    try:
        yield _flock(descriptor, fcntl.LOCK_SH) is not False and _same(path, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _opened(path: Path) -> tuple[int, bool]:
    """Return a descriptor of the lock file, and whether the file was made."""
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError):
            return _plain(path), False
        with suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o644), True
    raise FileExistsError(errno.EEXIST, "the lock file comes and goes", str(path))


def _plain(path: Path) -> int:
    """Return a descriptor of a plain file; a trap, such as a link or a pipe, is removed and counts as missing."""
    try:
        descriptor = _open(path)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EOPNOTSUPP):
            raise
    else:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    snapshot_file.remove(path)
    raise FileNotFoundError(errno.ENOENT, "a trap was removed", str(path))


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | _FLAGS)  # over NFS only what can be written can be locked
    except PermissionError:
        return os.open(path, os.O_RDONLY | _FLAGS)


def _flock(descriptor: int, kind: int) -> bool | None:
    """Return whether the lock was taken; None where there are no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def _same(path: Path, found: os.stat_result) -> bool:
    try:
        now = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - Path.stat() is this with more steps
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino)
