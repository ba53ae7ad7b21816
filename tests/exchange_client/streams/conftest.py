"""Real ccxt.pro objects against loopback exchanges, observed."""

import asyncio
import contextlib
import itertools
import time

import ccxt.pro
import pytest

from peak_observe import instrument, observe, uninstrument
from peak_observe.measures import CONNECTIONS, STREAMS
from peak_observe.measures.streams import SEPARATOR
from peak_observe.testing import FakeExchange, RecordingObserver

SYMBOLS = {"kraken": "BTC/USD", "binance": "BTC/USDT"}
CHANNELS = {
    "kraken": {"ticker": "WS ticker", "order_book": "WS book", "orders": "WS executions"},
    "binance": {"ticker": "WS ticker", "order_book": "WS depth", "orders": "WS executionReport"},
}
PATIENCE = 90.0
_number = itertools.count()


class Rig:
    """One loopback exchange and one ccxt.pro object, with an event loop of its own."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.symbol = SYMBOLS[dialect]
        self.channels = CHANNELS[dialect]
        self.fake = FakeExchange(dialect=dialect, update_interval=0.02)
        self.name = f"{dialect}{next(_number)}"
        self.runner = asyncio.Runner()
        self.exchange = self.made()
        self.events = RecordingObserver()
        self.forget = observe(self.events)

    def made(self):
        """Return another object, which closes at once."""
        exchange = getattr(ccxt.pro, self.dialect)({**self.fake.config(), "timeout": 10_000})
        exchange.timeout_on_exit = 0
        return exchange

    def instrument(self, **options):
        """Observe the object under the name of the rig."""
        return instrument(self.exchange, self.name, **options)

    def run(self, main):
        """Return what a coroutine gives, which has time enough."""
        return self.runner.run(asyncio.wait_for(main, PATIENCE))

    async def tries(self, watch, count: int = 1) -> list[str]:
        """Await a method some times, as a bot does, and return the names of what it raised."""
        raised, good = [], 0
        while good < count:
            try:
                await watch()
                good += 1
            except (ccxt.BaseError, ConnectionError) as error:  # the latter where ccxt could not send
                raised.append(type(error).__name__)
        return raised

    def stream(self, stream: str, group: str = "all"):
        """Return the reading of a stream."""
        return STREAMS.get(SEPARATOR.join((self.name, stream, group))).read()

    @property
    def connections(self):
        """The reading of the exchange's websockets."""
        return CONNECTIONS.get(self.name).read()

    def told(self, *names: str) -> list:
        """Return the events of streams of these kinds, all if none is given."""
        wanted = names or ("StreamBroken", "StreamResumed")
        return [event for event in self.events.events if type(event).__name__ in wanted]

    async def until(self, condition) -> None:
        """Wait for a condition."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it did not come true"
            await asyncio.sleep(0.01)

    def close(self) -> None:
        """Close everything."""
        self.forget()
        with contextlib.suppress(ValueError):
            uninstrument(self.exchange)
        self.runner.run(self.exchange.close())
        self.runner.close()
        self.fake.close()


@pytest.fixture(params=["kraken", "binance"])
def rig(request):
    """A rig of each exchange that speaks websockets."""
    made = Rig(request.param)
    yield made
    made.close()


@pytest.fixture
def kraken():
    """A rig of Kraken."""
    made = Rig("kraken")
    yield made
    made.close()


@pytest.fixture
def binance():
    """A rig of Binance."""
    made = Rig("binance")
    yield made
    made.close()
