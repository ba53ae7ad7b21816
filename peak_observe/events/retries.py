"""Events of retries."""

from __future__ import annotations

from typing import NamedTuple

from peak_observe.support.shown import record_repr


class RetryScheduled(NamedTuple):
    """An attempt failed and the next one is scheduled.

    Args:
        operation: The operation's name.
        attempt: Number of the attempt that failed, from 1.
        max_attempts: How many there may be; None where only time ends them.
        delay: Seconds until the next one.
        error: The exception of the attempt; None where its result was not accepted.
    """

    operation: str
    attempt: int
    max_attempts: int | None
    delay: float
    error: BaseException | None

    def __repr__(self) -> str:
        return record_repr(self)


class GaveUp(NamedTuple):
    """An operation failed for good: no further attempt follows.

    Args:
        operation: The operation's name.
        attempts: How many attempts were made.
        elapsed: Seconds since the first one began.
        outcome: `exhausted`, `not_retryable`, `out_of_time` or `out_of_budget`.
        error: The exception of the last attempt; None where its result was not accepted.
    """

    operation: str
    attempts: int
    elapsed: float
    outcome: str
    error: BaseException | None

    def __repr__(self) -> str:
        return record_repr(self)


class Recovered(NamedTuple):
    """An operation succeeded after at least one failed attempt.

    Args:
        operation: The operation's name.
        attempts: How many attempts were made.
        elapsed: Seconds since the first one began.
    """

    operation: str
    attempts: int
    elapsed: float

    def __repr__(self) -> str:
        return record_repr(self)


class RetriesNested(NamedTuple):
    """A retry ran inside an attempt of another retry, which multiplies attempts; emitted once per pair.

    Args:
        operation: The inner one.
        inside: The outer one.
    """

    operation: str
    inside: str

    def __repr__(self) -> str:
        return record_repr(self)
