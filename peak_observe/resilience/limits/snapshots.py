"""Frozen records of what a bulkhead or a rate limit has counted and how it stands at one moment."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from peak_observe import catalog
from peak_observe.resilience.common.modes import Mode
from peak_observe.resilience.limits.sliding_log import Window

if TYPE_CHECKING:
    from peak_observe.measures import BulkheadReading, RateLimitReading
    from peak_observe.resilience.limits.rate_controller import RateLimitController
    from peak_observe.resilience.limits.semaphore import FairSemaphore


class LimitStats(NamedTuple):
    """Calls of a limit by outcome since it was made.

    Args:
        at_once: Calls that passed without waiting.
        after_wait: Calls that passed after a wait.
        refused: Calls that were refused: no place, or no turn, within `wait`.
        out_of_time: Calls that were refused as the caller's deadline would have passed.
        interrupted: Waits that ended by cancellation or Ctrl-C.
        would_wait: Calls that mode `observe` let pass, and that would have had to wait.
        would_refuse: Calls that mode `observe` let pass, and that would have been refused.
        wait_seconds: Seconds that calls spent waiting.
    """

    at_once: int
    after_wait: int
    refused: int
    out_of_time: int
    interrupted: int
    would_wait: int
    would_refuse: int
    wait_seconds: float


class BulkheadSnapshot(NamedTuple):
    """Settings, counts and state of a bulkhead at one moment.

    Args:
        name: The bulkhead's name.
        at: The moment, in UTC.
        limit: How many calls may be under way.
        wait: Seconds that a call waits at most.
        mode: `enforce` or `observe`.
        in_flight: Calls under way.
        waiting: Calls in the queue.
        stats: Calls by outcome.
    """

    name: str
    at: datetime
    limit: int
    wait: float
    mode: Mode
    in_flight: int
    waiting: int
    stats: LimitStats


class RateLimitSnapshot(NamedTuple):
    """Settings, counts and state of a rate limit at one moment.

    Args:
        name: The rate limit's name.
        at: The moment, in UTC.
        windows: What may pass: weight, and the seconds in which it may. A single one is evenly spaced.
        burst: Weight that may pass at once after a pause.
        wait: Seconds that a call waits at most.
        mode: `enforce` or `observe`.
        reserve: Shares that are reserved for priority classes.
        waiting: Calls whose turn has yet to come.
        retry_after: Seconds until a call of weight 1 and no priority class would pass.
        pause: Seconds until calls pass again, 0.0 if the limit is not paused.
        weight: Weight of all calls that passed.
        stats: Calls by outcome.
    """

    name: str
    at: datetime
    windows: tuple[Window, ...]
    burst: float
    wait: float
    mode: Mode
    reserve: dict[str, float]
    waiting: int
    retry_after: float
    pause: float
    weight: float
    stats: LimitStats


def _stats(reading: BulkheadReading | RateLimitReading) -> LimitStats:
    return LimitStats(
        **dict(zip(catalog.LIMIT_OUTCOMES, reading.calls, strict=True)), wait_seconds=reading.wait_seconds
    )


def bulkhead_snapshot(semaphore: FairSemaphore) -> BulkheadSnapshot:
    """Return the snapshot of a bulkhead."""
    reading = semaphore.read()
    return BulkheadSnapshot(
        name=semaphore.name,
        at=semaphore.clock.now(),
        limit=semaphore.limit,
        wait=semaphore.wait,
        mode=semaphore.mode,
        in_flight=reading.in_flight or 0,
        waiting=reading.waiting or 0,
        stats=_stats(reading),
    )


def rate_limit_snapshot(controller: RateLimitController) -> RateLimitSnapshot:
    """Return the snapshot of a rate limit."""
    reading, settings = controller.read(), controller.settings
    return RateLimitSnapshot(
        name=controller.name,
        at=controller.clock.now(),
        windows=settings.windows,
        burst=settings.burst,
        wait=settings.wait,
        mode=settings.mode,
        reserve=dict(settings.reserve),
        waiting=reading.waiting or 0,
        retry_after=controller.retry_after(),
        pause=reading.pause or 0.0,
        weight=reading.weight,
        stats=_stats(reading),
    )
