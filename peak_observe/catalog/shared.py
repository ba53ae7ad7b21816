"""Metrics of the state that processes and hosts share."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

SHARED_UP = Metric(
    "peak_shared_up",
    "gauge",
    "1 while the process reaches its shared state (Redis, Valkey or the file), 0 while not.",
    ("namespace",),
)
SHARED_FALLBACK_ACTIVE = Metric(
    "peak_shared_fallback_active",
    "gauge",
    "1 while the process decides alone: its own circuits, and its part of each shared rate limit.",
    ("namespace",),
)
SHARED_LAG_SECONDS = Metric(
    "peak_shared_lag_seconds",
    "gauge",
    "Time from the last transition of another process to its arrival here.",
    ("namespace",),
)
SHARED_MEMBERS = Metric(
    "peak_shared_members",
    "gauge",
    "Processes that share the state, as far as this one knows.",
    ("namespace",),
)
SHARED_OPERATIONS_TOTAL = Metric(
    "peak_shared_operations_total",
    "counter",
    "Requests to Redis, Valkey or the file, by outcome; a call of a closed circuit needs none.",
    ("namespace", "op", "outcome"),
)
SHARED_TRANSITIONS_TOTAL = Metric(
    "peak_shared_transitions_total",
    "counter",
    "Transitions of circuits, and holds, that were sent to other processes (out) or received from them (in).",
    ("namespace", "direction"),
)
SHARED_RESYNCS_TOTAL = Metric(
    "peak_shared_resyncs_total",
    "counter",
    "Times that everything was read anew, by reason: a message was lost, the connection was, or the numbers differ.",
    ("namespace", "reason"),
)
SHARED_PROBE_LEASES_TOTAL = Metric(
    "peak_shared_probe_leases_total",
    "counter",
    "Claims of the one probe of a shared circuit by answer, and results that came too late to count (fenced).",
    ("namespace", "outcome"),
)
SHARED_LIMIT_WAIT_SECONDS_TOTAL = Metric(
    "peak_shared_limit_wait_seconds_total",
    "counter",
    "Time that calls spent waiting for their turn in shared rate limits.",
    ("namespace",),
)
