"""Catalogue of all metrics: name, kind, help, labels and label values, each defined once.

A metric's constant is its name without the prefix, in capitals: `peak_breaker_state` is `BREAKER_STATE`.
Nothing is imported from a metrics library, so dashboards, documents and tests can read these pages alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from peak_observe.catalog.metric import *
from peak_observe.catalog.metric import Metric

if TYPE_CHECKING:
    # ruff: noqa: F403 - the pages are read as one, through this one
    from peak_observe.catalog.backups import *
    from peak_observe.catalog.calls import *
    from peak_observe.catalog.checks import *
    from peak_observe.catalog.exchange import *
    from peak_observe.catalog.exporter import *
    from peak_observe.catalog.limits import *
    from peak_observe.catalog.offsite import *
    from peak_observe.catalog.orders import *
    from peak_observe.catalog.results import *
    from peak_observe.catalog.safety import *
    from peak_observe.catalog.safety_venue import *
    from peak_observe.catalog.shared import *
    from peak_observe.catalog.strategies import *
    from peak_observe.catalog.streams import *

    METRICS: tuple[Metric, ...]
    """All metrics, in the order of `/metrics`."""
    IN_PROCESS: tuple[Metric, ...]
    """The metrics of a single process; only the exporter knows the others."""

PAGES = (
    "calls",
    "limits",
    "shared",
    "results",
    "strategies",
    "checks",
    "backups",
    "offsite",
    "exchange",
    "orders",
    "streams",
    "safety",
    "safety_venue",
    "exporter",
)


def __getattr__(name: str) -> Any:
    """Load all metrics when the first one is asked for (PEP 562): a program that is never scraped needs none."""
    here = sys.modules[__name__]
    if name.startswith("_") or "METRICS" in vars(here):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    pages = [import_module(f"{__name__}.{page}") for page in PAGES]
    metrics = {key: value for page in pages for key, value in vars(page).items() if isinstance(value, Metric)}
    ours = (metric for metric in metrics.values() if not metric.name.startswith(("peak_exporter_", "peak_process_")))
    vars(here).update(metrics, METRICS=tuple(metrics.values()), IN_PROCESS=tuple(ours))
    return getattr(here, name)
