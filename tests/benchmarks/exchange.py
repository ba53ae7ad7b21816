"""What the exchange client and `instrument` add to a `fetch_ticker` of bare ccxt against a loopback exchange."""

import asyncio
import time
from collections.abc import Callable
from itertools import repeat
from statistics import median

import ccxt
import ccxt.async_support
from measuring import Verdict, in_turns, ratio, table

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient, instrument
from peak_observe.testing import FakeExchange

CALLS = 20
ROUNDS = 61
BARE, CLIENT, INSTRUMENTED = "bare ccxt", "ResilientExchangeClient", "instrument"


def timed(exchange: object) -> Callable[[], float]:
    """Return a function that measures many tickers."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in repeat(None, CALLS):
            exchange.fetch_ticker("BTC/USD")
        return time.perf_counter() - start

    return measure


def async_timed(runner: asyncio.Runner, exchange: object) -> Callable[[], float]:
    """Return a function that measures many tickers on an event loop that is there already."""

    async def main() -> float:
        start = time.perf_counter()
        for _ in repeat(None, CALLS):
            await exchange.fetch_ticker("BTC/USD")
        return time.perf_counter() - start

    return lambda: runner.run(main())


def compare(title: str, contestants: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Print and return what the tickers of each took."""
    found = in_turns(contestants, ROUNDS)
    print(f"\n{title}: microseconds a fetch_ticker against a loopback exchange in this process")
    rows = [(n, f"{median(s) / CALLS * 1e6:,.0f}", f"{ratio(s, found[BARE]):.3f}") for n, s in found.items()]
    table(rows, ("", "us", f"x {BARE}"))
    return found


def run() -> list[Verdict]:
    """Compare sync and async."""
    with FakeExchange() as fake, asyncio.Runner() as runner:
        config = fake.config()
        with ResilientExchangeClient("kraken", config, health=None) as client:
            bare, watched = ccxt.kraken(config), instrument(ccxt.kraken(config))
            contestants = {BARE: bare, CLIENT: client, INSTRUMENTED: watched}
            sync = compare("Sync", {name: timed(one) for name, one in contestants.items()})
            bare.session.close()
            watched.session.close()

        async def made() -> dict[str, object]:
            return {
                BARE: ccxt.async_support.kraken(config),
                CLIENT: AsyncResilientExchangeClient("kraken", config, health=None),
                INSTRUMENTED: instrument(ccxt.async_support.kraken(config)),
            }

        contestants = runner.run(made())
        compare("Async", {name: async_timed(runner, one) for name, one in contestants.items()})
        for one in contestants.values():
            runner.run(one.close())
    # Async ccxt answers twice as fast here, as the server's threads get in its way less: the same microseconds
    # are twice the share, so that its figures are shown and have no budget.
    return [
        Verdict("sync fetch_ticker: client / bare ccxt", ratio(sync[CLIENT], sync[BARE]), 1.05),
        Verdict("sync fetch_ticker: instrument / bare ccxt", ratio(sync[INSTRUMENTED], sync[BARE]), 1.02),
    ]
