"""Metric families of bulkheads, rate limits and timeouts."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures import BULKHEADS, LIMITERS, TIMEOUTS
from peak_observe.telemetry.metrics.family import CHANGES, SETTINGS, Family, living

if TYPE_CHECKING:
    from peak_observe.measures import RateLimitReading
    from peak_observe.telemetry.metrics.family import Readings

WAITS = CHANGES


def _of_living(metric: catalog.Metric, name: str, follows: int | None) -> Family:
    """Return the family of a gauge that disappears with the last limit of its name."""
    return Family(metric, lambda r: living(getattr(r, name)), follows=follows)


def _classes(reading: RateLimitReading) -> list[str]:
    return sorted(reading.classes)


def _by_class(reading: RateLimitReading, index: int) -> list[float]:
    return [reading.classes[name][index] for name in sorted(reading.classes)]


BULKHEAD_FAMILIES = (
    Family(catalog.BULKHEAD_CALLS_TOTAL, attrgetter("calls"), lambda _: catalog.LIMIT_OUTCOMES),
    _of_living(catalog.BULKHEAD_IN_FLIGHT, "in_flight", None),
    _of_living(catalog.BULKHEAD_WAITING, "waiting", None),
    _of_living(catalog.BULKHEAD_LIMIT, "limit", SETTINGS),
    Family(catalog.BULKHEAD_WAIT_SECONDS_TOTAL, lambda r: (r.wait_seconds,), follows=WAITS),
)
RATE_LIMIT_FAMILIES = (
    Family(catalog.RATE_LIMIT_CALLS_TOTAL, attrgetter("calls"), lambda _: catalog.LIMIT_OUTCOMES),
    _of_living(catalog.RATE_LIMIT_WAITING, "waiting", None),
    _of_living(catalog.RATE_LIMIT_CALLS_PER_SECOND, "rate", SETTINGS),
    _of_living(catalog.RATE_LIMIT_BURST, "burst", SETTINGS),
    Family(catalog.RATE_LIMIT_WAIT_SECONDS_TOTAL, lambda r: (r.wait_seconds,), follows=WAITS),
    Family(catalog.RATE_LIMIT_WEIGHT_TOTAL, lambda r: (r.weight,)),
    _of_living(catalog.RATE_LIMIT_PAUSE_SECONDS, "pause", None),
    Family(catalog.RATE_LIMIT_PRIORITY_CALLS_TOTAL, lambda r: _by_class(r, 0), _classes),
    Family(catalog.RATE_LIMIT_PRIORITY_WAIT_SECONDS_TOTAL, lambda r: _by_class(r, 1), _classes, follows=WAITS),
)
TIMEOUT_FAMILIES = (
    Family(catalog.TIMEOUT_CALLS_TOTAL, attrgetter("calls"), lambda _: catalog.TIMEOUT_OUTCOMES),
    Family(catalog.TIMEOUT_LIMIT_SECONDS, lambda r: (r.seconds,), follows=SETTINGS),
)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of each kind of limit with the readings of all names."""
    bulkheads: Readings = BULKHEADS.read()
    limiters: Readings = LIMITERS.read()
    timeouts: Readings = TIMEOUTS.read()
    return [(BULKHEAD_FAMILIES, bulkheads), (RATE_LIMIT_FAMILIES, limiters), (TIMEOUT_FAMILIES, timeouts)]
