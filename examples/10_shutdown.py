"""SIGTERM in the middle of a long wait: orders are cancelled, and the program ends in good order.

python examples/10_shutdown.py
"""

from __future__ import annotations

import os
import signal
import threading

from peak_observe import ResilientExchangeClient, retry_with_backoff, stopping
from peak_observe.testing import FakeExchange


@retry_with_backoff(base_delay=3600.0)
def balance() -> float:
    """Fail, so that the retry waits for an hour."""
    print("balance() fails and waits for an hour")
    raise ConnectionError


def terminate() -> None:
    """Send what `docker stop`, systemd and Kubernetes send."""
    print("SIGTERM comes")
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Trade on a fake exchange until SIGTERM comes."""
    with FakeExchange() as exchange:
        client = ResilientExchangeClient("kraken", exchange.config(), health=None)
        with stopping(deadline=10) as stop:

            @stop.then
            def cancel_orders() -> None:
                for order in exchange.orders:
                    client.cancel_order(order.id, "BTC/USD")
                print(f"cancelled {len(exchange.orders)} order")

            @stop.then
            def close() -> None:
                client.close()
                print("closed")

            client.create_order("BTC/USD", "limit", "buy", 0.01, 10.0)
            threading.Timer(0.3, terminate).start()
            balance()
    print("ended in good order")


if __name__ == "__main__":
    main()
