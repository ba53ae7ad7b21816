"""What `instrument` adds to a message of a websocket that the real ccxt.pro reads.

The messages are those of a loopback exchange; they are handed to ccxt's client as its socket does, so that nothing but
the processor time of reading them is measured: parsing, ccxt's own work, and the counting.
"""

import asyncio
import json
import time
from collections.abc import Callable
from itertools import repeat
from statistics import median

import aiohttp
import ccxt.pro
from measuring import Verdict, in_turns, over, ratio, table

from peak_observe import instrument
from peak_observe.testing import FakeExchange

CALLS = 100
ROUNDS = 101
BARE, INSTRUMENTED = "bare ccxt.pro", "instrument"
TICKER = {
    "channel": "ticker",
    "type": "update",
    "data": [
        {
            "symbol": "BTC/USD",
            "bid": 49999.0,
            "bid_qty": 1.0,
            "ask": 50001.0,
            "ask_qty": 1.0,
            "last": 50000.0,
            "volume": 100.0,
            "vwap": 50000.0,
            "low": 49000.0,
            "high": 51000.0,
            "change": 10.0,
            "change_pct": 0.1,
        }
    ],
}


async def subscribed(exchange: ccxt.pro.Exchange) -> object:
    """Return ccxt's client of the public websocket, once the first ticker came."""
    await exchange.watch_ticker("BTC/USD")
    return next(iter(exchange.clients.values()))


def timed(client: object) -> Callable[[], float]:
    """Return a function that measures many messages."""
    message = aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, json.dumps(TICKER), None)

    def measure() -> float:
        start = time.thread_time()
        for _ in repeat(None, CALLS):
            client.handle_message(message)
        return time.thread_time() - start

    return measure


def run() -> list[Verdict]:
    """Compare them on one event loop, which does nothing else meanwhile."""
    with FakeExchange(update_interval=60.0) as fake, asyncio.Runner() as runner:
        exchanges = {BARE: ccxt.pro.kraken(fake.config()), INSTRUMENTED: instrument(ccxt.pro.kraken(fake.config()))}
        clients = {name: runner.run(subscribed(one)) for name, one in exchanges.items()}
        found = in_turns({name: timed(client) for name, client in clients.items()}, ROUNDS)
        for one in exchanges.values():
            runner.run(one.close())
    added = over(found[INSTRUMENTED], found[BARE])
    print(
        f"\nStreams: microseconds of a ticker that comes by websocket, {BARE}: {median(found[BARE]) / CALLS * 1e6:,.1f}"
    )
    measured = 1 + ratio(added, found[BARE])
    table([(INSTRUMENTED, f"{median(added) / CALLS * 1e6:,.1f}", f"{measured:.3f}")], ("", "us added", f"x {BARE}"))
    return [Verdict(f"ticker by websocket: {INSTRUMENTED} / {BARE}", measured, 1.10)]
