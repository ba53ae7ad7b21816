"""A bot that is killed in the middle of an order, and places it exactly once all the same.

python examples/12_order_journal.py   # against a Kraken on 127.0.0.1 that fails on purpose
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peak_observe import OrderJournal, OrderTimes, ResilientExchangeClient
from peak_observe.testing import FakeExchange, Fault

TIMES = {"kraken": OrderTimes(deadline=2.0, visibility=0.5, interval=0.2)}  # short, as the exchange is near


def bot(path: str, config: str) -> None:
    """Find out about the orders of an earlier life, then place today's."""
    with (
        OrderJournal(path, times=TIMES) as journal,
        ResilientExchangeClient("kraken", json.loads(config), journal=journal) as client,
    ):
        for intent in client.reconcile():
            print(f"from an earlier life: {intent.key} is {intent.state}", flush=True)
        for day in ("mon", "tue"):
            order = client.submit(f"rebalance-{day}", "BTC/USD", "limit", "buy", 0.1, 40_000)
            print(f"rebalance-{day}: order {order['id']}", flush=True)


def main() -> None:
    """Kill the bot while it waits for an answer, and start it again."""
    with FakeExchange() as exchange, tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "orders.sqlite"))
        command = [sys.executable, __file__, path, json.dumps(exchange.config())]
        exchange.fail(Fault.latency(30), path="AddOrder", times=1)  # placed at once, and the answer takes its time
        first = subprocess.Popen(command)  # noqa: S603 - this file itself
        while not exchange.orders:
            time.sleep(0.02)
        first.kill()
        first.wait()
        exchange.heal()
        with OrderJournal(path) as journal:
            print("killed; the journal says:", [(intent.key, intent.state) for intent in journal.pending()], flush=True)
        subprocess.run(command, check=True)  # noqa: S603 - this file itself
        print(f"the exchange has {len(exchange.orders)} orders")


if __name__ == "__main__":
    bot(*sys.argv[1:]) if len(sys.argv) > 1 else main()
