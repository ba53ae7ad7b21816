"""Counts of requests that took longer than their latency budget."""

from __future__ import annotations

import threading
from copy import copy
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures.exchange import EndpointTally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peak_observe.measures.counts import Exemplar

_UNASKED = catalog.EXCHANGE_OUTCOMES.index("bug")
_CUT_OFF = catalog.EXCHANGE_OUTCOMES.index("cancelled")


class LatencyBudgetReading:
    """Reading of a latency budget: seconds, None where no object that has it lives, and requests with the slow ones."""

    __slots__ = ("requests", "seconds", "slow")

    def __init__(self, seconds: float) -> None:
        self.seconds: float | None = seconds
        self.requests = self.slow = 0

    def add(self, other: LatencyBudgetReading) -> None:
        """Take in another object of the same exchange and group; the shorter budget shows."""
        self.requests += other.requests
        self.slow += other.slow
        self.seconds = min((found for found in (self.seconds, other.seconds) if found is not None), default=None)

    def since(self, other: LatencyBudgetReading) -> tuple[bool, bool, bool]:
        """Return whether counts, and the budget, differ from an earlier reading."""
        counted = (self.requests, self.slow) != (other.requests, other.slow)
        return counted, False, self.seconds != other.seconds

    def retire(self) -> None:
        """Forget what only the living have."""
        self.seconds = None


class LatencyBudget:
    """Thread-safe count of the requests that have a latency budget.

    Args:
        seconds: Time from sending a request to the end of its answer, beyond which it is slow.
    """

    def __init__(self, seconds: float) -> None:
        self._counts = LatencyBudgetReading(seconds)
        self._seconds = seconds
        self._lock = threading.Lock()

    def took(self, seconds: float) -> None:
        """Count one request."""
        with self._lock:
            self._counts.requests += 1
            self._counts.slow += seconds > self._seconds

    def exceeded(self, seconds: float) -> bool:
        """Return whether a request of that many seconds is slow."""
        return seconds > self._seconds

    def read(self) -> LatencyBudgetReading:
        """Return the counts of this moment."""
        with self._lock:
            return copy(self._counts)


class BudgetedEndpointTally(EndpointTally):
    """Counters of an endpoint whose requests have a latency budget, which they share with others of their group.

    Args:
        bounds: Upper bounds of the latency buckets in seconds.
        budget: Where its requests count too.
    """

    def __init__(self, bounds: tuple[float, ...], budget: LatencyBudget) -> None:
        super().__init__(bounds)
        self._budget = budget

    def succeeded(self, seconds: float) -> None:
        """Count one success."""
        self._budget.took(seconds)
        super().succeeded(seconds)

    def add(self, outcome: int, seconds: float, exemplar: Exemplar | None = None) -> None:
        """Count one request; one that was never sent, or was cut off before it was late, says nothing of latency."""
        if outcome != _UNASKED and (outcome != _CUT_OFF or self._budget.exceeded(seconds)):
            self._budget.took(seconds)
        super().add(outcome, seconds, exemplar)


def tally(bounds: tuple[float, ...], budgets: Mapping[str, LatencyBudget], group: str) -> EndpointTally:
    """Return the counters of an endpoint of a group, which may have a budget."""
    return BudgetedEndpointTally(bounds, budgets[group]) if group in budgets else EndpointTally(bounds)
