"""Worker threads: apply a function to many files, large ones in parallel, and count the progress."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, compress, islice
from operator import not_
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")

LARGE = 1 << 20  # bytes from which on a thread of its own pays
WORKERS = min(4, os.cpu_count() or 1)
BATCH, BATCHES_AHEAD = 32, 2  # files: to hand each over by itself takes longer than to read it


class Progress(NamedTuple):
    """Progress of a backup, a check or a restore.

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


Tell = Callable[[Progress], object]


class CallbackError(Exception):
    """What a callback raised, which nobody is to take for an error of a file.

    Args:
        raised: The exception.
    """

    def __init__(self, raised: Exception) -> None:
        super().__init__(f"progress raised {describe(raised)}")
        self.raised = raised


@contextmanager
def as_raised() -> Iterator[None]:
    """Let what a callback raised end the block as it is."""
    try:
        yield
    except CallbackError as error:
        raised = error.raised
    else:
        return
    raise raised from raised.__cause__


class Meter:
    """Thread-safe sum of the work done, told to a callback.

    Args:
        tell: Called with a `Progress`, by one thread at a time; None if nobody wants to know.
        doing: What is done, in a word.
        total_files: Files in all.
        total_bytes: Bytes in all.
    """

    def __init__(
        self,
        tell: Tell | None,
        doing: str,
        total_files: int,
        total_bytes: int,
    ) -> None:
        self._tell = tell
        self._now = Progress(doing, 0, total_files, 0, total_bytes)
        self._lock = threading.Lock()
        if tell is not None and total_files:
            self._say(tell)  # the first file may take long

    def file(self, count: int = 0) -> None:
        """Take in that a file is done, and so many bytes with it."""
        if self._tell is not None:
            with self._lock:
                now = self._now
                self._now = now._replace(files=now.files + 1, size_bytes=now.size_bytes + count)
                self._say(self._tell)

    def bytes(self, count: int) -> None:
        """Take in that bytes are done."""
        if self._tell is not None:
            with self._lock:
                self._now = self._now._replace(size_bytes=self._now.size_bytes + count)
                self._say(self._tell)

    def _say(self, tell: Tell) -> None:
        try:
            tell(self._now)
        except Exception as error:
            raise CallbackError(error) from error


def each(function: Callable[[T], R], items: Sequence[T], size: Callable[[T], int], workers: int = WORKERS) -> list[R]:
    """Return what `function` makes of each item; the first exception ends all, and comes through.

    Small files are left to this thread: two that make or read many of them in one folder wait for each other's locks,
    in Python and in the system, longer than they work.

    Args:
        function: What to do.
        items: The files.
        size: Returns the bytes of one.
        workers: How many threads may work at large ones.
    """
    heavy = [size(item) >= LARGE for item in items]
    if not any(heavy):
        return list(map(function, items))
    results: list[R | None] = [None] * len(items)
    shared = compress(range(len(items)), heavy)  # gives each number to one thread only
    stop = threading.Event()

    def work(numbers: Iterable[int]) -> None:
        try:
            for number in numbers:
                if stop.is_set():
                    return
                results[number] = function(items[number])
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(max(1, workers - 1), "peak-observe-backup") as pool:
        futures = _submitted(pool, lambda: work(shared), min(workers - 1, sum(heavy)))
        try:
            work(chain(compress(range(len(items)), map(not_, heavy)), shared))
            for future in futures:
                future.result()
        finally:
            stop.set()  # also on Ctrl-C, which only this thread hears
    return results  # type: ignore[return-value] # every number was given out


@contextmanager
def beside(work: Callable[[], object], workers: int = WORKERS) -> Iterator[None]:
    """Do something in another thread while the block runs; what it raises comes through at the block's end.

    Args:
        work: What to do; it is left out where no thread can be started any more, as at the interpreter's end.
        workers: With less than two it is left out as well.
    """
    with ThreadPoolExecutor(1, "peak-observe-backup") as pool:
        futures = _submitted(pool, work, min(workers - 1, 1))
        yield
        for future in futures:
            future.result()


def ahead(function: Callable[[T], R], items: Iterable[T], workers: int = WORKERS) -> Generator[R]:
    """Yield what `function` makes of each item, in their order; another thread makes it some items ahead.

    To read many small files from a disk is to wait most of the time, and who writes them elsewhere waits as well.

    Args:
        function: What to do; what it raises comes through with the item, or with one shortly before it.
        items: The files.
        workers: With less than two nothing is made ahead.
    """
    if workers < 2:  # noqa: PLR2004 - this thread and another one
        yield from map(function, items)
        return
    left = iter(items)
    made: deque[Future[list[R]]] = deque()
    with ThreadPoolExecutor(1, "peak-observe-backup") as pool:
        try:
            while batch := list(islice(left, BATCH)):
                made.append(pool.submit(list, map(function, batch)))
                if len(made) > BATCHES_AHEAD:
                    yield from made.popleft().result()
            while made:
                yield from made.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _submitted(pool: ThreadPoolExecutor, work: Callable[[], R], count: int) -> list[Future[R]]:
    try:
        return [pool.submit(work) for _ in range(count)]
    except RuntimeError:
        return []  # the interpreter is about to end and gives no more threads: this one does it all
