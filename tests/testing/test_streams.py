"""Websockets of the fake exchange, as the real ccxt.pro and a plain client see them."""

import asyncio
import fnmatch
import json
import threading
import time
import zlib

import aiohttp
import ccxt.pro
import pytest

from peak_observe.testing import FakeExchange, Fault

PATIENCE = 20.0
SYMBOLS = {"kraken": "BTC/USD", "binance": "BTC/USDT"}


@pytest.fixture(params=["kraken", "binance"])
def fake(request):
    """An exchange whose websockets are quick."""
    with FakeExchange(dialect=request.param, update_interval=0.02) as exchange:
        yield exchange


@pytest.fixture
def kraken():
    """A Kraken whose websockets are quick."""
    with FakeExchange(update_interval=0.02) as exchange:
        yield exchange


def run(fake: FakeExchange, use):
    """Return what a coroutine function gives for a ccxt.pro object and its symbol."""

    async def main():
        exchange = getattr(ccxt.pro, fake.exchange_id)({**fake.config(), "timeout": 10_000})
        exchange.timeout_on_exit = 0
        try:
            return await use(exchange, SYMBOLS[fake.exchange_id])
        finally:
            await exchange.close()

    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


def plain(fake: FakeExchange, path: str, *messages: dict, count: int = 1, last: dict | None = None):
    """Return what comes over a plain websocket after some messages, with the close code if it was closed.

    So many messages are waited for, or all up to one with the content of `last`.
    """

    async def main():
        got, url = [], fake.url.replace("http", "ws") + path
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            for message in messages:
                await socket.send_json(message)
            while len(got) < count if last is None else last not in got:
                frame = await socket.receive()
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    return got, socket.close_code
                got.append(json.loads(frame.data))
        return got, None

    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


def subscribed(fake: FakeExchange, pattern: str) -> None:
    """Wait until a channel is subscribed to."""
    end = time.monotonic() + PATIENCE
    while not fnmatch.filter(fake.requests, pattern):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_tickers_candles_and_books(fake) -> None:
    """In ccxt's unified forms, and the book grows with its updates."""

    async def use(exchange, symbol):
        ticker = await exchange.watch_ticker(symbol)
        candles = await exchange.watch_ohlcv(symbol, "1m")
        books = [json.dumps((await exchange.watch_order_book(symbol))["bids"]) for _ in range(5)]
        return ticker, candles, books

    ticker, candles, books = run(fake, use)
    assert 50_000 < ticker["last"] < 70_000
    assert len(candles[-1]) == 6
    assert len(set(books)) > 1


def test_own_orders(fake) -> None:
    """As they are placed and cancelled over REST."""

    async def use(exchange, symbol):
        waiting = asyncio.ensure_future(exchange.watch_orders(symbol))
        await asyncio.to_thread(subscribed, fake, "WS exec*")
        placed = await exchange.create_order(symbol, "limit", "buy", 0.1, 50_000)
        seen = [(await waiting)[-1]["status"]]
        await exchange.cancel_order(placed["id"], symbol)
        last = (await exchange.watch_orders(symbol))[-1]
        return last["id"] == placed["id"], [*seen, last["status"]]

    assert run(fake, use) == (True, ["open", "canceled"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.closed(1012), "1012"),
        (Fault.closed(4000), "4000"),
        (Fault.reset(), "closed|reset"),
    ],
    ids=["restart", "own code", "reset"],
)
def test_a_connection_ends(fake, fault: Fault, words: str) -> None:
    """With the code that was asked for; the next call opens another."""

    async def use(exchange, symbol):
        await exchange.watch_ticker(symbol)
        fake.fail(fault, path="WS ticker", times=1)
        with pytest.raises(ccxt.NetworkError, match=words):
            for _ in range(20):
                await exchange.watch_ticker(symbol)
        return await exchange.watch_ticker(symbol)

    assert run(fake, use)["last"]
    assert fake.requests["WS"] == 2


@pytest.mark.parametrize("fault", [Fault.refused(), Fault.status(503), Fault.rate_limited(1), Fault.reset()])
def test_a_handshake_fails(fake, fault: Fault) -> None:
    """In every way in which a request does."""

    async def use(exchange, symbol):
        await exchange.load_markets()
        fake.fail(fault, path=None if fault.ending == "refuse" else "WS")
        with pytest.raises(ccxt.NetworkError):
            await exchange.watch_ticker(symbol)

    run(fake, use)


def test_silence_of_one_channel_leaves_the_others(fake) -> None:
    """Until it is healed."""

    async def use(exchange, symbol):
        await exchange.watch_ticker(symbol)
        fake.fail(Fault.dropped(), path="WS ticker")
        await exchange.watch_ohlcv(symbol, "1m")
        waiting = asyncio.ensure_future(exchange.watch_ticker(symbol))
        while waiting.done():
            waiting = asyncio.ensure_future(exchange.watch_ticker(symbol))
            await asyncio.sleep(0.05)
        for _ in range(3):
            await exchange.watch_ohlcv(symbol, "1m")
        assert not waiting.done()
        fake.heal()
        return await waiting

    assert run(fake, use)["last"]


def test_a_late_message_is_late(kraken) -> None:
    """The connection waits with it."""
    kraken.fail(Fault.latency(0.3), path="WS ticker", times=1)

    async def use(exchange, symbol):
        await exchange.load_markets()
        begin = asyncio.get_running_loop().time()
        await exchange.watch_ticker(symbol)
        return asyncio.get_running_loop().time() - begin

    assert run(kraken, use) >= 0.3


