"""Metrics of hedged calls, timed calls, chaos and policies that are reloaded."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

HEDGE_CALLS_TOTAL = Metric(
    "peak_hedge_calls_total",
    "counter",
    "Hedged calls by how they ended: the first request answered, a hedge did, all failed, or it was cancelled.",
    ("operation", "outcome"),
)
HEDGE_STARTED_TOTAL = Metric(
    "peak_hedge_started_total",
    "counter",
    "Hedges started, which are requests in addition to the first.",
    ("operation",),
)
HEDGE_REFUSED_TOTAL = Metric(
    "peak_hedge_refused_total",
    "counter",
    "Hedges that were due and not started, as the budget was used up.",
    ("operation",),
)
HEDGE_DELAY_SECONDS = Metric(
    "peak_hedge_delay_seconds",
    "gauge",
    "Time without an answer after which a hedge starts, as configured.",
    ("operation",),
)
TIMED_CALL_DURATION_SECONDS = Metric(
    "peak_timed_call_duration_seconds",
    "histogram",
    "Time that calls of a timed function took, whatever their outcome; of generators the time inside them.",
    ("call",),
)
CHAOS_CALLS_TOTAL = Metric(
    "peak_chaos_calls_total",
    "counter",
    "Calls by what chaos did to them on purpose; there are series only where it is switched on.",
    ("operation", "outcome"),
)
CHAOS_RATIO = Metric(
    "peak_chaos_ratio",
    "gauge",
    "Share of the calls that chaos disturbs, as configured; there are series only where it is switched on.",
    ("operation",),
)
POLICY_RELOAD_SUCCESS = Metric(
    "peak_policy_reload_success",
    "gauge",
    "1 if the last reload of the policy from its file succeeded, 0 if its settings are older than the file.",
    ("policy",),
)
POLICY_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS = Metric(
    "peak_policy_last_reload_success_timestamp_seconds",
    "gauge",
    "Unix time of the last successful load of the policy from its file.",
    ("policy",),
)
