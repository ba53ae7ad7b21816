"""Every metric once: what it is called, what it counts, how it is labelled.

A metric's constant is its name without the prefix, in capitals: `peak_breaker_state` is `BREAKER_STATE`.
Nothing is imported from a metrics library, so dashboards, documents and tests can read these pages alone.
"""

from __future__ import annotations

# ruff: noqa: F403 - the pages are read as one, through this one
from peak_observe.catalog import backups, calls, checks, exchange, exporter, limits
from peak_observe.catalog.backups import *
from peak_observe.catalog.calls import *
from peak_observe.catalog.checks import *
from peak_observe.catalog.exchange import *
from peak_observe.catalog.exporter import *
from peak_observe.catalog.limits import *
from peak_observe.catalog.metric import *
from peak_observe.catalog.metric import Metric

METRICS: tuple[Metric, ...] = tuple(
    value
    for page in (calls, limits, checks, backups, exchange, exporter)
    for value in vars(page).values()
    if isinstance(value, Metric)
)
"""All of them, in the order of `/metrics`."""

IN_PROCESS: tuple[Metric, ...] = tuple(
    metric for metric in METRICS if not metric.name.startswith(("peak_exporter_", "peak_process_"))
)
"""Those that a process tells of itself; the others only the exporter knows."""
