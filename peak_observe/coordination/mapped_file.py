"""Table in one mapped file that all processes of a host read and write under one `flock`.

Slots of 512 bytes hold a checksum, a length and JSON: a process that is killed in the middle of a write leaves a slot
that is read as empty, and the kernel frees its lock. One that is stopped keeps it, so nobody waits longer than a limit.
A file that was removed, replaced or cut is opened anew: the processes that keep the old one would be among themselves,
and the kernel kills a process that looks at a page beyond the end.
Changes that others should see are announced by a write to the file, which wakes their `inotify`; where there is none,
they look every few milliseconds.
"""

from __future__ import annotations

import json
import mmap
import os
import queue
import secrets
import select
import struct
import sys
import time
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import finalize

from peak_observe.coordination.engine import EngineError
from peak_observe.support.posix import fcntl
from peak_observe.support.timed_lock import TimedLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOT = 512
SLOTS = 8192
SIZE = SLOT * (SLOTS + 1)
MAGIC = b"peakshr1"
_HEADER = struct.Struct("<8s16sQII")  # magic, boot id, sequence, slots in use, times that a slot changed its name
_SLOT = struct.Struct("<IH")  # checksum and length of the JSON that follows
ROOM = SLOT - _SLOT.size
"""Bytes of JSON in a slot."""

_SPIN = 0.0005
_LOOK_EVERY = 0.01
_IN_MODIFY = 2


class MappedTable:
    """Rows by key in a mapped file.

    Args:
        path: The file, made if it is not there; its folder has to be writable.
        boot: 16 bytes that change with each start of the machine.
        timeout: Seconds that a caller waits for the lock at most.
        on_reboot: Called with the table, the lock held, where it is from before the last start of the machine.
    """

    def __init__(self, path: str, *, boot: bytes, timeout: float, on_reboot: Callable[[MappedTable], object]) -> None:
        self.path = path
        self._timeout = timeout
        self._mutex = TimedLock(timeout)  # flock knows files, not threads
        self._index: dict[str, int] = {}
        self._generation = (0, -1)
        self.is_lost = False
        try:
            os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 - text paths, as below
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            why = f"{path} cannot be opened: {error.strerror}; name a folder that all may write"
            raise EngineError(why, refused=True) from None
        self._file, self._bell = file, _Bell()
        # Closed by the last who uses it, as another thread may wait in it while this one opens the file anew.
        self._closed = finalize(self, _close, file, self._bell)
        self._closed.atexit = False
        try:
            self._bell.hang(path)
            self._prepare(boot, on_reboot)
        except OSError as error:  # no descriptor is left, or the disk has no such mapping
            self.close()
            raise EngineError(f"{path} cannot be mapped: {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    def _prepare(self, boot: bytes, on_reboot: Callable[[MappedTable], object]) -> None:
        with self._flock():
            if os.pread(self._file, len(MAGIC), 0).strip(b"\0") not in (b"", MAGIC):
                why = f"{self.path} is no shared state of this version: name another file"
                raise EngineError(why, refused=True)
            is_cut = os.fstat(self._file).st_size < SIZE
            _reserve(self._file, self.path)
            self._map = mmap.mmap(self._file, SIZE)
            magic, booted, *_ = _HEADER.unpack_from(self._map)
            if is_cut or magic != MAGIC:
                # A number of its own, so that who has indexed the slots of before does so anew.
                _HEADER.pack_into(self._map, 0, MAGIC, boot, 0, 0, secrets.randbits(30))
            elif booted != boot:
                on_reboot(self)  # before the header says so: if this process dies here, the next one does it
                _, _, sequence, used, generation = _HEADER.unpack_from(self._map)
                _HEADER.pack_into(self._map, 0, MAGIC, boot, sequence, used, generation)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the file.

        Raises:
            EngineError: Somebody else held it for too long, or the file is not the one of the others any more.
        """
        try:
            with self._mutex, self._flock():
                self._check_kept()
                yield
        except queue.Empty:
            raise EngineError("the lock of the file is busy in this process") from None

    def _check_kept(self) -> None:
        if not _is_kept(self._file, self.path):
            self.is_lost = True
            raise EngineError(f"{self.path} was removed, replaced or cut")

    @contextmanager
    def _flock(self) -> Iterator[None]:
        self._take_flock()
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take_flock(self) -> None:
        limit = time.monotonic() + self._timeout
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= limit:
                    raise EngineError("the lock of the file is held by a process that is stopped or hangs") from None
                time.sleep(_SPIN)
            except OSError as error:
                raise EngineError(f"the file cannot be locked: {error.strerror}") from None
            except BaseException:  # of a signal's handler, a moment after it was taken
                fcntl.flock(self._file, fcntl.LOCK_UN)
                raise
            else:
                return

    def read(self, key: str) -> list[Any] | None:
        """Return the row of a key, None if there is none; the lock is held."""
        place = self._place(key)
        return None if place is None else self._row(place)

    def rows(self) -> Iterator[tuple[str, list[Any]]]:
        """Yield all rows with their keys; the lock is held."""
        self._look()
        for key, place in self._index.items():
            row = self._row(place)
            if row is not None:
                yield key, row

    def write(self, key: str, row: list[Any]) -> None:
        """Write the row of a key; the lock is held.

        Raises:
            EngineError: The table is full.
        """
        place = self._place(key)
        if place is None:
            place = self._add(key)
        self._store(place, key, row)

    def reuse(self, old: str, key: str, row: list[Any]) -> None:
        """Give the slot of a key that is not needed any more to another; the lock is held."""
        place = self._place(old)
        if place is None:
            self.write(key, row)
            return
        magic, boot, sequence, used, generation = _HEADER.unpack_from(self._map)
        self._store(place, key, row)
        _HEADER.pack_into(self._map, 0, magic, boot, sequence, used, generation + 1)

    def announce(self) -> int:
        """Count a change that others should see, and wake them; the lock is held. Return its number."""
        magic, boot, sequence, used, generation = _HEADER.unpack_from(self._map)
        _HEADER.pack_into(self._map, 0, magic, boot, sequence + 1, used, generation)
        os.pwrite(self._file, b"!", SLOT - 1)  # a store to the map wakes nobody
        return int(sequence) + 1

    @property
    def sequence(self) -> int:
        """The number of the last change; needs no lock."""
        return int.from_bytes(self._map[24:32], "little")

    def wait(self, seconds: float) -> bool:
        """Wait until something is announced; return whether that may be so."""
        return self._bell.wait(seconds, lambda: self.sequence)

    def wake(self) -> None:
        """End a wait of this process."""
        self._bell.wake()

    def close(self) -> None:
        """Close the file."""
        self._closed()

    def _place(self, key: str) -> int | None:
        self._look()
        return self._index.get(key)

    def _look(self) -> None:
        """Bring the index up to date: slots are added at the end, and seldom renamed."""
        *_, used, generation = _HEADER.unpack_from(self._map)
        if (used, generation) == self._generation:
            return
        start = self._generation[0] if generation == self._generation[1] else 0
        if start == 0:
            self._index.clear()
        for number in range(start, used):
            stored = self._stored(SLOT * (number + 1))
            if stored is not None:
                self._index[stored[0]] = SLOT * (number + 1)
        self._generation = (used, generation)

    def _add(self, key: str) -> int:
        used: int
        magic, boot, sequence, used, generation = _HEADER.unpack_from(self._map)
        if used >= SLOTS:
            raise EngineError(f"{self.path} is full: {SLOTS} names are shared; names built from ids are a mistake")
        place = SLOT * (used + 1)
        self._store(place, key, [])
        _HEADER.pack_into(self._map, 0, magic, boot, sequence, used + 1, generation)
        self._look()
        self._index[key] = place
        return place

    def _store(self, place: int, key: str, row: list[Any]) -> None:
        data = json.dumps([key, *row], separators=(",", ":"), ensure_ascii=False).encode()
        if len(data) > ROOM:
            raise EngineError(f"a row of {len(data)} bytes does not fit a slot")
        self._map[place : place + _SLOT.size + len(data)] = _SLOT.pack(zlib.crc32(data), len(data)) + data

    def _stored(self, place: int) -> list[Any] | None:
        checksum, length = _SLOT.unpack_from(self._map, place)
        data = self._map[place + _SLOT.size : place + _SLOT.size + min(length, ROOM)]
        if zlib.crc32(data) != checksum or not data:
            return None  # torn by a kill in the middle of the write
        found: list[Any] = json.loads(data)
        return found

    def _row(self, place: int) -> list[Any] | None:
        stored = self._stored(place)
        return stored[1:] or None if stored is not None else None


def _close(file: int, bell: _Bell) -> None:
    bell.close()
    with suppress(OSError):
        os.close(file)


def _is_kept(file: int, path: str) -> bool:
    """Return whether an open file is still the one at its path, as far as that can be seen, and whole."""
    try:
        mine = os.fstat(file)
        return mine.st_size >= SIZE and os.path.samestat(mine, os.stat(path, follow_symlinks=False))  # noqa: PTH116 - as above
    except PermissionError:  # the folder was closed for this user, which ends nothing for who has the file open
        return True
    except OSError:
        return False


def _reserve(file: int, path: str) -> None:
    """Take the room of the whole table: where a disk is full, a write to a page that has none kills the process.

    Raises:
        EngineError: There is none.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, SIZE)
        else:  # macOS
            size = os.fstat(file).st_size
            os.pwrite(file, bytes(max(0, SIZE - size)), size)
    except OSError as error:
        raise EngineError(f"{path} needs {SIZE >> 20} MiB on its disk: {error.strerror}") from None


