"""Metric families of hedges, timed calls, chaos and reloaded policies."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures import CHAOS, HEDGES, RELOADS, TIMED
from peak_observe.telemetry.metrics.family import CHANGES, SETTINGS, Family, histogram, living

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Readings

HEDGE_FAMILIES = (
    Family(catalog.HEDGE_CALLS_TOTAL, attrgetter("calls"), lambda _: catalog.HEDGE_OUTCOMES),
    Family(catalog.HEDGE_STARTED_TOTAL, lambda r: (r.started,), follows=CHANGES),
    Family(catalog.HEDGE_REFUSED_TOTAL, lambda r: (r.refused,), follows=CHANGES),
    Family(catalog.HEDGE_DELAY_SECONDS, lambda r: (r.after,), follows=SETTINGS),
)
TIMED_FAMILIES = (Family(catalog.TIMED_CALL_DURATION_SECONDS, histogram, None, lambda r: r.bucket_exemplars),)
CHAOS_FAMILIES = (
    Family(catalog.CHAOS_CALLS_TOTAL, attrgetter("calls"), lambda _: catalog.CHAOS_OUTCOMES),
    Family(catalog.CHAOS_RATIO, lambda r: living(r.ratio), follows=SETTINGS),
)
RELOAD_FAMILIES = (
    Family(catalog.POLICY_RELOAD_SUCCESS, lambda r: living(r.success), follows=CHANGES),
    Family(catalog.POLICY_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS, lambda r: living(r.last_success), follows=CHANGES),
)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of each kind with the readings of all names."""
    hedges: Readings = HEDGES.read()
    timed: Readings = TIMED.read()
    chaos: Readings = CHAOS.read()
    reloads: Readings = RELOADS.read()
    return [(HEDGE_FAMILIES, hedges), (TIMED_FAMILIES, timed), (CHAOS_FAMILIES, chaos), (RELOAD_FAMILIES, reloads)]
