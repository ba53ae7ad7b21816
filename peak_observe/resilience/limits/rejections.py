"""Shared parts of bulkheads and rate limits: outcomes, how long a call may wait, and events of rejected calls."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.errors import DeadlineExceededError, RefusedError, ShuttingDownError
from peak_observe.events import LimitReached
from peak_observe.observers import emit
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.telemetry.tracing import spans

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from peak_observe.clock import Clock
    from peak_observe.resilience.common.modes import Mode

AT_ONCE, AFTER_WAIT, REFUSED, OUT_OF_TIME, INTERRUPTED, WOULD_WAIT, WOULD_REFUSE = range(len(catalog.LIMIT_OUTCOMES))
REJECTED = frozenset({REFUSED, OUT_OF_TIME, WOULD_REFUSE})
QUIET = 30.0
"""Seconds for which a limit only counts rejections after it told of some, so that a storm is not one of events."""


class RejectionEvents:
    """Throttle of the events of rejected calls: one for the first, then at most one sum in 30 seconds.

    Args:
        kind: `bulkhead` or `rate_limit`.
        name: The limit's name.
        clock: Where the time comes from.
    """

    def __init__(self, kind: str, name: str, clock: Clock) -> None:
        self._kind = kind
        self._name = name
        self._clock = clock
        self._told: float | None = None
        self._count = 0

    def count(self, limit: float, mode: Mode) -> LimitReached | None:
        """Count one rejection and return the event that is due, if one is; call it with the limit's lock held."""
        now = self._clock.monotonic()
        self._count += 1
        if self._told is not None and now - self._told < QUIET:
            return None
        self._told, count, self._count = now, self._count, 0
        return LimitReached(self._kind, self._name, count, limit, mode)


def tell(event: LimitReached | None) -> None:
    """Emit an event, if there is one."""
    if event is not None:
        emit(event)


def patience(wait: float) -> tuple[float, int]:
    """Return the seconds a call may wait, and the outcome if that is too short: the deadline may end it earlier."""
    left = remaining() if wait else None
    return (wait, REFUSED) if left is None or left >= wait else (left, OUT_OF_TIME)


class Wait:
    """Context of one wait: tells how it ended and how long it took, inside a span where one is recording.

    Args:
        kind: The attribute of the span: `bulkhead` or `limiter`.
        name: The limit's name.
        clock: Source of the time.
        end: Called with the outcome and the seconds; returns the event that is due.
    """

    __slots__ = ("_clock", "_end", "_span", "_start")

    def __init__(self, kind: str, name: str, clock: Clock, end: Callable[[int, float], LimitReached | None]) -> None:
        recording = spans.API in sys.modules and spans.recording()
        self._span = spans.Operation(f"wait {name}", {f"peak_observe.{kind}": name}) if recording else None
        self._clock = clock
        self._end = end
        self._start = clock.monotonic()

    def __enter__(self) -> None:
        if self._span is not None:
            self._span.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._span is not None:
                self._span.__exit__(kind, error, traceback)
        finally:
            tell(self._end(_outcome(error), max(0.0, self._clock.monotonic() - self._start)))


def _outcome(error: BaseException | None) -> int:
    if error is None:
        return AFTER_WAIT
    if isinstance(error, RefusedError) and not isinstance(error, ShuttingDownError):
        return OUT_OF_TIME if isinstance(error, DeadlineExceededError) else REFUSED
    return INTERRUPTED
