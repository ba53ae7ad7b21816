"""Copying of a file in one pass: read, hash (BLAKE3) and write; holes are neither read nor written."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from peak_observe.support import posix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 1 << 18  # bytes; larger ones fall out of the processor's cache between hash and write
WRITABLE = 0o222
READ = os.O_RDONLY | posix.NOFOLLOW | posix.NONBLOCK | posix.CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | posix.NOFOLLOW | posix.CLOEXEC

HEAD = 16  # bytes of the beginning of a file that are kept, enough to know a database by
PSEUDO = 1 << 30  # bytes that are read at most of what the kernel makes up

_ZEROS = memoryview(bytes(CHUNK))
_local = threading.local()


class NotRegularError(OSError):
    """Error of reading a device, a pipe or a socket as a file."""


class WriteError(OSError):
    """Error of writing a copy, as opposed to that of reading its source."""


class Copied(NamedTuple):
    """Result of copying one file.

    Args:
        size: Bytes read.
        blake3: Their hash, in hexadecimal.
        before: The file's status when reading began.
        stable: Whether the file was the same when reading ended; of one that may grow, whether it did nothing else.
        head: The first 16 bytes.
        grew: Whether the file was longer when reading ended.
    """

    size: int
    blake3: str
    before: os.stat_result
    stable: bool
    head: bytes = b""
    grew: bool = False

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
    except OSError as error:
        name(error, path)  # the system does so where it is opened only
        raise
    finally:
        os.close(source)


def stored_mode(mode: int) -> int:
    """Return the mode of a stored copy: nobody but its owner reads it, and it gives nobody the rights of another."""
    return stat.S_IRUSR | (mode & stat.S_IXUSR)


def copied(
    path: str,
    target: str,
    tell: Callable[[int], object] | None = None,
    *,
    sparse: bool | None = None,
) -> Copied:
    """Copy a file to a new one, with `stored_mode` and its time.

    Args:
        path: The file to read; a symbolic link is not followed.
        target: The new file; what stands there already is not overwritten.
        tell: Called with the bytes done since the last call.
        sparse: Whether to leave holes where there are only zeros; by default if the source has holes.

    Raises:
        WriteError: The copy cannot be written.
        OSError: The source cannot be read or is not a regular file.
    """
    return _copied(path, target, tell, sparse=sparse, grows=False)


def copied_prefix(path: str, target: str, tell: Callable[[int], object] | None = None) -> Copied:
    """Copy what a file held at the beginning, if it only grows meanwhile; like `copied` otherwise.

    Args:
        path: The file to read; a symbolic link is not followed.
        target: The new file.
        tell: Called with the bytes done since the last call.

    Raises:
        WriteError: The copy cannot be written.
        OSError: The source cannot be read or is not a regular file.
    """
    return _copied(path, target, tell, sparse=None, grows=True)


def _copied(
    path: str,
    target: str,
    tell: Callable[[int], object] | None,
    *,
    sparse: bool | None,
    grows: bool,
) -> Copied:
    source, before = opened(path)
    try:
        with writing(target):
            sink = os.open(target, CREATE, 0o600)
        try:
            holes = is_sparse(before) if sparse is None else sparse
            try:
                found = _pump(source, before, sink, sparse=holes, tell=tell, grows=grows)
            except WriteError as error:
                raise WriteError(error.errno, error.strerror, target) from error
            except OSError as error:
                name(error, path)
                raise
            with writing(target):
                os.fchmod(sink, stored_mode(found.before.st_mode))
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
    grows: bool = False,
) -> Copied:
    work = _Pass(sink, sparse=sparse, tell=tell)
    # A file that grows as fast as it is read has no end; what it held at the beginning has.
    for length, hole in stretches(source, before):
        if hole:
            work.skip(length)
        else:
            work.read(source, length)
    if sink is not None and sparse:
        with writing():
            os.ftruncate(sink, work.size)
    after = os.fstat(source)
    whole = _is_whole(work.size, before)
    grew = whole and before.st_ino == after.st_ino and before.st_size < after.st_size
    stable = whole and (same(before, after) or (grows and grew))
    return Copied(work.size, work.digest.hexdigest(), before, stable, work.head, grew)


class _Pass:
    """Running hash and copy of one file."""

    def __init__(self, sink: int | None, *, sparse: bool, tell: Callable[[int], object] | None) -> None:
        self.digest = blake3()
        self.size = 0
        self.head = b""
        self._sink = sink
        self._sparse = sparse
        self._tell = tell

    def read(self, source: int, length: int) -> None:
        """Take the next bytes of the source, less where it ends earlier."""
        buffer = _buffer()
        while length > 0 and (count := os.readv(source, [buffer[: min(CHUNK, length)]])):
            length -= count
            chunk = buffer[:count]
            if self._sink is not None:
                _write(self._sink, chunk, hole=self._sparse and _zeros(chunk))
            self._count(chunk)

    def skip(self, length: int) -> None:
        """Take a hole of the source, which is hashed as the zeros that it reads as."""
        if self._sink is not None:
            with writing():
                os.lseek(self._sink, length, os.SEEK_CUR)
        while length > 0:
            self._count(_ZEROS[: min(CHUNK, length)])
            length -= CHUNK

    def _count(self, chunk: memoryview) -> None:
        if not self.size:
            self.head = bytes(chunk[:HEAD])
        self.digest.update(chunk)
        self.size += len(chunk)
        if self._tell is not None:
            self._tell(len(chunk))


def stretches(source: int, status: os.stat_result) -> Iterator[tuple[int, bool]]:
    """Yield the length of each stretch of a file, and whether it is a hole."""
    size = status.st_size
    if size == 0:
        yield PSEUDO, False  # what the kernel makes up, as in /proc, has content and says 0 bytes
        return
    if not is_sparse(status):
        yield size, False
        return
    at = 0
    while at < size:
        data, end = _next_data(source, at, size)
        if data > at:
            yield data - at, True
        if end > data:
            os.lseek(source, data, os.SEEK_SET)
            yield end - data, False
        at = end


def _next_data(source: int, at: int, size: int) -> tuple[int, int]:
    """Return where the next data of a file with holes begins and ends."""
    try:
        data = min(os.lseek(source, at, os.SEEK_DATA), size)
        return data, min(os.lseek(source, data, os.SEEK_HOLE), size) if data < size else size
    except OSError as error:
        # Behind the last data there is but a hole; a file system that does not know its holes reads all of it.
        return (size, size) if error.errno == errno.ENXIO else (at, size)


def _is_whole(size: int, status: os.stat_result) -> bool:
    """Return whether all was read; what the kernel makes up takes no room, and its size is no promise."""
    return size == status.st_size or status.st_blocks == 0


def _buffer() -> memoryview:
    found: memoryview | None = getattr(_local, "buffer", None)
    if found is None:
        found = _local.buffer = memoryview(bytearray(CHUNK))
    return found


def _zeros(chunk: memoryview) -> bool:
    return bytes(chunk).count(0) == len(chunk)


def _write(sink: int, chunk: memoryview, *, hole: bool) -> None:
    with writing():
        if hole:
            os.lseek(sink, len(chunk), os.SEEK_CUR)
        else:
            write_all(sink, chunk)


def write_all(sink: int, text: memoryview) -> None:
    """Write all of a text, however little is written at a time.

    Raises:
        OSError: It cannot be written.
    """
    while text:
        text = text[os.write(sink, text) :]


def name(error: OSError, path: str | None) -> None:
    """Let an error name its file, unless a handler of a signal has raised it: that has no reason of the system's."""
    if error.strerror is not None:
        error.filename = error.filename or path


@contextmanager
def writing(path: str | None = None) -> Iterator[None]:
    """Tell what goes wrong with a copy from what goes wrong with its source.

    Raises:
        WriteError: Instead of any other `OSError`.
    """
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # of a handler of a signal
            raise
        raise WriteError(error.errno, error.strerror, path) from error
