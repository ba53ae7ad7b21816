"""Real ccxt objects, sync and async, against loopback exchanges; and everything that comes out of them."""

import asyncio
import contextlib
import logging
import pickle
import threading
import traceback

import ccxt
import ccxt.async_support
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient
from peak_observe.measures import ENDPOINTS
from peak_observe.telemetry.tracing import spans
from peak_observe.testing import FakeExchange, ManualClock, RecordingObserver

PATIENCE = 10_000
SYMBOLS = {"kraken": "BTC/USD", "binance": "BTC/USDT", "bybit": "BTC/USDT", "okx": "BTC/USDT"}


class Rig:
    """One loopback exchange with one ccxt object of each kind, whose markets are loaded."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.symbol = SYMBOLS[dialect]
        self.fake = FakeExchange(dialect=dialect)
        self.calls = []
        self.arrived = threading.Event()
        self._handle = self.fake._handle
        self.fake._handle = self.fake._server.handle = self._note
        self.runner = asyncio.Runner()
        self.sync = getattr(ccxt, dialect)(self.config())
        self.asynchronous = self.runner.run(self._async())
        self.sync.load_markets()

    def _note(self, call):
        self.calls.append(call)
        self.arrived.set()
        return self._handle(call)

    def config(self, **further) -> dict:
        """Return a configuration that gives the machine time."""
        return {**self.fake.config(), "timeout": PATIENCE, **further}

    async def _async(self):
        exchange = getattr(ccxt.async_support, self.dialect)(self.config())
        exchange.timeout_on_exit = 0
        await exchange.load_markets()
        return exchange

    def client(self, mode: str, **settings):
        """Return a new client around the object of a mode, whose waiting takes no time."""
        chosen = {"health": None, "clock": ManualClock(), "max_attempts": 2, "base_delay": 0.1, **settings}
        if mode == "sync":
            return ResilientExchangeClient(self.sync, **chosen)
        return AsyncResilientExchangeClient(self.asynchronous, **chosen)

    def run(self, mode: str, use):
        """Return what `use()` gives, awaited in async mode."""
        if mode == "sync":
            return use()

        async def main():
            for _ in range(3):
                await asyncio.sleep(0)  # a connection that was closed meanwhile is noticed by the loop
            return await use()

        return self.runner.run(main())

    def close(self, client) -> None:
        """Give the object back."""
        if isinstance(client, AsyncResilientExchangeClient):
            self.runner.run(client.close())
        else:
            client.close()

    @contextlib.contextmanager
    def using(self, mode: str, **settings):
        """Use a client, and set everything right afterwards."""
        client = self.client(mode, **settings)
        self.arrived.clear()
        exchange = client.exchange
        try:
            yield client
        finally:
            self.fake.heal()
            exchange.timeout = PATIENCE
            exchange.options["hasAlreadyAuthenticatedSuccessfully"] = False
            self.close(client)

    def end(self) -> None:
        """Close everything."""
        self.sync.session.close()
        self.runner.run(self.asynchronous.close())
        self.runner.close()
        self.fake.close()


@pytest.fixture(scope="module")
def _rigs():
    rigs = {}
    yield rigs
    for rig in rigs.values():
        rig.end()


@pytest.fixture
def rig(_rigs):
    """Return the rig of a dialect, the same for all tests of a module."""
    return lambda dialect="kraken": _rigs.get(dialect) or _rigs.setdefault(dialect, Rig(dialect))


def outcomes(name: str) -> dict[tuple[str, str], int]:
    """Return the counted requests of an exchange by endpoint and outcome, without zeros."""
    from peak_observe.catalog import EXCHANGE_OUTCOMES
    from peak_observe.measures.exchange import SEPARATOR

    found = {}
    for series, reading in ENDPOINTS.read():
        exchange, _, endpoint = series.partition(SEPARATOR)
        if exchange == name:
            pairs = zip(EXCHANGE_OUTCOMES, reading.requests, strict=True)
            found |= {(endpoint, outcome): count for outcome, count in pairs if count}
    return found


@pytest.fixture
def counted():
    """Return the function that reads the counts of an exchange."""
    return outcomes


class Everything:
    """All that came out: spans, log lines, events, exceptions."""

    def __init__(self, tracer, exporter, caplog, seen) -> None:
        self.tracer = tracer
        self.seen = seen
        self.texts = []
        self._exporter = exporter
        self._caplog = caplog

    def raised(self, error: BaseException) -> None:
        """Take in an exception with all that it came from, as text and pickled."""
        self.texts += traceback.format_exception(error)
        while error is not None:
            self.texts += [repr(error), str(error), repr(vars(error))]
            with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
                self.texts.append(pickle.dumps(error).decode("latin-1"))
            error = error.__cause__ or error.__context__

    def text(self) -> str:
        """Return all of it."""
        formatter = logging.Formatter("%(message)s")
        lines = [formatter.format(record) + repr(vars(record)) for record in self._caplog.records]
        spans = [span.to_json() for span in self._exporter.get_finished_spans()]
        return "\n".join([*self.texts, *lines, *spans, *map(repr, self.seen.events)])


@pytest.fixture
def everything(monkeypatch, caplog):
    """Record it, with DEBUG logging on and spans that record exceptions."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    # Not the global provider, which other tests set, and which can be set but once.
    monkeypatch.setattr(spans, "_current_tracer", lambda: tracer)
    caplog.set_level(logging.DEBUG)
    with RecordingObserver() as seen:
        yield Everything(tracer, exporter, caplog, seen)
