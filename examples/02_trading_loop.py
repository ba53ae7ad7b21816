"""A trading loop that survives maintenance: circuits, retries, no order sent twice, and metrics of it all.

python examples/02_trading_loop.py   # against a Kraken on 127.0.0.1 that fails on purpose
"""

from __future__ import annotations

import time
import urllib.request

from peak_observe import CircuitOpenError, OutcomeUnknown, ResilientExchangeClient, health_check, start_exporter
from peak_observe.testing import FakeExchange, Fault

PAUSE = 0.05  # seconds between two rounds; a real bot waits longer


def trade(client: ResilientExchangeClient) -> str:
    """Make one round: look at the price, and buy if the system is healthy."""
    try:
        price = client.fetch_ticker("BTC/USD")["last"]
    except CircuitOpenError as refusal:
        return f"paused: {refusal.name} is open for another {refusal.retry_after:.1f} s"
    except Exception as error:  # noqa: BLE001 - a bot goes on, whatever the exchange makes up
        return f"no price: {type(error).__name__}"
    try:
        order = client.create_order("BTC/USD", "limit", "buy", 0.1, price)
    except OutcomeUnknown as unknown:
        return settle(client, unknown)
    return f"bought at {price:.0f}, order {order['id']}"


def settle(client: ResilientExchangeClient, unknown: OutcomeUnknown) -> str:
    """Find out by its client order id whether the order stands, instead of sending it again."""
    orders = client.fetch_open_orders("BTC/USD", params={"cl_ord_id": unknown.client_order_id})
    return "the answer got lost, the order stands" if orders else "the order never arrived"


def main() -> None:
    """Trade through calm, an outage, a lost reply and calm again."""
    settings = {"failure_threshold": 2, "recovery_timeout": 0.3, "max_attempts": 2, "base_delay": 0.01}
    with (
        FakeExchange() as exchange,
        ResilientExchangeClient("kraken", exchange.config(), **settings) as client,
        start_exporter(port=0) as exporter,
    ):
        print("metrics:", exporter.url)
        rounds(client, 2)
        exchange.fail(Fault.maintenance())
        rounds(client, 4)
        exchange.heal()
        time.sleep(0.3)
        exchange.fail(Fault.lost_reply(), path="AddOrder", times=1)
        rounds(client, 2)
        print("health:", health_check.run_all()["exchange_kraken"].message)
        with urllib.request.urlopen(exporter.url, timeout=5) as answer:  # noqa: S310 - our own server
            wanted = 'peak_breaker_transitions_total{breaker="kraken.public"'
            print(*(line for line in answer.read().decode().splitlines() if line.startswith(wanted)), sep="\n")


def rounds(client: ResilientExchangeClient, count: int) -> None:
    """Trade `count` times."""
    for _ in range(count):
        print(trade(client))
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
