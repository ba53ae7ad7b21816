"""Throttle of log lines that repeat: the first is written, then at most one in 30 seconds with how many there were."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.events import (
    CallTimedOut,
    GaveUp,
    HedgeFailed,
    Recovered,
    RetryScheduled,
    StreamBroken,
    StreamResumed,
)
from peak_observe.measures import forks

if TYPE_CHECKING:
    from collections.abc import Hashable

    from peak_observe.clock import Clock
    from peak_observe.events import Event

QUIET = 30.0
MOST_KEYS = 4096
MOST_ATTEMPTS = 10
"""Attempts that have lines of their own; all later ones of an operation share theirs."""


class Repeated(NamedTuple):
    """Lines that were left out since the last one of their kind, and over how many seconds."""

    times: int
    seconds: float


class LogThrottle:
    """Decides which of many equal lines are written; for all threads.

    Args:
        clock: Source of the time.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lines: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()
        forks.renew(self)

    def after_fork(self) -> None:
        """Make the lock anew: a thread of the parent may have held it."""
        self._lock = threading.Lock()

    def admit(self, event: Event) -> Repeated | None:
        """Return what the line of an event stands for; None if the line is left out."""
        key = _key(event)
        if key is None:
            return Repeated(0, 0.0)
        now = self._clock.monotonic()
        with self._lock:
            at, count = self._lines.get(key, (now - QUIET, 0))
            if now - at < QUIET:
                self._lines[key] = (at, count + 1)
                return None
            self._lines[key] = (now, 0)
            self._lines.move_to_end(key)
            if len(self._lines) > MOST_KEYS:
                self._lines.popitem(last=False)
        return Repeated(count, now - at)


def _key(event: Event) -> Hashable:
    """Return what makes lines equal: the kind of event and the name; None for events that always have a line."""
    match event:
        case RetryScheduled():
            return RetryScheduled, event.operation, min(event.attempt, MOST_ATTEMPTS)
        case GaveUp():
            return GaveUp, event.operation, event.outcome
        case CallTimedOut() | HedgeFailed() | Recovered():
            return type(event), event.operation
        case StreamBroken() | StreamResumed():
            return type(event), event.name, event.stream
    return None
