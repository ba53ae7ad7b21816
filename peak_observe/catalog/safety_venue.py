"""Metrics of what guards an account at the exchange: dead man's switch, single instance, API key, reconciliation."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

DEADMAN_EXPIRES_TIMESTAMP_SECONDS = Metric(
    "peak_deadman_expires_timestamp_seconds",
    "gauge",
    "Unix time at which the exchange cancels all orders unless the next beat comes before; 0 while it is not armed.",
    ("exchange",),
)
DEADMAN_BEATS_TOTAL = Metric(
    "peak_deadman_beats_total",
    "counter",
    "Beats by outcome; a withheld one was not sent, as the program was not healthy.",
    ("exchange", "outcome"),
)
INSTANCE_HELD = Metric(
    "peak_instance_held",
    "gauge",
    "1 if this process holds the lock that only one process may hold, 0 if it lost it.",
    ("lock",),
)
INSTANCE_REFUSED_TOTAL = Metric(
    "peak_instance_refused_total",
    "counter",
    "Other processes that were refused while this one held the lock.",
    ("lock",),
)
EXCHANGE_KEY_EXPIRES_TIMESTAMP_SECONDS = Metric(
    "peak_exchange_key_expires_timestamp_seconds",
    "gauge",
    "Unix time at which the API key, or its right to trade, expires; missing where the exchange does not tell.",
    ("exchange",),
)
EXCHANGE_KEY_PERMISSION = Metric(
    "peak_exchange_key_permission",
    "gauge",
    "1 if the API key has the permission, 0 if not, missing where the exchange does not tell.",
    ("exchange", "permission"),
)
RECONCILE_DIFFERENCES = Metric(
    "peak_reconcile_differences",
    "gauge",
    "Differences between what the program believes and what the exchange says, which two looks agreed on.",
    ("exchange", "kind"),
)
RECONCILE_RUNS_TOTAL = Metric(
    "peak_reconcile_runs_total",
    "counter",
    "Reconciliations by outcome; a failed one could not ask the exchange or the program.",
    ("exchange", "outcome"),
)
RECONCILE_LAST_SUCCESS_TIMESTAMP_SECONDS = Metric(
    "peak_reconcile_last_success_timestamp_seconds",
    "gauge",
    "Unix time at which the last reconciliation ended that could ask both sides, 0 before the first.",
    ("exchange",),
)
RECONCILE_INTERVAL_SECONDS = Metric(
    "peak_reconcile_interval_seconds",
    "gauge",
    "Time from one reconciliation to the next, as configured.",
    ("exchange",),
)
