"""Alert about orders of the journal that may or may not stand."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import AT, CRITICAL, SPAN, Alert, Group, last

LIMIT = 300
"""Seconds for which the fate of an order may be open: several times what the slowest exchange needs."""

ORDERS = Group(
    "orders",
    "peak-exchanges",
    (
        Alert(
            "PeakOrderUnresolved",
            CRITICAL,
            f"{last(catalog.ORDERS_OLDEST_PENDING_SECONDS)} > {LIMIT}",
            "1m",
            "an order of the journal has been of unknown fate for 5 minutes",
            f"An order of {AT} at {{{{ $labels.exchange }}}} may or may not stand.",
            f"It was intended {SPAN} ago, and its fate is not known.",
            "The journal has an order that was sent and whose fate nobody knows: the exchange could not be asked, its "
            "answers prove nothing, or the bot that sent it ended and nobody has called `reconcile()` since.",
            "`OrderJournal(path).pending()` tells key, order, client order id and reason. Does the exchange answer?",
            "Call `client.reconcile()`, or restart the bot if it does so at start. If the reason says that too much "
            "time has passed, look for the id at the exchange, and settle it: "
            '`journal.resolve(key, "closed")` or `"refused"`.',
            subject="exchange",
        ),
    ),
)
