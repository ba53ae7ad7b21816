"""A bot that hangs loses its orders, a second copy is refused, and an order that nobody knows is found.

python examples/11_account_safety.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from itertools import count

from peak_observe import DeadManSwitch, OutcomeUnknown, Reconciler, ResilientExchangeClient, only_one
from peak_observe.resilience.health import checks
from peak_observe.testing import FakeExchange, Fault

TURNS = 10
SECOND_COPY = """
import sys
from peak_observe import AlreadyRunningError, only_one
try:
    only_one("bot", folder=sys.argv[1])
except AlreadyRunningError as error:
    sys.exit(f"second copy: {error}")
"""


def books_that_differ(client: ResilientExchangeClient, exchange: FakeExchange) -> None:
    """Lose the answer to an order, and find the order."""
    mine: list[str] = []
    books = Reconciler(client, orders=lambda: mine, settle=0.2, on_difference=lambda text: print("halt:", text))
    print("before the first order:", len(books.run()), "differences")
    exchange.fail(Fault.lost_reply(), path="AddOrder", times=1)
    try:
        mine.append(client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)["id"])
    except OutcomeUnknown:
        print("the answer to an order was lost")
    books.run()


def loop_that_hangs(client: ResilientExchangeClient, exchange: FakeExchange) -> None:
    """Beat for a while, then hang: the exchange cancels what stands."""
    heartbeat = checks.Heartbeat(max_age=0.5)
    heartbeat.beat()
    switch = DeadManSwitch(client, timeout=2, every=0.5, while_healthy=heartbeat)
    print("armed:", switch.wait_armed())
    for number in count():
        if number < TURNS:
            heartbeat.beat()  # from then on the loop hangs
        if {order.status for order in exchange.orders} == {"canceled"}:
            print("the loop hung, and the exchange cancelled its orders")
            break
        time.sleep(0.1)
    switch.close()


def main() -> None:
    """Show all three against an exchange of its own."""
    with tempfile.TemporaryDirectory() as folder, only_one("bot", folder=folder):
        command = [sys.executable, "-c", SECOND_COPY, folder]
        copy = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the text above
        print(copy.stderr.strip())
    with FakeExchange() as exchange, ResilientExchangeClient("kraken", exchange.config()) as client:
        books_that_differ(client, exchange)
        loop_that_hangs(client, exchange)


if __name__ == "__main__":
    main()
