"""Limit of the threads that ask an engine at the same time, whose connections it would have to refuse."""

from __future__ import annotations

import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING

from peak_observe.coordination.engine import EngineError
from peak_observe.support.timed_lock import TimedLock

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKING = 16
"""Threads that ask the engine at the same time; further ones wait for their turn, and no longer than for an answer."""


def new_turns() -> queue.SimpleQueue[None]:
    """Return a turn for each thread that may ask; of all queues and locks a signal handler may wait for this one."""
    turns: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(ASKING):
        turns.put(None)
    return turns


@contextmanager
def turn_of(turns: queue.SimpleQueue[None], timeout: float) -> Iterator[None]:
    """Wait while too many threads ask.

    Args:
        turns: The turns.
        timeout: Seconds to wait at most.

    Raises:
        EngineError: There was no turn in that time.
    """
    try:
        with TimedLock(timeout, turns):
            yield
    except queue.Empty:
        raise EngineError("too many threads ask at the same time") from None
