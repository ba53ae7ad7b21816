"""Event of a circuit breaker's state transition."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from peak_observe.support.shown import record_repr


class Transition(NamedTuple):
    """A circuit breaker changed its state.

    Args:
        name: The breaker's name.
        old: The state that was left.
        new: The state that was entered.
        at: When, in UTC.
        reason: Why, in words.
        retry_after: Seconds until the next probe (0.0 unless `new` is open, or forced open for a time).
        error: The exception of the last call, if a call caused this.
        mode: `enforce`, or `observe` where all calls pass and the circuit would have changed its state.
    """

    name: str
    old: str
    new: str
    at: datetime
    reason: str
    retry_after: float = 0.0
    error: BaseException | None = None
    mode: str = "enforce"

    def __repr__(self) -> str:
        return record_repr(self)
