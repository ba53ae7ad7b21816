"""Metrics of calls whose results serve more than one: shared calls and fallbacks."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

SHARE_CALLS_TOTAL = Metric(
    "peak_share_calls_total",
    "counter",
    "Shared calls by what served them: made, joined to one under way, cached; interrupted ones stopped waiting.",
    ("operation", "outcome"),
)
FALLBACK_CALLS_TOTAL = Metric(
    "peak_fallback_calls_total",
    "counter",
    "Calls that failed or were refused, by what their fallback gave; with none their error came through.",
    ("operation", "outcome"),
)