class _Bell:
    """Wakes up when another process announces a change of a file."""

    def __init__(self) -> None:
        self._seen: int | None = None
        self._inotify = self._woken = self._waker = -1

    def hang(self, path: str) -> None:
        self._woken, self._waker = os.pipe()
        if sys.platform == "linux":
            import ctypes

            system = ctypes.CDLL(None, use_errno=True)
            handle = system.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
            if handle >= 0 and system.inotify_add_watch(handle, os.fsencode(path), _IN_MODIFY) < 0:
                os.close(handle)  # none is left for this user: look at the file instead
            else:
                self._inotify = handle

    def wait(self, seconds: float, sequence: Callable[[], int]) -> bool:
        if self._inotify >= 0:
            ready = _readable([self._inotify, self._woken], seconds)
            with suppress(BlockingIOError):
                os.read(self._inotify, 4096)
            return self._inotify in ready
        limit = time.monotonic() + seconds
        while (now := sequence()) == self._seen and time.monotonic() < limit:
            if _readable([self._woken], _LOOK_EVERY):
                break
        changed, self._seen = now != self._seen, now
        return changed

    def wake(self) -> None:
        os.write(self._waker, b"!")

    def close(self) -> None:
        handle, self._inotify = self._inotify, -1
        for each in (handle, self._woken, self._waker):
            if each >= 0:
                os.close(each)
        self._woken = self._waker = -1


def _readable(files: list[int], seconds: float) -> list[int]:
    """Return the files that can be read; by poll, as select knows none of a number past 1,023."""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return [file for file, _ in poll.poll(seconds * 1000)]
