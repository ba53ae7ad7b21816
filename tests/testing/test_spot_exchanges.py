"""The fakes of Bybit and OKX serve the real ccxt classes, sync and async, with the exchange's own refusals."""

import asyncio
import contextlib
from itertools import pairwise

import ccxt
import ccxt.async_support
import pytest

from peak_observe.testing import FakeExchange, Fault, ManualClock

DIALECTS = pytest.mark.parametrize("dialect", ["bybit", "okx"])
SYMBOL = "BTC/USDT"


@contextlib.contextmanager
def trading(dialect: str, **further):
    """Yield a fake exchange and a sync ccxt object for it."""
    with FakeExchange(dialect=dialect) as fake:
        exchange = getattr(ccxt, dialect)({**fake.config(), "timeout": 10_000, **further})
        try:
            yield fake, exchange
        finally:
            exchange.session.close()


@DIALECTS
def test_markets_prices_and_candles(dialect: str) -> None:
    """Public data, by the same counter as the other dialects'."""
    with trading(dialect) as (fake, exchange):
        assert set(exchange.load_markets()) == {"BTC/USDT", "ETH/USDT"}
        ticker = exchange.fetch_ticker(SYMBOL)
        assert ticker["bid"] < ticker["last"] < ticker["ask"]
        assert set(exchange.fetch_tickers()) == {"BTC/USDT", "ETH/USDT"}
        candles = exchange.fetch_ohlcv(SYMBOL, "1h", limit=5)
        assert [later[0] - earlier[0] for earlier, later in pairwise(candles)] == [3_600_000] * 4
        past = exchange.fetch_ohlcv(SYMBOL, "1m", candles[0][0], limit=3)
        assert past[0][0] in (candles[0][0], candles[0][0] + 60_000)
        book = exchange.fetch_order_book(SYMBOL, 5)
        assert len(book["asks"]) == len(book["bids"]) == 5
        assert abs(exchange.fetch_time() / 1000 - fake._now()) < 5


@DIALECTS
def test_an_order_from_its_placing_to_its_cancel(dialect: str) -> None:
    """With its client order id, by which it can be found; a second one with the id is refused."""
    with trading(dialect) as (fake, exchange):
        params = {"clientOrderId": "mine1"}
        placed = exchange.create_order(SYMBOL, "limit", "buy", 0.1, 40_000, params)
        (found,) = exchange.fetch_open_orders(SYMBOL)
        assert (found["id"], found["clientOrderId"], found["status"]) == (placed["id"], "mine1", "open")
        assert (found["amount"], found["price"], found["side"]) == (0.1, 40_000, "buy")
        with pytest.raises(ccxt.ExchangeError):
            exchange.create_order(SYMBOL, "limit", "buy", 0.1, 40_000, params)
        exchange.cancel_order(placed["id"], SYMBOL)
        assert exchange.fetch_open_orders(SYMBOL) == []
        with pytest.raises(ccxt.OrderNotFound):
            exchange.cancel_order(placed["id"], SYMBOL)
        assert [(order.client_order_id, order.status) for order in fake.orders] == [("mine1", "canceled")]


@DIALECTS
def test_a_market_order_fills_at_once(dialect: str) -> None:
    """At the price of the moment."""
    with trading(dialect) as (fake, exchange):
        exchange.create_order(SYMBOL, "market", "sell", 0.1)
        (filled,) = fake.orders
        assert (filled.status, filled.kind, filled.side) == ("closed", "market", "sell")
        assert float(filled.price) == pytest.approx(60_000, rel=0.02)


@DIALECTS
def test_a_batch_places_each_order(dialect: str) -> None:
    """Where the exchange has one endpoint for it; a single order goes by the same at OKX."""
    if dialect == "okx":
        with trading(dialect) as (fake, exchange):
            one = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.1, "price": 40_000}
            exchange.create_orders([one, {**one, "price": 41_000}])
            assert [order.price for order in fake.orders] == ["40000", "41000"]


