"""Metric families of the order journal."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures import ORDERS
from peak_observe.telemetry.metrics.family import CALLS, CHANGES, Family, histogram, living

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Readings

ORDER_FAMILIES = (
    Family(catalog.ORDERS_TOTAL, attrgetter("states"), lambda _: catalog.ORDER_STATES),
    Family(catalog.ORDERS_PENDING, lambda r: living(r.pending), follows=CHANGES),
    Family(catalog.ORDERS_OLDEST_PENDING_SECONDS, lambda r: living(r.oldest), follows=None),
    Family(catalog.ORDERS_RECONCILED_TOTAL, attrgetter("outcomes"), lambda _: catalog.ORDER_RECONCILE_OUTCOMES),
    Family(catalog.ORDERS_RECONCILE_DURATION_SECONDS, histogram, None, lambda r: r.bucket_exemplars, CALLS),
)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of the order journal with the readings of all names."""
    orders: Readings = ORDERS.read()
    return [(ORDER_FAMILIES, orders)]
