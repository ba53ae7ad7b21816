"""How the readings of bulkheads, rate limits and timeouts become samples."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures import BULKHEADS, LIMITERS, TIMEOUTS
from peak_observe.telemetry.metrics.family import CHANGES, SETTINGS, Family, living

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Readings

WAITS = CHANGES


def _of_living(metric: catalog.Metric, name: str, follows: int | None) -> Family:
    """Return the family of a single value that goes with the last one of its name."""
    return Family(metric, lambda r: living(getattr(r, name)), follows=follows)


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
