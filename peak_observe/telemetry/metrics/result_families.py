"""Metric families of shared calls and fallbacks."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures import FALLBACKS, SHARES
from peak_observe.telemetry.metrics.family import Family

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Readings

SHARE_FAMILIES = (Family(catalog.SHARE_CALLS_TOTAL, attrgetter("calls"), lambda _: catalog.SHARE_OUTCOMES),)
FALLBACK_FAMILIES = (Family(catalog.FALLBACK_CALLS_TOTAL, attrgetter("calls"), lambda _: catalog.FALLBACK_OUTCOMES),)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of both with the readings of all names."""
    shares: Readings = SHARES.read()
    fallbacks: Readings = FALLBACKS.read()
    return [(SHARE_FAMILIES, shares), (FALLBACK_FAMILIES, fallbacks)]
