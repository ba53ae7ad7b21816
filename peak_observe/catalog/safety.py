"""Metrics of the trading switch, its guards and the account."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

TRADING_STATE = Metric(
    "peak_trading_state",
    "gauge",
    "1 for the state that the trading switch is in, 0 for the others.",
    ("switch", "state"),
)
TRADING_REASON = Metric(
    "peak_trading_reason",
    "gauge",
    "1 for the reason why trading is halted or reduced, 0 for those that hold no more.",
    ("switch", "reason"),
)
TRADING_REFUSED_TOTAL = Metric(
    "peak_trading_refused_total",
    "counter",
    "Calls that were not made, as trading was halted or reduced.",
    ("switch",),
)
TRADING_CHANGED_TIMESTAMP_SECONDS = Metric(
    "peak_trading_changed_timestamp_seconds",
    "gauge",
    "Unix time at which the trading switch was last changed, 0 for never.",
    ("switch",),
)
GUARD_TRIPS_TOTAL = Metric(
    "peak_guard_trips_total",
    "counter",
    "Limits of a guard that were exceeded, by which of them it was.",
    ("guard", "reason"),
)
GUARD_HEADROOM_RATIO = Metric(
    "peak_guard_headroom_ratio",
    "gauge",
    "Share of the guard's tightest limit that is left: 1 for unused, 0 for used up.",
    ("guard",),
)
ACCOUNT_EQUITY = Metric(
    "peak_account_equity",
    "gauge",
    "Equity of the account as last reported, in its own currency; NaN before the first report.",
    ("account",),
)
ACCOUNT_DRAWDOWN_RATIO = Metric(
    "peak_account_drawdown_ratio",
    "gauge",
    "Share of its highest equity that the account has lost; NaN before the first report.",
    ("account",),
)
