"""Counts and readings of the order journal, one set per name of an exchange client."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.errors import OrderJournalError
from peak_observe.measures.counts import CallCounts, increased
from peak_observe.measures.forks import renew

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock
    from peak_observe.measures.counts import Exemplar

_STATES = {state: index for index, state in enumerate(catalog.ORDER_STATES)}
_OUTCOMES = {outcome: index for index, outcome in enumerate(catalog.ORDER_RECONCILE_OUTCOMES)}


class OrderReading:
    """Reading of the journaled orders of an exchange.

    `states` follows `catalog.ORDER_STATES`, `outcomes` `catalog.ORDER_RECONCILE_OUTCOMES`; `pending` and `oldest` are
    None where no client of the name lives, or its journal cannot be read.
    """

    __slots__ = ("bounds", "bucket_exemplars", "buckets", "duration_sum", "oldest", "outcomes", "pending", "states")

    states: list[int]
    outcomes: list[int]
    bounds: tuple[float, ...]
    buckets: list[int]
    duration_sum: float
    bucket_exemplars: dict[int, Exemplar]
    pending: int | None
    oldest: float | None

    def add(self, other: OrderReading) -> None:
        """Take in another client of the same name; of two journals the longer list and the older order count."""
        self.states = [a + b for a, b in zip(self.states, other.states, strict=True)]
        self.outcomes = [a + b for a, b in zip(self.outcomes, other.outcomes, strict=True)]
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.duration_sum += other.duration_sum
        self.bucket_exemplars = self.bucket_exemplars | other.bucket_exemplars
        self.pending = max((p for p in (self.pending, other.pending) if p is not None), default=None)
        self.oldest = max((o for o in (self.oldest, other.oldest) if o is not None), default=None)

    def since(self, other: OrderReading) -> tuple[bool, bool, bool]:
        """Return whether counts and pending orders differ from an earlier reading."""
        now = (self.states, self.outcomes, self.buckets, self.duration_sum)
        counted = now != (other.states, other.outcomes, other.buckets, other.duration_sum)
        return counted, counted or self.pending != other.pending, False

    def retire(self) -> None:
        """Forget what only the living have."""
        self.pending = self.oldest = None


class OrderTally:
    """Counters of one client's orders; what is pending is read from the journal, where other processes write, too.

    Args:
        name: The client's name.
        clock: Where time comes from.
        pending: Returns how many of its orders are pending, and since when the oldest of unknown fate is.
    """

    def __init__(self, name: str, clock: Clock, pending: Callable[[str], tuple[int, float | None]]) -> None:
        self.name = name
        self._clock = clock
        self._pending = pending
        self._states = [0] * len(_STATES)
        self._outcomes = [0] * len(_OUTCOMES)
        self._durations = CallCounts(catalog.BUCKETS, 1)
        self._lock = threading.Lock()
        renew(self)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def count(self, state: str) -> None:
        """Count an order that came into a state."""
        with self._lock:
            self._states = increased(self._states, _STATES[state])

    def settled(self, outcome: str) -> None:
        """Count an order that was looked up."""
        with self._lock:
            self._outcomes = increased(self._outcomes, _OUTCOMES[outcome])

    def reconciled_in(self, seconds: float, exemplar: Exemplar | None = None) -> None:
        """Count one run of reconcile()."""
        with self._lock:
            self._durations.add(0, max(0.0, seconds), exemplar)

    def read(self) -> OrderReading:
        """Return the counts of this moment."""
        reading = OrderReading()
        with self._lock:
            reading.states, reading.outcomes = self._states, self._outcomes
            durations = self._durations
            reading.bounds, reading.buckets = durations.bounds, durations.buckets
            reading.duration_sum, reading.bucket_exemplars = durations.duration_sum, durations.bucket_exemplars
        reading.pending, reading.oldest = self._read_journal()
        return reading

    def _read_journal(self) -> tuple[int | None, float | None]:
        try:
            count, since = self._pending(self.name)
        except OrderJournalError:
            return None, None  # a scrape must not fail: that nothing is told shows, too
        return count, max(0.0, self._clock.now().timestamp() - since) if since is not None else 0.0
