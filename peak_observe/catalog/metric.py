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
TRADING_STATES = ("trading", "reduce_only", "halted")
ORDER_LIMITS = ("orders", "same", "notional", "unknown", "unreadable")
"""Limits of a guard of orders."""
LOSS_LIMITS = ("drawdown", "daily_loss", "losing_streak", "stale", "unreadable")
"""Limits of a guard of losses; stale is for want of reports."""
DATA_KINDS = ("ticker", "ticker_received", "candles", "candles_received")
BEAT_OUTCOMES = ("success", "failed", "withheld")
RECONCILE_OUTCOMES = ("agreed", "differed", "failed")
DIFFERENCE_KINDS = ("balance", "foreign_order", "missing_order", "position")
DIAL_OUTCOMES = ("opened", "failed", "timeout")
CLOSE_CODES = ("1000", "1001", "1006", "1008", "1009", "1011", "1012", "1013", "other", "no_pong", "error")
"""Close codes of websockets by name; `no_pong` where ccxt gave it up, `error` where it was something else."""
SOURCE_OUTCOMES = ("success", "error", "timeout")
ORDER_STATES = ("intended", "sent", "open", "closed", "refused", "unknown")
ORDER_RECONCILE_OUTCOMES = ("open", "closed", "refused", "absent", "unknown")
SNAPSHOT_LIMITS = ("bytes", "series", "files")
REJECTIONS = ("torn", "foreign", "huge", "invalid", "unsafe")

_STEPS_OF_CIRCUITS = ("open", "claim", "extend", "settle", "override")
SHARED_STEPS = (*_STEPS_OF_CIRCUITS, "hold", "reserve", "postpone", "nonce", "seed", "sync", "beat")
SHARED_OPERATIONS = tuple((op, outcome) for op in SHARED_STEPS for outcome in ("success", "error"))
SHARED_DIRECTIONS = ("in", "out")
SHARED_RESYNCS = ("gap", "heartbeat", "reconnect")
SHARED_LEASES = ("granted", "taken", "early", "unneeded", "late", "fenced")


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
