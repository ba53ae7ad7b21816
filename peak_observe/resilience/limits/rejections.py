"""Shared parts of bulkheads and rate limits: outcomes, how long a call may wait, and events of rejected calls."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal, TypeAlias

from peak_observe import catalog
from peak_observe.events import LimitReached
from peak_observe.observers import emit
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.telemetry.tracing import spans

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from peak_observe.clock import Clock

AT_ONCE, AFTER_WAIT, REFUSED, OUT_OF_TIME, INTERRUPTED, WOULD_WAIT, WOULD_REFUSE = range(len(catalog.LIMIT_OUTCOMES))
REJECTED = frozenset({REFUSED, OUT_OF_TIME, WOULD_REFUSE})
QUIET = 30.0
"""Seconds for which a limit only counts rejections after it told of some, so that a storm is not one of events."""

Mode: TypeAlias = Literal["enforce", "observe"]
ENFORCE: Literal["enforce"] = "enforce"
OBSERVE: Literal["observe"] = "observe"


def check_mode(mode: object) -> None:
    """Raise ValueError unless `mode` is one of the two."""
    if mode not in {ENFORCE, OBSERVE}:
        raise ValueError(f"mode must be 'enforce' or 'observe' (count only, let all pass), not {mode!r}")


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


def waiting(kind: str, name: str) -> AbstractContextManager[object]:
    """Return the span of a wait where a span is recording; elsewhere a context that does nothing."""
    if spans.API in sys.modules and spans.recording():
        return spans.Operation(f"wait {name}", {f"peak_observe.{kind}": name})
    return nullcontext()
