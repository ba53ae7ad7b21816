"""Events of bulkheads, rate limits and timeouts."""

from __future__ import annotations

from typing import NamedTuple


class LimitReached(NamedTuple):
    """A bulkhead or rate limit rejects calls; emitted at the first, then at most every 10 seconds.

    Args:
        kind: `bulkhead` or `rate_limit`.
        name: Its name.
        refused: How many calls it refused since it was told last.
        limit: Calls that may be under way, or calls a second.
    """

    kind: str
    name: str
    refused: int
    limit: float


class CallTimedOut(NamedTuple):
    """A call exceeded its time limit and was cancelled.

    Args:
        operation: The operation's name.
        seconds: How long it was given.
    """

    operation: str
    seconds: float
