"""Metric families of the state that processes share."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.measures import SHARED
from peak_observe.telemetry.metrics.family import Family, living

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Labels, Readings


class OperationFamily(Family):
    """Metric family with a step and its outcome as labels."""

    def rows(self, name: str, reading: Any) -> list[tuple[str, Labels]]:  # noqa: ARG002 - the same for all readings
        """Return sample name and labels of each value, labels in alphabetical order."""
        own = ("namespace", name)
        pairs = catalog.SHARED_OPERATIONS
        return [(self.metric.name, (own, ("op", op), ("outcome", outcome))) for op, outcome in pairs]


SHARED_FAMILIES = (
    Family(catalog.SHARED_UP, lambda r: living(r.up)),
    Family(catalog.SHARED_FALLBACK_ACTIVE, lambda r: living(r.fallback)),
    Family(catalog.SHARED_LAG_SECONDS, lambda r: living(r.lag)),
    Family(catalog.SHARED_MEMBERS, lambda r: living(r.members)),
    OperationFamily(catalog.SHARED_OPERATIONS_TOTAL, attrgetter("operations")),
    Family(catalog.SHARED_TRANSITIONS_TOTAL, attrgetter("transitions"), lambda _: catalog.SHARED_DIRECTIONS),
    Family(catalog.SHARED_RESYNCS_TOTAL, attrgetter("resyncs"), lambda _: catalog.SHARED_RESYNCS),
    Family(catalog.SHARED_PROBE_LEASES_TOTAL, attrgetter("leases"), lambda _: catalog.SHARED_LEASES),
    Family(catalog.SHARED_LIMIT_WAIT_SECONDS_TOTAL, lambda r: (r.wait_seconds,)),
)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families with the readings of all namespaces."""
    return [(SHARED_FAMILIES, SHARED.read())]
