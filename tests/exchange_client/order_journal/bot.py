"""Bot of the simulator: places orders one after the other, is killed at a step, and starts again.

A process is forked for each life, so that ccxt is loaded once. Commands come as JSON on stdin, answers go to stdout.
"""

import json
import logging
import mmap
import os
import signal
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ccxt
import requests

from peak_observe import OrderJournal, OrderTimes, ResilientExchangeClient, events
from peak_observe.exchange_client.order_journal.store import Store

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BELIEF = "placed"


class SharedClock:
    """Time of exchange and bots in one mapped file: sleeping moves it on."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def monotonic(self) -> float:
        """Return the seconds since the beginning."""
        return struct.unpack("d", self._map[:8])[0]

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return EPOCH + timedelta(seconds=self.monotonic())

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._map[:8] = struct.pack("d", self.monotonic() + seconds)


class Killer:
    """Counts the steps of a life, and ends it with SIGKILL at one of them."""

    def __init__(self, at: int) -> None:
        self.left = at

    def around(self, owner, name: str, kind: str) -> None:
        """Make a step before and one after each call of a function."""
        original = getattr(owner, name)

        def stepped(*args, **kwargs):
            self.step(f"before {kind}")
            found = original(*args, **kwargs)
            self.step(f"after {kind}")
            return found

        setattr(owner, name, stepped)

    def step(self, name: str) -> None:
        """Take one step."""
        self.left -= 1
        if self.left == 0:
            os.write(1, json.dumps({"killed": name}).encode() + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)


def journaled(client, orders: list, folder: Path, clock: SharedClock) -> None:
    """Place each order through the journal."""
    client.reconcile()
    for order in orders:
        while True:
            try:
                client.submit(*order)
                break
            except ccxt.BaseError:
                clock.sleep(5)
            except Exception:
                clock.sleep(5)


def naive(client, orders: list, folder: Path, clock: SharedClock) -> None:
    """Send each order until it is answered."""
    _each(orders, folder, clock, lambda key, order: client.create_order(*order))


def same_id(client, orders: list, folder: Path, clock: SharedClock) -> None:
    """Send each order under its own id until it is answered, or the id is taken."""

    def send(key, order):
        try:
            client.create_order(*order, _with_id(client, key))
        except ccxt.ExchangeError as error:
            if "uplicate" not in str(error):
                raise

    _each(orders, folder, clock, send)


def check_first(client, orders: list, folder: Path, clock: SharedClock) -> None:
    """Look for each order by its id, and send it if it is not there."""

    def send(key, order):
        if not _found(client, key, order[0]):
            client.create_order(*order, _with_id(client, key))

    _each(orders, folder, clock, send)


def _each(orders: list, folder: Path, clock: SharedClock, send) -> None:
    done = folder / BELIEF
    placed = set(done.read_text().split()) if done.exists() else set()
    for key, *order in orders:
        while key not in placed:
            try:
                send(key, order)
                placed.add(key)
                with done.open("a") as file:
                    file.write(f"{key}\n")
            except Exception:
                clock.sleep(1)


def _with_id(client, key: str) -> dict:
    return {"clientOrderId": f"{int(key):032x}"}


def _found(client, key: str, symbol: str) -> bool:
    sought = _with_id(client, key)["clientOrderId"]
    if client.exchange.id == "binance":
        try:
            client.fetch_order_with_client_order_id(sought, symbol)
        except ccxt.OrderNotFound:
            return False
        return True
    ended = "fetch_canceled_and_closed_orders" if client.exchange.id == "bybit" else "fetch_closed_orders"
    lists = (client.call(name, symbol) for name in ("fetch_open_orders", ended))
    return any(order["clientOrderId"] == sought for found in lists for order in found)


STRATEGIES = {
    "journal": journaled,
    "without fence": journaled,
    "without deadline": journaled,
    "without journal": journaled,
    "naive retry": naive,
    "same-id retry": same_id,
    "check-then-retry": check_first,
}
TIMES = {
    "without fence": OrderTimes(deadline=0.0, visibility=0.0, interval=0.0, answers=1),
    "without deadline": OrderTimes(deadline=0.0, visibility=5.0),
}


def live(exchange, command: dict, clock: SharedClock) -> None:
    """Live one life."""
    folder, strategy = Path(command["folder"]), command["strategy"]
    exchange.session = requests.Session()
    killer = Killer(command["kill_at"])
    killer.around(exchange, "fetch", "request")
    killer.around(Store, "add", "intended")
    killer.around(Store, "change", "recorded")
    killer.around(clock, "sleep", "sleep")
    path = folder / "orders.sqlite"
    if strategy == "without journal":
        for file in folder.glob("orders.sqlite*"):
            file.unlink()
    times = {exchange.id: TIMES[strategy]} if strategy in TIMES else {}
    journal = OrderJournal(path, times=times)
    client = ResilientExchangeClient(exchange, journal=journal, health=None, clock=clock)
    STRATEGIES[strategy](client, command["orders"], folder, clock)
    os.write(1, b'{"done": true}\n')


def warm_up(exchange, folder: Path) -> None:
    """Make once what each life would make anew: classes and modules."""
    _ = events.OrderSettled, events.WriteUnanswered
    with OrderJournal(folder / "warm.sqlite") as journal:
        client = ResilientExchangeClient(exchange, journal=journal, health=None)
        client.reconcile()
        client.close()


def main() -> None:
    """Fork a life for each command."""
    clock = SharedClock(Path(sys.argv[1]))
    logging.disable()
    exchanges = {}
    for line in sys.stdin:
        command = json.loads(line)
        url, name = command["url"], command["exchange"]
        if url not in exchanges:
            exchange = getattr(ccxt, name)(command["config"])
            exchange.milliseconds = lambda: int(clock.now().timestamp() * 1000)
            exchange.load_markets()
            warm_up(exchange, Path(command["folder"]))
            exchanges[url] = exchange
        child = os.fork()
        if not child:
            code = 1
            try:
                live(exchanges[url], command, clock)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status and not os.WIFSIGNALED(status):
            os.write(1, b'{"failed": true}\n')


if __name__ == "__main__":
    main()
