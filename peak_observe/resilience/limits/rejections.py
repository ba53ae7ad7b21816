"""What both kinds of limits tell of themselves: how calls came in, who waits, and who was turned away."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.events import LimitReached
from peak_observe.observers import emit
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.telemetry.tracing import spans

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from peak_observe.clock import Clock

AT_ONCE, AFTER_WAIT, REFUSED, OUT_OF_TIME, INTERRUPTED = range(len(catalog.LIMIT_OUTCOMES))
QUIET = 10.0
"""Seconds for which a limit that told of refusals only counts them, so that a storm of them is not one of events."""


class Refusals:
    """Tells of refusals: of the first at once, of later ones how many there were.

    Args:
        kind: `bulkhead` or `rate_limit`.
        name: The limit's name.
        limit: What is allowed.
        clock: Where the time comes from.
    """

    def __init__(self, kind: str, name: str, limit: float, clock: Clock) -> None:
        self._kind = kind
        self._name = name
        self._limit = limit
        self._clock = clock
        self._told: float | None = None
        self._count = 0

    def count(self) -> LimitReached | None:
        """Count one more and return the news, if it is time for some; with the lock of the limit held."""
        now = self._clock.monotonic()
        self._count += 1
        if self._told is not None and now - self._told < QUIET:
            return None
        self._told, count, self._count = now, self._count, 0
        return LimitReached(self._kind, self._name, count, self._limit)


def tell(news: LimitReached | None) -> None:
    """Emit the news, if there are any."""
    if news is not None:
        emit(news)


def patience(wait: float) -> tuple[float, int]:
    """Return the seconds a call may wait, and the outcome if that is too short: the deadline may end it earlier."""
    left = remaining() if wait else None
    return (wait, REFUSED) if left is None or left >= wait else (left, OUT_OF_TIME)


def waiting(kind: str, name: str) -> AbstractContextManager[object]:
    """Return the span of a wait, where a span is being recorded; elsewhere nothing."""
    if spans.API in sys.modules and spans.recording():
        return spans.Operation(f"wait {name}", {f"peak_observe.{kind}": name})
    return nullcontext()
