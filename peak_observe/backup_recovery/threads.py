"""The same function over many items, by a few threads, in the order of the items."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")

WORKERS = min(4, os.cpu_count() or 1)


class Progress(NamedTuple):
    """How far a backup, a check or a restore has come.

    Args:
        doing: What is done, in a word.
        files: Files done.
        total_files: Files in all.
        size_bytes: Bytes done.
        total_bytes: Bytes in all.
    """

    doing: str
    files: int
    total_files: int
    size_bytes: int
    total_bytes: int


class Meter:
    """Adds up what threads have done and tells somebody who wants to know.

    Args:
        tell: Called with a `Progress`, by one thread at a time; None if nobody wants to know.
        doing: What is done, in a word.
        total_files: Files in all.
        total_bytes: Bytes in all.
    """

    def __init__(
        self,
        tell: Callable[[Progress], object] | None,
        doing: str,
        total_files: int,
        total_bytes: int,
    ) -> None:
        self._tell = tell
        self._now = Progress(doing, 0, total_files, 0, total_bytes)
        self._lock = threading.Lock()

    def file(self) -> None:
        """Take in that a file is done."""
        if self._tell is not None:
            with self._lock:
                self._now = self._now._replace(files=self._now.files + 1)
                self._tell(self._now)

    def bytes(self, count: int) -> None:
        """Take in that bytes are done."""
        if self._tell is not None:
            with self._lock:
                self._now = self._now._replace(size_bytes=self._now.size_bytes + count)
                self._tell(self._now)


def each(function: Callable[[T], R], items: Sequence[T], workers: int = WORKERS) -> list[R]:
    """Return what `function` makes of each item; the first exception ends all, and comes through."""
    results: list[R | None] = [None] * len(items)
    numbers = iter(range(len(items)))  # an iterator over a range gives each number to one thread only
    stop = threading.Event()

    def work() -> None:
        try:
            for number in numbers:
                if stop.is_set():
                    return
                results[number] = function(items[number])
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(max(1, min(workers, len(items))), "peak-observe-backup") as pool:
        futures = _submitted(pool, work, min(workers, len(items)) - 1)
        try:
            work()
            for future in futures:
                future.result()
        finally:
            stop.set()  # also on Ctrl-C, which only this thread hears
    return results  # type: ignore[return-value] # every number was given out


def _submitted(pool: ThreadPoolExecutor, work: Callable[[], None], count: int) -> list[Future[None]]:
    try:
        return [pool.submit(work) for _ in range(count)]
    except RuntimeError:
        return []  # the interpreter is about to end and gives no more threads: this one does it all
