"""Type of a metric family, default latency buckets, and the values that labels can have."""

from __future__ import annotations

from typing import NamedTuple

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency buckets in seconds; +Inf follows."""

STATES = ("closed", "open", "half_open", "forced_open", "disabled")
CALL_OUTCOMES = ("success", "failure", "ignored", "rejected")
OBSERVED_CALL_OUTCOMES = (*CALL_OUTCOMES, "would_refuse")
"""The outcomes of a circuit that only observes."""
RETRY_OUTCOMES = ("first_try", "after_retry", "exhausted", "not_retryable", "out_of_time", "out_of_budget")
OBSERVED_RETRY_OUTCOMES = (*RETRY_OUTCOMES, "would_retry")
"""The outcomes of a retry that only observes."""
LIMIT_OUTCOMES = (
    "at_once",
    "after_wait",
    "refused",
    "out_of_time",
    "interrupted",
    "would_wait",
    "would_refuse",
)
SHARE_OUTCOMES = ("made", "joined", "cached", "interrupted")
FALLBACK_OUTCOMES = ("value", "last_good", "none")
TIMEOUT_OUTCOMES = ("in_time", "timed_out", "out_of_time")
HEDGE_OUTCOMES = ("first", "hedge", "failed", "cancelled")
CHAOS_OUTCOMES = ("undisturbed", "delayed", "failed")
HEALTH_OUTCOMES = ("healthy", "unhealthy", "error", "timeout")
JOB_OUTCOMES = ("success", "failed", "interrupted")
BACKUP_OUTCOMES = ("success", "partial", "failed", "interrupted")
OFFSITE_OUTCOMES = ("success", "failed")
BACKUP_STATUSES = ("success", "partial", "failed")
EXCHANGE_OUTCOMES = (
    "success",
    "transient",
    "rate_limited",
    "maintenance",
    "clock",
    "auth",
    "rejected",
    "bad_response",
    "ambiguous",
    "bug",
    "cancelled",
)
DATA_KINDS = ("ticker", "ticker_received", "candles", "candles_received")
SOURCE_OUTCOMES = ("success", "error", "timeout")
SNAPSHOT_LIMITS = ("bytes", "series", "files")
REJECTIONS = ("torn", "foreign", "huge", "invalid", "unsafe")


class Metric(NamedTuple):
    """One metric family.

    Args:
        name: The full name as a query writes it (a histogram without its suffixes).
        kind: `counter`, `gauge` or `histogram`.
        help: One sentence for the reader of `/metrics`.
        labels: Label names in the order in which the values are given.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