@DIALECTS
@pytest.mark.parametrize(
    ("wrong", "raised"),
    [({"apiKey": "other"}, ccxt.AuthenticationError), ({"options": {"timeDifference": 3_600_000}}, ccxt.InvalidNonce)],
)
def test_a_wrong_key_or_clock_is_refused(dialect: str, wrong: dict, raised: type) -> None:
    """In the exchange's own codes."""
    with FakeExchange(dialect=dialect) as fake:
        config = fake.config()
        options = {**config["options"], **wrong.get("options", {})}
        exchange = getattr(ccxt, dialect)({**config, **wrong, "options": options})
        with pytest.raises(raised):
            exchange.fetch_balance()
        exchange.session.close()


@DIALECTS
def test_unknown_markets_small_orders_and_balances(dialect: str) -> None:
    """The rest of what a bot meets."""
    with trading(dialect) as (_, exchange):
        exchange.load_markets()
        assert exchange.fetch_balance()["USDT"]["free"] == 1_000_000
        for market in exchange.markets.values():
            market["limits"] = {}
        with pytest.raises(ccxt.ExchangeError):
            exchange.create_order(SYMBOL, "limit", "buy", 0.00001, 40_000)
        exchange.markets[SYMBOL]["id"] = "NOSUCH"
        with pytest.raises(ccxt.ExchangeError):
            exchange.fetch_ticker(SYMBOL)


@DIALECTS
def test_async_and_stale(dialect: str) -> None:
    """The async class, and data as it was an hour ago."""

    async def main(fake: FakeExchange) -> tuple[list, list]:
        async with getattr(ccxt.async_support, dialect)({**fake.config(), "timeout": 10_000}) as exchange:
            exchange.timeout_on_exit = 0
            fresh = await exchange.fetch_ohlcv(SYMBOL, "1m", limit=2)
            await exchange.create_order(SYMBOL, "limit", "buy", 0.1, 40_000)
            fake.fail(Fault.stale(3600))
            assert await exchange.fetch_open_orders(SYMBOL) == []
            return fresh, await exchange.fetch_ohlcv(SYMBOL, "1m", limit=2)

    with FakeExchange(dialect=dialect) as fake:
        fresh, stale = asyncio.run(main(fake))
    assert fresh[-1][0] - stale[-1][0] in (3_540_000, 3_600_000)


@DIALECTS
def test_an_endpoint_that_is_not_served_is_an_error(dialect: str) -> None:
    """With status 404, as behind any gateway."""
    with trading(dialect) as (_, exchange), pytest.raises(ccxt.ExchangeError):
        exchange.fetch_trades(SYMBOL)


def test_the_clock_is_the_exchanges_own() -> None:
    """A ManualClock makes a skewed one."""
    clock = ManualClock()
    for dialect in ("bybit", "okx"):
        with FakeExchange(dialect=dialect, clock=clock) as fake:
            exchange = getattr(ccxt, dialect)(fake.config())
            assert exchange.fetch_time() == int(clock.now().timestamp() * 1000)
            exchange.session.close()


@pytest.mark.parametrize("dialect", ["binance", "bybit", "kraken", "okx"])
@pytest.mark.parametrize("wrong", [{"side": "x"}, {"price": -1.0}, {"price": "NaN"}, {"price": None}], ids=str)
def test_an_order_that_makes_no_sense_is_refused(dialect: str, wrong: dict) -> None:
    """Nothing is placed of a side, or at a price, that no exchange knows; ccxt itself passes them on."""
    symbol = "BTC/USD" if dialect == "kraken" else SYMBOL
    order = {"symbol": symbol, "type": "limit", "side": "buy", "amount": 0.1, "price": 40_000.0, **wrong}
    with trading(dialect) as (fake, exchange):
        with pytest.raises((ccxt.ExchangeError, ArithmeticError)):
            exchange.create_order(**order)
        assert fake.orders == ()


@pytest.mark.parametrize("dialect", ["binance", "bybit", "kraken", "okx"])
@pytest.mark.parametrize("wrong", [-1.0, 0.0])
def test_an_edit_that_makes_no_sense_leaves_the_order(dialect: str, wrong: float) -> None:
    """It is refused, and the order stands as it was."""
    symbol = "BTC/USD" if dialect == "kraken" else SYMBOL
    with trading(dialect) as (fake, exchange):
        order = exchange.create_order(symbol, "limit", "buy", 0.1, 40_000)
        before = fake.orders
        with pytest.raises(ccxt.ExchangeError):
            exchange.edit_order(order["id"], symbol, "limit", "buy", 0.1, wrong)
        assert fake.orders == before
