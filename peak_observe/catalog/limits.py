"""Metrics of bulkheads, rate limits and timeouts."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

BULKHEAD_CALLS_TOTAL = Metric(
    "peak_bulkhead_calls_total",
    "counter",
    "Calls by how they came in; refused, out_of_time and interrupted ones were not made, would_ ones were (observe).",
    ("bulkhead", "outcome"),
)
BULKHEAD_IN_FLIGHT = Metric(
    "peak_bulkhead_in_flight",
    "gauge",
    "Calls that are under way.",
    ("bulkhead",),
)
BULKHEAD_WAITING = Metric(
    "peak_bulkhead_waiting",
    "gauge",
    "Calls that wait for one under way to end.",
    ("bulkhead",),
)
BULKHEAD_LIMIT = Metric(
    "peak_bulkhead_limit",
    "gauge",
    "Calls that may be under way, as configured, summed over the bulkheads that share the name.",
    ("bulkhead",),
)
BULKHEAD_WAIT_SECONDS_TOTAL = Metric(
    "peak_bulkhead_wait_seconds_total",
    "counter",
    "Time that calls spent waiting, whether they came in or not.",
    ("bulkhead",),
)
RATE_LIMIT_CALLS_TOTAL = Metric(
    "peak_rate_limit_calls_total",
    "counter",
    "Calls by how they passed; refused, out_of_time and interrupted ones were not made, would_ ones were (observe).",
    ("limiter", "outcome"),
)
RATE_LIMIT_WAITING = Metric(
    "peak_rate_limit_waiting",
    "gauge",
    "Calls whose turn has yet to come.",
    ("limiter",),
)
RATE_LIMIT_CALLS_PER_SECOND = Metric(
    "peak_rate_limit_calls_per_second",
    "gauge",
    "Weight that may pass in a second, as configured, summed over the rate limits that share the name.",
    ("limiter",),
)
RATE_LIMIT_BURST = Metric(
    "peak_rate_limit_burst",
    "gauge",
    "Weight that may pass at once after a pause, as configured, summed over the rate limits that share the name.",
    ("limiter",),
)
RATE_LIMIT_WAIT_SECONDS_TOTAL = Metric(
    "peak_rate_limit_wait_seconds_total",
    "counter",
    "Time that calls spent waiting for their turn.",
    ("limiter",),
)
RATE_LIMIT_WEIGHT_TOTAL = Metric(
    "peak_rate_limit_weight_total",
    "counter",
    "Weight of the calls that passed; as many as the calls where none has a weight of its own.",
    ("limiter",),
)
RATE_LIMIT_PAUSE_SECONDS = Metric(
    "peak_rate_limit_pause_seconds",
    "gauge",
    "Time for which no call passes yet, as the rate limit was paused; 0 when it is not.",
    ("limiter",),
)
RATE_LIMIT_PRIORITY_CALLS_TOTAL = Metric(
    "peak_rate_limit_priority_calls_total",
    "counter",
    "Calls that passed, by priority class, of rate limits that reserve a share for one.",
    ("limiter", "priority"),
)
RATE_LIMIT_PRIORITY_WAIT_SECONDS_TOTAL = Metric(
    "peak_rate_limit_priority_wait_seconds_total",
    "counter",
    "Time that calls spent waiting for their turn, by priority class, of rate limits that reserve a share for one.",
    ("limiter", "priority"),
)
TIMEOUT_CALLS_TOTAL = Metric(
    "peak_timeout_calls_total",
    "counter",
    "Calls by whether they ended in time, well or not; out_of_time ones were never made, as a deadline had passed.",
    ("operation", "outcome"),
)
TIMEOUT_LIMIT_SECONDS = Metric(
    "peak_timeout_limit_seconds",
    "gauge",
    "Time after which a call is cancelled, as configured.",
    ("operation",),
)
