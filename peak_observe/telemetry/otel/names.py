"""OpenTelemetry names, units and attributes of the metrics of the catalogue.

A name loses `_total` and its unit, which OpenTelemetry keeps beside it: `peak_breaker_calls_total` is
`peak_observe.breaker.calls` with the unit `{call}`. Units are UCUM, counted things in braces.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from peak_observe.catalog import Metric
    from peak_observe.telemetry.metrics.family import Labels

SCOPE = "peak_observe"

_GROUPS = ("rate_limit", "health_check", "timed_call")  # subjects of two words
_SUFFIXES = {"_seconds": "s", "_bytes": "By"}
# Without their unit two would be named like another metric, and one like its subject.
_TAKEN = {
    "peak_breaker_state_seconds_total": "peak_observe.breaker.state_duration",
    "peak_backup_stored_bytes": "peak_observe.backup.stored_size",
    "peak_orders_total": "peak_observe.orders.state_changes",
}
_COUNTED = {
    "beats": "{beat}",
    "differences": "{difference}",
    "attempts": "{attempt}",
    "breaks": "{break}",
    "burst": "{call}",
    "calls": "{call}",
    "connections": "{connection}",
    "damaged": "{object}",
    "dials": "{attempt}",
    "errors": "{error}",
    "files": "{file}",
    "stream_gaps": "{gap}",
    "gaps": "{candle}",
    "in_flight": "{call}",
    "leases": "{lease}",
    "limit": "{call}",
    "malformed": "{message}",
    "members": "{process}",
    "messages": "{message}",
    "nested": "{retry}",
    "objects": "{object}",
    "operations": "{step}",
    "orders": "{order}",
    "pending": "{order}",
    "per_second": "{call}/s",
    "pushes": "{push}",
    "reconciled": "{order}",
    "refused": "{call}",
    "requests": "{request}",
    "resyncs": "{read}",
    "restores": "{restore}",
    "retries": "{retry}",
    "runs": "{run}",
    "started": "{call}",
    "stored": "{backup}",
    "subscriptions": "{subscription}",
    "threshold": "{failure}",
    "tokens": "{token}",
    "transitions": "{transition}",
    "trips": "{trip}",
    "waiting": "{call}",
    "writes": "{request}",
}
_ATTRIBUTES = {"exception": "error.type", "python": "process.runtime.version"}


class Instrument(NamedTuple):
    """Name and unit of a metric as OpenTelemetry has them."""

    name: str
    unit: str


@lru_cache(maxsize=256)  # more than there are metrics; each export asks for every series
def instrument_of(metric: Metric) -> Instrument:
    """Return what a metric of the catalogue is called in OpenTelemetry, and its unit; `1` has none to count."""
    plain = metric.name.removesuffix("_total")
    unit = next((unit for suffix, unit in _SUFFIXES.items() if plain.endswith(suffix)), "")
    if unit:
        plain = plain.rpartition("_")[0]
    else:
        unit = next((unit for end, unit in _COUNTED.items() if plain.endswith(f"_{end}")), "1")
    return Instrument(_TAKEN.get(metric.name) or _dotted(plain), unit)


def _dotted(plain: str) -> str:
    words = plain.removeprefix("peak_")
    group = next((group for group in _GROUPS if words.startswith(f"{group}_")), words.partition("_")[0])
    rest = words.removeprefix(f"{group}_")
    return f"{SCOPE}.{rest}" if group == "observe" else f"{SCOPE}.{group}.{rest}"


def attributes_of(labels: Labels) -> dict[str, str]:
    """Return the labels of a series as attributes."""
    return {_ATTRIBUTES.get(label, f"{SCOPE}.{label}"): value for label, value in labels}
