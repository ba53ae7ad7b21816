"""Lock file that one process holds: an `flock`, which the kernel frees the moment the process is gone.

The file's name is a salted hash, so that it tells nobody which API key it stands for. Whoever is refused adds a byte to
a file beside it, from which the holder counts: a process that may not start can tell Prometheus nothing itself.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from peak_observe.errors import AlreadyRunningError, InstanceLockError
from peak_observe.support import posix, process_start
from peak_observe.support.atomic_files import create_file
from peak_observe.support.posix import fcntl

if TYPE_CHECKING:
    from typing import Self

PATIENCE = 1.0
"""Seconds to wait for a holder to write its name, which it does right after it took the lock."""
MOST_REFUSALS = 1_000_000
"""Bytes of refusals that are kept."""
_SALT = ".instance-salt"
_FLAGS = os.O_RDWR | os.O_CREAT | posix.NOFOLLOW | posix.NONBLOCK | posix.CLOEXEC


class Holder(msgspec.Struct, frozen=True):
    """Holder of a lock: the process, its host, and when it began."""

    pid: int
    host: str
    since: str


class InstanceLock:
    """Lock held by this process, until it is released or the process ends.

    Args:
        path: The lock file.
        descriptor: The open and locked file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._found = os.fstat(descriptor)
        self._refused_before = 0
        self._refused = 0

    @classmethod
    def acquire(cls, name: str, identity: str, folder: Path) -> Self:
        """Take the lock.

        Args:
            name: What is held, for messages.
            identity: What only one process may hold; the file's name is its hash.
            folder: Where the file lies, made when it is missing.

        Raises:
            AlreadyRunningError: Another process holds it.
            InstanceLockError: The folder or its file system does not allow it.
        """
        if missing := posix.unsupported("locks of single instances"):
            raise InstanceLockError(name, str(folder), missing)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f".instance-{_digest(identity, _salt(folder))}.lock"
            descriptor = _locked(path)
            if descriptor is None:
                refused = _already_running(name, path)  # waits for the holder, who counts from when its name is there
                _count_refusal(path)
                raise refused
            lock = cls(path, descriptor)
            try:
                lock.sign()
            except BaseException:  # of a signal's handler: nobody knows of the lock yet
                lock.release()
                raise
        except OSError as error:
            raise InstanceLockError(name, str(folder), error.strerror or str(error)) from error
        return lock

    def sign(self) -> None:
        """Write down who holds it, for those who are refused, and count these from here on."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(process_start.started()))
        content = msgspec.json.encode(Holder(os.getpid(), socket.gethostname(), since))
        with suppress(OSError):
            _refusals_of(self._path).unlink()
        self._refused_before = self._size()
        with suppress(OSError):  # the file may be another user's: the lock holds without a name in it
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))

    @property
    def place(self) -> str:
        """Digest of this machine and the file: of all processes with the same one, only the holder is alive."""
        import hashlib

        try:
            machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            machine = socket.gethostname()
        text = f"{machine} {self._found.st_dev} {self._found.st_ino}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def held(self) -> bool:
        """Whether it is held, and the file is still the one that others see."""
        try:
            now = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116 - Path.stat() is this with more steps
        except OSError:
            return False
        return self._descriptor >= 0 and (now.st_dev, now.st_ino) == (self._found.st_dev, self._found.st_ino)

    @property
    def refusals(self) -> int:
        """Number of processes that were refused while this one held it."""
        if self._descriptor >= 0:
            self._refused = max(self._refused, self._size() - self._refused_before)
        return self._refused

    def _size(self) -> int:
        try:
            return _refusals_of(self._path).stat().st_size
        except OSError:
            return 0

    def release(self) -> None:
        """Give it back; twice is once."""
        self._refused = self.refusals
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # so that nobody takes the next holder for this one
                os.ftruncate(descriptor, 0)
            # To close it is not enough while a child that was forked meanwhile has it open too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def forget(self) -> None:
        """Close a forked child's copy, without unlocking what is the parent's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock, None if another process does."""
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            with suppress(FileNotFoundError):  # else it was removed before we had the lock
                if os.path.samestat(found, path.lstat()):
                    kept, descriptor = descriptor, -1
                    return kept
        except BlockingIOError:
            return None
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        descriptor = os.open(path, _FLAGS, 0o644)
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY | posix.NOFOLLOW | posix.NONBLOCK | posix.CLOEXEC)  # another user's
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path.name} is no regular file")
    return descriptor


def _already_running(name: str, path: Path) -> AlreadyRunningError:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            holder = msgspec.json.decode(path.read_bytes(), type=Holder)
        except (OSError, msgspec.DecodeError):
            time.sleep(0.01)
        else:
            return AlreadyRunningError(name, holder.pid, holder.since, holder.host)
    return AlreadyRunningError(name)


def _refusals_of(path: Path) -> Path:
    return path.with_suffix(".refused")


def _count_refusal(path: Path) -> None:
    with suppress(OSError):  # it may be another user's
        descriptor = os.open(_refusals_of(path), _FLAGS | os.O_APPEND, 0o644)
        try:
            if os.fstat(descriptor).st_size < MOST_REFUSALS:
                os.write(descriptor, b".")
        finally:
            os.close(descriptor)


def _digest(identity: str, salt: bytes) -> str:
    import hashlib

    return hashlib.blake2b(identity.encode(), digest_size=16, salt=salt, person=b"peak-observe").hexdigest()


def _salt(folder: Path) -> bytes:
    """Return the salt of a folder, made with its first lock: whoever comes second reads that of the first."""
    path = folder / _SALT
    if not path.exists():
        create_file(path, os.urandom(16))
    return path.read_bytes()[:16]
