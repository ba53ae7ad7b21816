"""Statistics and snapshot of a retry, as frozen records of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.catalog import RETRY_OUTCOMES
from peak_observe.measures import RetryReading
from peak_observe.resilience.retry import switch

if TYPE_CHECKING:
    from peak_observe.resilience.retry.controller import RetryController


class RetryStats(NamedTuple):
    """Operations of one decorated function by outcome, and their attempts.

    Args:
        first_try: Operations that succeeded at once.
        after_retry: Operations that succeeded after a retry.
        exhausted: Operations that failed at their last attempt.
        not_retryable: Operations that failed with something that is not retried.
        out_of_time: Operations for whose next attempt no time was left.
        out_of_budget: Operations whose retry the budget refused.
        retries: Attempts after the first ones.
        backoff_seconds: Seconds slept between attempts.
        errors: Failed attempts by the class of their exception; `_result` for results that were not accepted.
    """

    first_try: int
    after_retry: int
    exhausted: int
    not_retryable: int
    out_of_time: int
    out_of_budget: int
    retries: int
    backoff_seconds: float
    errors: Mapping[str, int]


class RetrySnapshot(NamedTuple):
    """Settings and counts of a retry at one moment.

    Args:
        name: The label value of its metrics.
        at: The moment, in UTC.
        enabled: Whether retries are on; while `disable_retries` holds, each operation is tried once.
        max_attempts: How often it tries at most; None where only time ends it.
        base_delay: Seconds before the second attempt.
        max_delay: Upper limit in seconds of the growing delay.
        exponential: Whether the delay grows.
        multiplier: By how much each delay is longer than the one before.
        timeout: Seconds from the first attempt within which the last one begins; None for no limit.
        attempt_timeout: Seconds after which an attempt is cancelled; None for no limit.
        budget: The name of its retry budget, or None.
        nested: `warn` or `inner_only`.
        stats: Operations by outcome, and their attempts.
        mode: `enforce` or `observe`.
        would_retry: Operations that mode `observe` tried once, and that would have been retried.
    """

    name: str
    at: datetime
    enabled: bool
    max_attempts: int | None
    base_delay: float
    max_delay: float
    exponential: bool
    multiplier: float
    timeout: float | None
    attempt_timeout: float | None
    budget: str | None
    nested: str
    stats: RetryStats
    mode: str = "enforce"
    would_retry: int = 0


def snapshot_of(controller: RetryController, before: RetryReading | None) -> RetrySnapshot:
    """Return the snapshot of a retry, with the statistics since a reading, or since the beginning."""
    now = controller.read()
    settings = controller.settings
    schedule = settings.schedule
    return RetrySnapshot(
        name=controller.name,
        at=controller.clock.now(),
        enabled=not switch.are_off(),
        max_attempts=settings.max_attempts,
        base_delay=schedule.base,
        max_delay=schedule.cap,
        exponential=schedule.exponential,
        multiplier=schedule.multiplier,
        timeout=settings.timeout,
        attempt_timeout=settings.attempt_timeout,
        budget=None if settings.budget is None else settings.budget.name,
        nested=settings.options["nested"],
        mode=settings.mode,
        stats=stats_between(before, now),
        would_retry=_observed(now) - (_observed(before) if before else 0),
    )


def _observed(reading: RetryReading) -> int:
    return sum(reading.calls[len(RETRY_OUTCOMES) :])


def stats_between(before: RetryReading | None, now: RetryReading) -> RetryStats:
    """Return the statistics of the time between two readings, or from the beginning to one."""
    then = [] if before is None else before.calls
    calls = [count - earlier for count, earlier in zip_longest(now.calls, then, fillvalue=0)]
    first, after, exhausted, not_retryable, out_of_time, out_of_budget, *_ = calls
    known = before.errors if before else {}
    errors = {kind: count - known.get(kind, 0) for kind, count in now.errors.items()}
    return RetryStats(
        first_try=first,
        after_retry=after,
        exhausted=exhausted,
        not_retryable=not_retryable,
        out_of_time=out_of_time,
        out_of_budget=out_of_budget,
        retries=now.retries - (before.retries if before else 0),
        backoff_seconds=now.backoff_seconds - (before.backoff_seconds if before else 0.0),
        errors={kind: count for kind, count in errors.items() if count},
    )
