"""Plain counters that a primitive keeps about itself.

Counting a success costs one C call that the interpreter makes atomic; sorting into buckets and adding up happens in
batches and when somebody reads. Lists and mappings are replaced, never changed, so a reading can keep them.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from typing import NamedTuple

from peak_observe import catalog

BATCH = 512


class Exemplar(NamedTuple):
    """Exemplar: an observed value with its trace (OpenMetrics)."""

    trace_id: str
    span_id: str
    value: float
    timestamp: float


class Ticker:
    """Counter that threads increment without a lock and without losing a count.

    `tick()` is one call into C. A read takes a ticket too, and the tickets of all reads are taken off again.
    """

    __slots__ = ("_reads", "tick")

    def __init__(self) -> None:
        self.tick = itertools.count().__next__
        self._reads = 0

    def value(self) -> int:
        """Return how often `tick()` was called; for one thread at a time, with the owner's lock held."""
        count = self.tick() - self._reads
        self._reads += 1
        return count


class CallCounts:
    """Calls by outcome and by duration.

    Successful calls are appended to `pending` as durations (atomic, no lock); everything else is called with the
    owner's lock held. Lists and mappings are replaced, never changed, so a reading can keep them as they are.

    Args:
        bounds: Upper bounds of the latency buckets in seconds, rising.
        outcomes: How many outcomes there are; the first is success.
    """

    __slots__ = ("bounds", "bucket_exemplars", "buckets", "duration_sum", "exemplars", "outcomes", "pending")

    def __init__(
        self,
        bounds: tuple[float, ...] = catalog.BUCKETS,
        outcomes: int = len(catalog.CALL_OUTCOMES),
    ) -> None:
        self.pending: list[float] = []
        self.bounds = bounds
        self.outcomes = [0] * outcomes
        self.buckets = [0] * (len(bounds) + 1)
        self.duration_sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        self.bucket_exemplars: dict[int, Exemplar] = {}

    def add(self, outcome: int, seconds: float | None = None, exemplar: Exemplar | None = None) -> None:
        """Count one call; without `seconds` it was never made."""
        self.outcomes = increased(self.outcomes, outcome)
        if exemplar is not None:
            self.exemplars = {**self.exemplars, outcome: exemplar._replace(value=1.0)}
        if seconds is not None:
            bucket = bisect_left(self.bounds, seconds)
            self.buckets = increased(self.buckets, bucket)
            self.duration_sum += seconds
            if exemplar is not None:
                self.bucket_exemplars = {**self.bucket_exemplars, bucket: exemplar}

    def fold(self) -> int:
        """Sort the pending successes into the buckets and return how many they were."""
        count = len(self.pending)
        if not count:
            return 0
        batch = self.pending[:count]
        buckets = list(self.buckets)
        total = max(0.0, sum(batch))  # a clock may go back, a sum may not
        if total <= self.bounds[0]:
            buckets[0] += count  # none is longer than all together: so it is with calls that would feel this loop
        else:
            for seconds in batch:
                buckets[bisect_left(self.bounds, seconds)] += 1
        outcomes = increased(self.outcomes, 0, count)
        # No call stands below: Python runs signal handlers at calls and jumps, so Ctrl-C cannot tear this apart.
        del self.pending[:count]
        self.buckets = buckets
        self.duration_sum += total
        self.outcomes = outcomes
        return count


def increased(counts: list[int], index: int, by: int = 1) -> list[int]:
    """Return a copy of `counts` in which one of them is higher."""
    counts = counts.copy()
    counts[index] += by
    return counts


class RetryCounts:
    """Retried operations by outcome, with their cost; first tries are a `Ticker` beside it.

    Changed with the owner's lock held; mappings are replaced, never changed.
    """

    __slots__ = ("backoff_seconds", "calls", "errors", "exemplars", "nested", "retries")

    def __init__(self) -> None:
        self.calls = [0] * len(catalog.RETRY_OUTCOMES)
        self.retries = 0
        self.nested = 0
        self.backoff_seconds = 0.0
        self.errors: dict[str, int] = {}
        self.exemplars: dict[int, Exemplar] = {}