def test_a_gap_of_the_book_is_one_for_ccxt() -> None:
    """Of Binance, whose numbers ccxt checks."""
    with FakeExchange(dialect="binance", update_interval=0.02) as fake:

        async def use(exchange, symbol):
            for _ in range(3):
                await exchange.watch_order_book(symbol)
            fake.fail(Fault.dropped(), path="WS depth", times=1)
            with pytest.raises(ccxt.ChecksumError):
                for _ in range(20):
                    await exchange.watch_order_book(symbol)

        run(fake, use)


def book(symbol: str) -> dict:
    """Return a subscription to an order book of Kraken."""
    return {"method": "subscribe", "params": {"channel": "book", "symbol": [symbol]}, "req_id": 7}


def checked(messages: list[dict], decimals: int) -> list[bool]:
    """Return for each message of a book whether its checksum is right, by Kraken's rule."""
    sides: dict = {"asks": {}, "bids": {}}
    right = []
    for message in messages:
        (data,) = message["data"]
        for side, levels in sides.items():
            levels |= {level["price"]: level["qty"] for level in data[side]}
        text = ""
        for side, levels in sides.items():
            for price in sorted(levels, reverse=side == "bids")[:10]:
                for figure in (f"{price:.{decimals}f}", f"{levels[price]:.8f}"):
                    text += figure.replace(".", "").lstrip("0")
        right.append(zlib.crc32(text.encode()) == data["checksum"])
    return right


@pytest.mark.parametrize(("symbol", "decimals"), [("BTC/USD", 1), ("ETH/USD", 2)])
def test_the_checksum_of_krakens_book_is_right(kraken, symbol: str, decimals: int) -> None:
    """After the snapshot and after each update."""
    messages, _ = plain(kraken, "/v2", book(symbol), count=25)
    books = [message for message in messages if message.get("channel") == "book"]
    assert books[0]["type"] == "snapshot"
    assert all(checked(books, decimals))


def test_the_checksum_tells_of_a_lost_update(kraken) -> None:
    """Until each of the levels that it changed has changed again."""
    kraken.fail(Fault.dropped(), path="WS book", times=2)  # the snapshot, and an update
    messages, _ = plain(kraken, "/v2", book("BTC/USD"), count=5)
    assert not all(checked([message for message in messages if message.get("channel") == "book"], 1))


def test_krakens_answers(kraken) -> None:
    """To a ping, to a wrong market, channel and token."""
    token = {"channel": "executions", "token": "wrong"}
    asked = [
        {"method": "ping", "req_id": 1},
        {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["NO/SUCH"]}, "req_id": 2},
        {"method": "subscribe", "params": {"channel": "weather", "symbol": ["BTC/USD"]}, "req_id": 3},
        {"method": "subscribe", "params": token, "req_id": 4},
    ]
    status, pong, *refused = plain(kraken, "/v2", *asked, count=5)[0]
    assert status["channel"] == "status"
    assert pong == {"method": "pong", "req_id": 1}
    assert [answer["success"] for answer in refused] == [False] * 3
    assert [answer["error"] for answer in refused] == [
        "Currency pair not supported NO/SUCH",
        "Channel not supported: weather",
        "EAccount:Invalid permissions",
    ]


def test_kraken_beats_when_it_has_nothing_to_say(kraken) -> None:
    """Once a second; and a channel ends with its unsubscription."""
    ticker = {"channel": "ticker", "symbol": ["BTC/USD"]}
    asked = [{"method": method, "params": ticker, "req_id": 1} for method in ("subscribe", "unsubscribe")]
    messages, _ = plain(kraken, "/v2", *asked, last={"channel": "heartbeat"})
    assert messages[-2]["method"] == "unsubscribe"


def test_binance_refuses_what_it_does_not_know() -> None:
    """Streams, and keys."""
    with FakeExchange(dialect="binance") as fake:
        asked = {"method": "SUBSCRIBE", "params": ["btcusdt@weather"], "id": 1}
        (answer,), _ = plain(fake, "/stream/ws/0", asked)
        assert answer["error"]["code"] == 2
        signed = {"method": "userDataStream.subscribe.signature", "params": {"apiKey": "no"}, "id": "2"}
        (answer,), _ = plain(fake, "/ws-api/v3", signed)
        assert (answer["status"], answer["error"]["code"]) == (401, -2015)


def test_a_storm_closes_each_connection_at_once(kraken) -> None:
    """With the code, after a handshake that succeeded."""
    kraken.fail(Fault.closed(1013), path="WS")
    assert [plain(kraken, "/v2") for _ in range(3)] == [([], 1013)] * 3
    kraken.heal()
    assert plain(kraken, "/v2")[1] is None
    assert kraken.requests["WS"] == 4


def test_other_exchanges_have_no_websockets_here() -> None:
    """The handshake is answered as an unknown path."""
    with FakeExchange(dialect="okx") as fake, pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        plain(fake, "/ws/v5/public")
    assert caught.value.status == 404


@pytest.mark.parametrize("interval", [0, -1])
def test_an_interval_has_to_be_above_0(interval: float) -> None:
    """As nothing would come, or all at once."""
    with pytest.raises(ValueError, match=f"update_interval must be above 0 s, not {interval}"):
        FakeExchange(update_interval=interval)


def test_closing_ends_connections_and_threads() -> None:
    """Also of one that hangs."""
    before = set(threading.enumerate())
    fake = FakeExchange(update_interval=0.02)

    async def use(exchange, symbol):
        await exchange.watch_ticker(symbol)
        fake.fail(Fault.hang(), path="WS *")
        await asyncio.sleep(0.1)
        await asyncio.to_thread(fake.close)
        with pytest.raises(ccxt.NetworkError):
            while True:
                await exchange.watch_ticker(symbol)

    run(fake, use)
    assert not [thread for thread in set(threading.enumerate()) - before if "asyncio" not in thread.name]
