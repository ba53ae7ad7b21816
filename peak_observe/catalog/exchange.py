"""Metrics of exchange clients."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

EXCHANGE_REQUESTS_TOTAL = Metric(
    "peak_exchange_requests_total",
    "counter",
    "Requests to the exchange by what their answer means; ambiguous ones may or may not have changed something.",
    ("exchange", "endpoint", "outcome"),
)
EXCHANGE_REQUEST_DURATION_SECONDS = Metric(
    "peak_exchange_request_duration_seconds",
    "histogram",
    "Time from sending a request to the end of its answer, without the wait for the rate limiter.",
    ("exchange", "endpoint"),
)
EXCHANGE_WRITES_TOTAL = Metric(
    "peak_exchange_writes_total",
    "counter",
    "Requests that change something, over all endpoints of the exchange, by what their answer means.",
    ("exchange", "outcome"),
)
EXCHANGE_DATA_AGE_SECONDS = Metric(
    "peak_exchange_data_age_seconds",
    "gauge",
    "Age of the data of that kind by the exchange's time, or since its receipt; NaN before the first.",
    ("exchange", "kind"),
)
EXCHANGE_DATA_MAX_AGE_SECONDS = Metric(
    "peak_exchange_data_max_age_seconds",
    "gauge",
    "Age past which the data of that kind are stale: three usual gaps, at least 5 minutes; NaN until a gap is usual.",
    ("exchange", "kind"),
)
EXCHANGE_CANDLE_GAPS_TOTAL = Metric(
    "peak_exchange_candle_gaps_total",
    "counter",
    "Candles that were missing between the first and the last one of an answer; each counts once.",
    ("exchange",),
)
EXCHANGE_CLOCK_SKEW_SECONDS = Metric(
    "peak_exchange_clock_skew_seconds",
    "gauge",
    "How far the exchange's clock is ahead of ours, 0 before the first answer that tells.",
    ("exchange",),
)
EXCHANGE_RATE_LIMIT_USED_RATIO = Metric(
    "peak_exchange_rate_limit_used_ratio",
    "gauge",
    "Share of the rate limit that is used up, as the exchange says or as its published rules count.",
    ("exchange",),
)
EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS = Metric(
    "peak_exchange_banned_until_timestamp_seconds",
    "gauge",
    "Unix time at which the last rate limit or ban of the exchange ends, 0 if there was none.",
    ("exchange",),
)
EXCHANGE_LATENCY_BUDGET_SECONDS = Metric(
    "peak_exchange_latency_budget_seconds",
    "gauge",
    "Time that a request of the group may take, where the client was made with a latency budget.",
    ("exchange", "group"),
)
EXCHANGE_BUDGETED_REQUESTS_TOTAL = Metric(
    "peak_exchange_budgeted_requests_total",
    "counter",
    "Requests of a group that has a latency budget.",
    ("exchange", "group"),
)
EXCHANGE_SLOW_REQUESTS_TOTAL = Metric(
    "peak_exchange_slow_requests_total",
    "counter",
    "Requests that took longer than the latency budget of their group.",
    ("exchange", "group"),
)
