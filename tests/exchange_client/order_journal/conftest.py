"""Journals in a folder of their own, and clients of both kinds whose time is the exchange's."""

import asyncio

import ccxt
import ccxt.async_support
import pytest

from peak_observe import AsyncResilientExchangeClient, OrderJournal, ResilientExchangeClient
from peak_observe.exchange_client.order_journal.store import Store
from peak_observe.testing import FakeExchange, ManualClock

SYMBOLS = {"kraken": "BTC/USD", "binance": "BTC/USDT", "bybit": "BTC/USDT", "okx": "BTC/USDT"}
PLACES = {"kraken": "AddOrder", "binance": "POST order", "bybit": "POST order/create", "okx": "POST trade/batch-orders"}


class Desk:
    """One exchange, and one client of one kind at a time."""

    def __init__(self, dialect: str, mode: str, path, clock=None) -> None:
        self.dialect, self.mode, self.path = dialect, mode, path
        self.symbol, self.place = SYMBOLS[dialect], PLACES[dialect]
        self.clock = clock or ManualClock()
        self.fake = FakeExchange(dialect=dialect, clock=self.clock)
        self.runner = asyncio.Runner()
        self.client = None
        self.start()

    def start(self, **settings) -> None:
        """Start the program anew: with a new client and a new view of the journal."""
        self.stop()
        module = ccxt if self.mode == "sync" else ccxt.async_support
        kind = ResilientExchangeClient if self.mode == "sync" else AsyncResilientExchangeClient
        self.journal = settings.pop("journal", None) or OrderJournal(self.path)

        async def made():
            exchange = getattr(module, self.dialect)({**self.fake.config(), "timeout": 10_000})
            exchange.milliseconds = lambda: int(self.clock.now().timestamp() * 1000)
            exchange.timeout_on_exit = 0
            given = {"health": None, "clock": self.clock, "journal": self.journal, "name": self.dialect, **settings}
            return exchange, kind(exchange, **given)

        self.exchange, self.client = self.runner.run(made())
        self.run("load_markets")

    def run(self, method: str, *args, **kwargs):
        """Return the result of a method of the client."""
        if self.mode == "sync":
            return getattr(self.client, method)(*args, **kwargs)

        async def main():
            for _ in range(3):
                await asyncio.sleep(0)  # a connection that was closed meanwhile is noticed by the loop
            return await getattr(self.client, method)(*args, **kwargs)

        return self.runner.run(main())

    def submit(self, key: str = "a", **other):
        """Submit an order, a limit order if nothing else is asked for."""
        order = {"type": "limit", "side": "buy", "amount": 0.1, "price": 40_000, **other}
        return self.run("submit", key, self.symbol, **order)

    def reconcile(self, **kwargs):
        """Reconcile the journal."""
        return self.run("reconcile", **kwargs)

    def state(self, key: str = "a") -> str:
        """Return the state of an order."""
        return self.journal.find(key).state

    def stop(self) -> None:
        """Stop the program."""
        if self.client is None:
            return
        self.run("close")
        if self.mode == "sync":
            self.exchange.session.close()
        else:
            self.runner.run(self.exchange.close())
        self.journal.close()
        self.client = None

    def close(self) -> None:
        """Stop program and exchange."""
        self.stop()
        self.runner.close()
        self.fake.close()


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Close every journal in the end."""
    made, make = [], Store.__init__

    def kept(store, path):
        make(store, path)
        made.append(store)

    monkeypatch.setattr(Store, "__init__", kept)
    yield
    for store in made:
        store.close()


@pytest.fixture
def path(tmp_path):
    """Return where the journal is."""
    return tmp_path / "orders.sqlite"


@pytest.fixture
def journal(path):
    """Return an empty journal."""
    with OrderJournal(path) as journal:
        yield journal


@pytest.fixture
def desk_of(path):
    """Return what makes desks, which are closed in the end."""
    desks = []

    def make(dialect: str = "kraken", mode: str = "sync", clock=None) -> Desk:
        desks.append(Desk(dialect, mode, path, clock))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture(params=zip(SYMBOLS, ("async", "sync", "async", "sync"), strict=True), ids="-".join)
def desk(request, desk_of) -> Desk:
    """Return a desk of each exchange, of one kind of client or the other: the steps are the same."""
    return desk_of(*request.param)


@pytest.fixture(params=["sync", "async"])
def kraken(request, desk_of) -> Desk:
    """Return a desk at Kraken of each kind of client."""
    return desk_of("kraken", request.param)
