"""A bot that runs wild, a guard that halts it, and somebody who resumes it with one command.

python examples/09_trading_switch.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from peak_observe import OrderGuard, ResilientExchangeClient, TradingHaltedError, TradingSwitch
from peak_observe.testing import FakeExchange


def run_wild(client: ResilientExchangeClient) -> int:
    """Place the same order again and again, as a loop with a fault does; return how many came through."""
    for placed in range(40):
        try:
            client.create_order("BTC/USD", "limit", "buy", 0.01, 10.0)
        except TradingHaltedError as error:
            print(f"refused: {error}")
            return placed
    return 40


def command(*args: str) -> None:
    """Run `peak-observe trading …`, as somebody would at 3 a.m."""
    print(f"$ peak-observe trading {' '.join(args)}")
    subprocess.run([sys.executable, "-m", "peak_observe", "trading", *args], check=False)  # noqa: S603 - our own command


def main() -> None:
    """Let a bot loop on a fake exchange."""
    with tempfile.TemporaryDirectory() as folder, FakeExchange() as exchange:
        trading = TradingSwitch("main", folder=folder)
        OrderGuard(trading, max_orders=20, per=60, max_same=3)
        client = ResilientExchangeClient("kraken", exchange.config(), trading=trading, health=None)
        trading.on_halt(lambda: print("hook: cancels all orders"))
        print(f"{run_wild(client)} of 40 orders came through", flush=True)
        for order in exchange.orders:  # cancels always pass
            client.cancel_order(order.id, "BTC/USD")
        print("all of them are cancelled", flush=True)
        command("status", "--dir", folder)
        command("resume", "main", "--reason", "the loop is mended", "--dir", folder)
        time.sleep(1)  # each process knows within a second
        print("after that:", client.create_order("BTC/USD", "limit", "buy", 0.01, 10.0)["id"])
        client.close()


if __name__ == "__main__":
    main()
