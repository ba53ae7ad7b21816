"""Run blocking functions in daemon threads from asyncio; the exit does not wait for them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """Return what a function returns that runs in a thread of its own, as it may hang."""
    future: Future[T] = Future()
    threading.Thread(target=_do, args=(work, future), name="peak-observe-apart", daemon=True).start()
    return await asyncio.wrap_future(future)


def _do(work: Callable[[], T], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return  # the client has gone
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
        future.set_exception(error)


class WorkerThread:
    """Thread that runs one function after the other.

    A thread for each answer would spread them over the allocator's arenas, and the memory would grow with their number.

    Args:
        name: What the thread is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: SimpleQueue[tuple[Callable[[], object], Future[object]]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Return how many functions wait for their turn."""
        return self._waiting.qsize()

    async def __call__(self, work: Callable[[], T]) -> T:
        """Return what a function returns when its turn has come."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"peak-observe-{self._name}", daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._waiting.put((work, future))  # type: ignore[arg-type] # a pair of the same T each
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while True:
            _do(*self._waiting.get())
