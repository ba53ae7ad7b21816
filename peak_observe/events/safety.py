"""Events of trading switches and their guards."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from peak_observe.support.shown import record_repr


class TradingChanged(NamedTuple):
    """A trading switch changed, as this process noticed.

    Args:
        name: The switch's name.
        state: `trading`, `reduce_only` or `halted`.
        reason: Why.
        by: Who changed it: user, host, program and process id.
        at: When this process noticed.
    """

    name: str
    state: str
    reason: str
    by: str
    at: datetime

    def __repr__(self) -> str:
        return record_repr(self)


class GuardTripped(NamedTuple):
    """A limit of a guard was exceeded.

    Args:
        guard: The guard's name.
        reason: Which limit, as in the metrics.
        message: What was seen, and the limit.
        action: What the guard did: `halt`, `reduce_only` or `tell`.
        at: When.
    """

    guard: str
    reason: str
    message: str
    action: str
    at: datetime

    def __repr__(self) -> str:
        return record_repr(self)
