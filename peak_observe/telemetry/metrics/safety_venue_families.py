"""Metric families of what guards an account at the exchange."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures import DEAD_MAN_SWITCHES, EXCHANGE_KEYS, INSTANCES, RECONCILERS
from peak_observe.telemetry.metrics.family import Family, living

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Readings

DEAD_MAN_FAMILIES = (
    Family(catalog.DEADMAN_EXPIRES_TIMESTAMP_SECONDS, lambda r: living(r.expires)),
    Family(catalog.DEADMAN_BEATS_TOTAL, attrgetter("beats"), lambda _: catalog.BEAT_OUTCOMES),
)
INSTANCE_FAMILIES = (
    # The lock may be lost between two readings without a call of ours: time alone changes it.
    Family(catalog.INSTANCE_HELD, lambda r: living(r.held), follows=None),
    Family(catalog.INSTANCE_REFUSED_TOTAL, lambda r: (r.refused,), follows=None),
)
KEY_FAMILIES = (
    Family(catalog.EXCHANGE_KEY_EXPIRES_TIMESTAMP_SECONDS, lambda r: living(r.expires)),
    Family(
        catalog.EXCHANGE_KEY_PERMISSION,
        lambda r: [float(allowed) for allowed in r.permissions.values()],
        lambda r: list(r.permissions),
    ),
)
RECONCILE_FAMILIES = (
    Family(
        catalog.RECONCILE_DIFFERENCES,
        lambda r: r.differences or (),
        lambda r: catalog.DIFFERENCE_KINDS if r.differences else (),
    ),
    Family(catalog.RECONCILE_RUNS_TOTAL, attrgetter("runs"), lambda _: catalog.RECONCILE_OUTCOMES),
    Family(catalog.RECONCILE_LAST_SUCCESS_TIMESTAMP_SECONDS, lambda r: living(r.last_success)),
    Family(catalog.RECONCILE_INTERVAL_SECONDS, lambda r: living(r.interval)),
)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of each kind with the readings of all names."""
    switches: Readings = DEAD_MAN_SWITCHES.read()
    instances: Readings = INSTANCES.read()
    keys: Readings = EXCHANGE_KEYS.read()
    books: Readings = RECONCILERS.read()
    return [
        (DEAD_MAN_FAMILIES, switches),
        (INSTANCE_FAMILIES, instances),
        (KEY_FAMILIES, keys),
        (RECONCILE_FAMILIES, books),
    ]
