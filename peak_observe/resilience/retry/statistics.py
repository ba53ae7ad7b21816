"""Statistics of a retry, as a frozen record of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from peak_observe.measures import RetryReading


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


def stats_between(before: RetryReading | None, now: RetryReading) -> RetryStats:
    """Return the statistics of the time between two readings, or from the beginning to one."""
    calls = now.calls if before is None else [count - then for count, then in zip(now.calls, before.calls, strict=True)]
    first, after, exhausted, not_retryable, out_of_time, out_of_budget = calls
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
