"""Counts and gauges of a check, for its metrics."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures import CallCounts, HealthReading, forks

if TYPE_CHECKING:
    from peak_observe.measures import Exemplar


GAPS = 8
"""Times between runs that are kept; four of them tell how often a check usually runs."""


class CheckCounts:
    """Counts and gauges of one check; it does not know the check, so that its series outlives it.

    `scheduled` is the time in seconds from one run to the next in the background, None where only probes run it.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.lock = threading.Lock()
        self._counts = CallCounts(bounds, len(catalog.HEALTH_OUTCOMES))
        self._healthy: float | None = float("nan")
        self._last_run: float | None = 0.0
        self._problem = ""
        self._gaps: tuple[float, ...] = ()
        self.scheduled: float | None = None
        forks.renew(self)

    def after_fork(self) -> None:
        """Go on in a forked child with a lock that nobody holds."""
        self.lock = threading.Lock()

    def add(self, outcome: int, seconds: float | None, exemplar: Exemplar | None) -> None:
        """Count one run, with the lock held; without `seconds` it was not begun, as an earlier one still hangs."""
        self._counts.add(outcome, seconds, exemplar)

    def show(self, *, healthy: bool, ran: float | None, message: str = "") -> None:
        """Set what the gauges show, with the lock held, unless the check has retired; `ran` is None if it did not."""
        if self.retired:
            return
        self._healthy = float(healthy)
        self._problem = "" if healthy else message
        if ran is not None:
            if self._last_run:
                self._gaps = (*self._gaps[1 - GAPS :], ran - self._last_run)
            self._last_run = ran

    def _interval(self) -> float | None:
        """Return the seconds between two runs; the longest gap does not count, as it may be the last outage."""
        if self.retired or self.scheduled is not None:
            return None if self.retired else self.scheduled
        return sorted(self._gaps)[-2] if len(self._gaps) >= GAPS // 2 else math.nan

    @property
    def retired(self) -> bool:
        """Whether the check is not registered any more."""
        return self._healthy is None

    def retire(self) -> None:
        """Drop the gauges, with the lock held."""
        self._healthy = self._last_run = None
        self._problem = ""

    def read(self) -> HealthReading:
        """Return the counts of this moment."""
        reading = HealthReading()
        with self.lock:
            counts = self._counts
            reading.bounds, reading.buckets = counts.bounds, counts.buckets
            reading.runs, reading.duration_sum = counts.outcomes, counts.duration_sum
            reading.exemplars, reading.bucket_exemplars = counts.exemplars, counts.bucket_exemplars
            reading.healthy, reading.last_run, reading.interval = self._healthy, self._last_run, self._interval()
            reading.problem = self._problem
        return reading
