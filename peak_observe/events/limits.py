"""Events of bulkheads, rate limits and timeouts."""

from __future__ import annotations

from typing import NamedTuple

from peak_observe.support.shown import record_repr


class LimitReached(NamedTuple):
    """Calls that a bulkhead or a rate limit refused; told at the first, and then at most every 30 seconds.

    Args:
        kind: `bulkhead` or `rate_limit`.
        name: Its name.
        refused: How many calls it refused since it was told last.
        limit: Calls that may be under way, or calls a second.
        mode: `enforce`, or `observe` where the calls passed and would have been refused.
    """

    kind: str
    name: str
    refused: int
    limit: float
    mode: str = "enforce"

    def __repr__(self) -> str:
        return record_repr(self)


class CallTimedOut(NamedTuple):
    """A call exceeded its time limit and was cancelled.

    Args:
        operation: The operation's name.
        seconds: How long it was given.
    """

    operation: str
    seconds: float

    def __repr__(self) -> str:
        return record_repr(self)
