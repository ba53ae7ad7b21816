"""Notes of runs and restores that the ledger has no room for, in a file that needs no new room, or else in memory.

The room is taken while there is some. Each note then replaces the last but one in its place, so that one that a crash
cuts off takes nothing away. The counts only ever grow, and the ledger says how much of them it holds: nothing has to be
removed when they are brought into it, and a crash in between counts nothing twice.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from zlib import crc32

import msgspec

from peak_observe.backup_recovery.files.safe_read import content, decoded
from peak_observe.backup_recovery.repository.locking import briefly_locked
from peak_observe.measures import forks
from peak_observe.support import posix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

R = TypeVar("R")

SLOT = 512  # bytes that a disk writes at once
SLOTS = 2
_SUM = 8  # hexadecimal digits of the check sum
_WRITE = os.O_WRONLY | posix.NOFOLLOW | posix.NONBLOCK | posix.CLOEXEC


class Counts(msgspec.Struct, frozen=True):
    """Counts of runs and restores by outcome.

    Args:
        runs: How often a backup ended how.
        restores: How often a restore ended how.
        last_attempt: When the last backup was begun, as a Unix time in seconds.
        ended: The same of the last one that had begun to write and is over.
    """

    runs: dict[str, int] = {}
    restores: dict[str, int] = {}
    last_attempt: float = 0.0
    ended: float = 0.0

    def plus(self, other: Counts) -> Counts:
        """Return both together."""
        return self._with(other, added(self.runs, other.runs), added(self.restores, other.restores))

    def most(self, other: Counts) -> Counts:
        """Return the higher one of each count."""
        return self._with(other, _most(self.runs, other.runs), _most(self.restores, other.restores))

    def beyond(self, other: Counts) -> Counts:
        """Return what is more here than there."""
        return self._with(self, _beyond(self.runs, other.runs), _beyond(self.restores, other.restores))

    def _with(self, other: Counts, runs: dict[str, int], restores: dict[str, int]) -> Counts:
        times = max(self.last_attempt, other.last_attempt), max(self.ended, other.ended)
        return Counts(runs, restores, *times)


def added(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of counts."""
    return {**counts, **{key: counts.get(key, 0) + count for key, count in more.items()}}


def _most(counts: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    return {**counts, **{key: max(counts.get(key, 0), count) for key, count in others.items()}}


def _beyond(counts: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    return {key: count - others.get(key, 0) for key, count in counts.items() if count > others.get(key, 0)}


_memory: dict[Path, Counts] = {}
_lock = forks.RenewedLock()
"""Held for it, and while something of it is brought into the ledger, so that nothing is told twice or not at all."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_memory.clear)  # the parent counts what it remembers

_DECODER = msgspec.json.Decoder(tuple[int, Counts])


class Notes:
    """Notes of one repository.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, more: Counts, held: Counts) -> None:
        """Note something: on the disk, or in memory until this can be done.

        Args:
            more: What to note.
            held: What the ledger says that it holds of the notes; fewer of them than that were lost.
        """
        key = self._path.absolute()
        with _lock:
            _memory[key] = waiting = _memory.get(key, Counts()).plus(more)
            with suppress(OSError), briefly_locked(self._path):
                number, noted = self._newest()
                self._write(number + 1, noted.most(held).plus(waiting))
                del _memory[key]

    def read(self) -> Counts:
        """Return what was ever noted on the disk; what cannot be read counts for nothing."""
        with suppress(OSError):
            return self._newest()[1]
        return Counts()

    # Neither of them is a context of its own: an exception on the way into one leaves its block, and the lock with it,
    # to the collector.
    def bring(self, use: Callable[[Counts, Counts], R]) -> R:
        """Use what was ever noted on the disk, and what is in memory; that is forgotten then."""

        def brought(noted: Counts, remembered: Counts) -> R:
            result = use(noted, remembered)
            if remembered != Counts():
                del _memory[self._path.absolute()]
            return result

        return self.look(brought)

    def look(self, use: Callable[[Counts, Counts], R]) -> R:
        """Use the same, and forget nothing."""
        with _lock:
            found = _memory.get(self._path.absolute())
            if found is not None:
                return use(self.read(), found)
        return use(self.read(), Counts())  # nobody has to wait

    def prepare(self) -> None:
        """Take the room that notes need; where that cannot be done there are none."""
        with suppress(OSError):
            with suppress(FileNotFoundError):
                if os.lstat(self._path).st_size >= SLOT * SLOTS:
                    return
            with briefly_locked(self._path):
                self._put(bytes(SLOT * SLOTS), 0)

    def _newest(self) -> tuple[int, Counts]:
        text = content(self._path)
        found = [_decoded(text[place : place + SLOT]) for place in range(0, SLOT * SLOTS, SLOT)]
        return max(found, key=lambda item: item[0])

    def _write(self, number: int, counts: Counts) -> None:
        text = msgspec.json.encode((number, counts))
        self._put((b"%08x" % crc32(text) + text).ljust(SLOT), number % SLOTS * SLOT)

    def _put(self, text: bytes, place: int) -> None:
        descriptor = os.open(self._path, _WRITE)
        try:
            if os.pwrite(descriptor, text, place) < len(text):
                raise OSError(f"{self._path}: a part was written only")
            with suppress(OSError):  # it is there to be read, and must not be noted again
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _decoded(slot: bytes) -> tuple[int, Counts]:
    text = slot.rstrip(b" \0")
    try:
        if int(text[:_SUM], 16) == crc32(text[_SUM:]):
            return decoded(text[_SUM:], _DECODER)
    except ValueError:  # never written, or cut off
        pass
    return 0, Counts()
