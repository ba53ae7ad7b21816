"""Metrics of the order journal."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

ORDERS_TOTAL = Metric(
    "peak_orders_total",
    "counter",
    "Orders of the journal by the state that they came into.",
    ("exchange", "state"),
)
ORDERS_PENDING = Metric(
    "peak_orders_pending",
    "gauge",
    "Orders of the journal that are not settled: intended, sent or of unknown fate, by any process.",
    ("exchange",),
)
ORDERS_OLDEST_PENDING_SECONDS = Metric(
    "peak_orders_oldest_pending_seconds",
    "gauge",
    "Time since the oldest order that may or may not stand was intended, 0 if there is none.",
    ("exchange",),
)
ORDERS_RECONCILED_TOTAL = Metric(
    "peak_orders_reconciled_total",
    "counter",
    "Orders of unknown fate that were looked up, by what was found; absent ones do not stand and may be sent.",
    ("exchange", "outcome"),
)
ORDERS_RECONCILE_DURATION_SECONDS = Metric(
    "peak_orders_reconcile_duration_seconds",
    "histogram",
    "Time that reconcile() took, for all orders whose fate was open.",
    ("exchange",),
)
