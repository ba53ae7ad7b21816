"""One pass over a file: read, hash (BLAKE3) and write."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 1 << 18  # bytes; larger ones fall out of the processor's cache between hash and write
WRITABLE = 0o222
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_local = threading.local()


class NotRegularError(OSError):
    """What was to be read is a device, a pipe or a socket, not a file."""


class WriteError(OSError):
    """The copy could not be written, which is another matter than a source that cannot be read."""


class Copied(NamedTuple):
    """What came of copying one file.

    Args:
        size: Bytes read.
        blake3: Their hash, in hexadecimal.
        before: The file's status when reading began.
        stable: Whether the file was the same when reading ended.
    """

    size: int
    blake3: str
    before: os.stat_result
    stable: bool

    @property
    def sparse(self) -> bool:
        """Whether the file takes less room than its size says."""
        return is_sparse(self.before)


def is_sparse(status: os.stat_result) -> bool:
    """Return whether a file has holes, which take no room on the disk."""
    return status.st_blocks * 512 < status.st_size


def hashed(path: str, tell: Callable[[int], object] | None = None) -> Copied:
    """Return size and hash of a file, without writing.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    source, before = opened(path)
    try:
        return _pump(source, before, None, sparse=False, tell=tell)
    finally:
        os.close(source)


def copied(
    path: str, target: str, tell: Callable[[int], object] | None = None, *, sparse: bool | None = None
) -> Copied:
    """Copy a file to a new one, with its mode, less the right to write, and its time.

    Args:
        path: The file to read; a symbolic link is not followed.
        target: The new file; what stands there already is not overwritten.
        tell: Called with the bytes done since the last call.
        sparse: Whether to leave holes where there are only zeros; by default if the source has holes.

    Raises:
        WriteError: The copy cannot be written.
        OSError: The source cannot be read or is not a regular file.
    """
    source, before = opened(path)
    try:
        with writing(target):
            sink = os.open(target, CREATE, 0o600)
        try:
            holes = is_sparse(before) if sparse is None else sparse
            found = _pump(source, before, sink, sparse=holes, tell=tell)
            with writing(target):
                os.fchmod(sink, stat.S_IMODE(found.before.st_mode) & ~WRITABLE)
                os.utime(sink, ns=(found.before.st_atime_ns, found.before.st_mtime_ns))
        finally:
            with writing(target):  # some file systems tell only now that there was no room
                os.close(sink)
    finally:
        os.close(source)
    return found


def same(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether nothing says that a file changed between two looks."""
    return (one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino) == (
        other.st_size,
        other.st_mtime_ns,
        other.st_ctime_ns,
        other.st_ino,
    )


def opened(path: str) -> tuple[int, os.stat_result]:
    """Return a descriptor for reading a regular file, and the file's status.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    # Not to block on a pipe that took the file's place is what O_NONBLOCK is for.
    source = os.open(path, READ)
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        os.close(source)
        raise NotRegularError(None, "not a regular file", path)
    return source, status


def _pump(
    source: int,
    before: os.stat_result,
    sink: int | None,
    *,
    sparse: bool,
    tell: Callable[[int], object] | None,
) -> Copied:
    digest, size = blake3(), 0
    buffer = _buffer()
    # A file that grows as fast as it is read has no end; what it held at the beginning has.
    while size < before.st_size and (count := os.readv(source, [buffer])):
        chunk = buffer[:count]
        digest.update(chunk)
        size += count
        if sink is not None:
            _write(sink, chunk, hole=sparse and _zeros(chunk))
        if tell is not None:
            tell(count)
    if sink is not None and sparse:
        with writing():
            os.ftruncate(sink, size)
    after = os.fstat(source)
    return Copied(size, digest.hexdigest(), before, same(before, after) and size == after.st_size)


def _buffer() -> memoryview:
    found: memoryview | None = getattr(_local, "buffer", None)
    if found is None:
        found = _local.buffer = memoryview(bytearray(CHUNK))
    return found


def _zeros(chunk: memoryview) -> bool:
    return bytes(chunk).count(0) == len(chunk)


def _write(sink: int, chunk: memoryview, *, hole: bool) -> None:
    try:
        if hole:
            os.lseek(sink, len(chunk), os.SEEK_CUR)
            return
        while chunk:
            chunk = chunk[os.write(sink, chunk) :]
    except OSError as error:
        raise WriteError(error.errno, error.strerror) from error


@contextmanager
def writing(path: str | None = None) -> Iterator[None]:
    """Tell what goes wrong with a copy from what goes wrong with its source.

    Raises:
        WriteError: Instead of any other `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(error.errno, error.strerror, path) from error
