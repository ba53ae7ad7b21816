"""Metrics of circuit breakers and retries."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

BREAKER_STATE = Metric(
    "peak_breaker_state",
    "gauge",
    "1 for the state the circuit is in, 0 for the others.",
    ("breaker", "state"),
)
BREAKER_CALLS_TOTAL = Metric(
    "peak_breaker_calls_total",
    "counter",
    "Calls by how they ended; rejected ones were never made, would_refuse ones were, as the circuit only observes.",
    ("breaker", "outcome"),
)
BREAKER_CALL_DURATION_SECONDS = Metric(
    "peak_breaker_call_duration_seconds",
    "histogram",
    "Time that calls the circuit let through took, whatever their outcome.",
    ("breaker",),
)
BREAKER_TRANSITIONS_TOTAL = Metric(
    "peak_breaker_transitions_total",
    "counter",
    "Changes of state by the state that was entered.",
    ("breaker", "to"),
)
BREAKER_LAST_TRANSITION_TIMESTAMP_SECONDS = Metric(
    "peak_breaker_last_transition_timestamp_seconds",
    "gauge",
    "Unix time of the last change of state, 0 before the first.",
    ("breaker",),
)
BREAKER_STATE_SECONDS_TOTAL = Metric(
    "peak_breaker_state_seconds_total",
    "counter",
    "Time spent in each state, summed over the breakers that share the name.",
    ("breaker", "state"),
)
BREAKER_FAILURE_THRESHOLD = Metric(
    "peak_breaker_failure_threshold",
    "gauge",
    "Consecutive failures that open the circuit, as configured; of a circuit with a window there is none.",
    ("breaker",),
)
BREAKER_RECOVERY_TIMEOUT_SECONDS = Metric(
    "peak_breaker_recovery_timeout_seconds",
    "gauge",
    "Time an open circuit waits before it lets a probe through, as configured; where it grows, the first.",
    ("breaker",),
)
BREAKER_FAILURE_RATIO = Metric(
    "peak_breaker_failure_ratio",
    "gauge",
    "Share of the calls in the window that failed; only circuits with a window have one.",
    ("breaker",),
)
BREAKER_SLOW_CALL_RATIO = Metric(
    "peak_breaker_slow_call_ratio",
    "gauge",
    "Share of the calls in the window that were slow; only circuits with a window have one.",
    ("breaker",),
)
RETRY_CALLS_TOTAL = Metric(
    "peak_retry_calls_total",
    "counter",
    "Operations by how they ended; each is one or more attempts, would_retry ones are one, as the retry only observes.",
    ("operation", "outcome"),
)
RETRY_RETRIES_TOTAL = Metric(
    "peak_retry_retries_total",
    "counter",
    "Attempts after the first.",
    ("operation",),
)
RETRY_ERRORS_TOTAL = Metric(
    "peak_retry_errors_total",
    "counter",
    "Failed attempts by the class of the exception; past 20 classes an operation the rest count as _other.",
    ("operation", "exception"),
)
RETRY_BACKOFF_SECONDS_TOTAL = Metric(
    "peak_retry_backoff_seconds_total",
    "counter",
    "Time spent waiting between attempts.",
    ("operation",),
)
RETRY_NESTED_TOTAL = Metric(
    "peak_retry_nested_total",
    "counter",
    "Operations that were retried inside an attempt of this one, so that the attempts multiply.",
    ("operation",),
)
RETRY_MAX_ATTEMPTS = Metric(
    "peak_retry_max_attempts",
    "gauge",
    "Attempts an operation may make, as configured; +Inf without a limit, 1 while retries are turned off.",
    ("operation",),
)
RETRY_BUDGET_TOKENS = Metric(
    "peak_retry_budget_tokens",
    "gauge",
    "Retries the budget would allow at this moment, summed over the budgets that share the name.",
    ("budget",),
)
