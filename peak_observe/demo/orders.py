"""Orders of the demo that go through a journal, so that each is placed once whatever the exchange does."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import ccxt

from peak_observe import OrderJournal, OrderNotPlaced, OrderTimes, ResilientExchangeClient

if TYPE_CHECKING:
    import threading

    from peak_observe.testing import FakeExchange

TIMES = OrderTimes(deadline=2.0, visibility=0.5, interval=0.2)
"""Shorter than those of the real exchange, as the demo's script is."""


def submit_orders(exchange: FakeExchange, stop: threading.Event) -> None:
    """Submit an order each half second, the same one again until it is known to stand."""
    with (
        TemporaryDirectory(prefix="peak-observe-demo-") as folder,
        OrderJournal(Path(folder, "orders.sqlite"), times={"kraken": TIMES}) as journal,
        ResilientExchangeClient(
            "kraken", exchange.config(), health=None, journal=journal, recovery_timeout=2.0, max_wait=1.0
        ) as client,
    ):
        for number in itertools.count():
            placed = False
            while not placed and not stop.wait(0.5):
                with suppress(ccxt.BaseError, OrderNotPlaced):
                    client.reconcile()
                    client.submit(f"demo-{number}", "ETH/USD", "limit", "buy", 0.01, 1.0)
                    placed = True
            if stop.is_set():
                break
