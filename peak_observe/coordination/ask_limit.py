"""Limit of the threads of a process that ask an engine at the same time."""

from __future__ import annotations

import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING

from peak_observe.coordination.engine import EngineError
from peak_observe.measures import forks

if TYPE_CHECKING:
    from collections.abc import Iterator

THREADS = 16


class AskLimit:
    """Limit of threads; further ones wait for their turn, as the engine would have to refuse their connections.

    Args:
        timeout: Seconds that a thread waits at most.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.after_fork()
        forks.renew(self)

    def after_fork(self) -> None:
        """Give all turns back in a forked child, whose parent's threads had some."""
        # Of all queues and locks a signal handler may wait for this one.
        self.turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(THREADS):
            self.turns.put(None)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and give it back at the end.

        Raises:
            EngineError: Too many threads ask.
        """
        turns = self.turns
        try:
            turns.get(timeout=self._timeout)
        except queue.Empty:
            raise EngineError("too many threads ask at the same time") from None
        try:
            yield
        finally:
            turns.put(None)
