"""The loopback exchange, as the real ccxt clients see it."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from itertools import pairwise

import ccxt
import ccxt.async_support
import pytest

from peak_observe.clock import SystemClock
from peak_observe.testing.exchange import FakeExchange, Fault


@pytest.fixture
def exchange():
    """A running exchange."""
    with FakeExchange() as running:
        yield running


@pytest.fixture
def client(exchange):
    """The real sync client with its markets loaded; it gives up after a second."""
    kraken = ccxt.kraken({**exchange.config(), "timeout": 1000})
    kraken.load_markets()
    yield kraken
    kraken.session.close()


def run_async(exchange, use, **config):
    """Run `use(client)` with the real async client, its markets loaded, and close it."""

    async def main():
        async with ccxt.async_support.kraken({**exchange.config(), "timeout": 1000, **config}) as kraken:
            await kraken.load_markets()
            return await use(kraken)

    return asyncio.run(main())


def place(client, **params):
    """Place a limit order that stays open."""
    return client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000, params)


# Reading --------------------------------------------------------------------------------------------------


def test_markets_have_their_unified_symbols(client):
    """Both markets are known under the names that ccxt gives Kraken's."""
    assert {symbol: market["id"] for symbol, market in client.markets.items()} == {
        "BTC/USD": "XXBTZUSD",
        "ETH/USD": "XETHZUSD",
    }


def test_prices_move_the_same_way_every_time(client):
    """The price follows from the count of tickers asked for, so two exchanges agree."""
    first = [client.fetch_ticker("BTC/USD")["last"] for _ in range(3)]
    with FakeExchange() as other:
        second_client = ccxt.kraken(other.config())
        second = [second_client.fetch_ticker("BTC/USD")["last"] for _ in range(3)]
        second_client.session.close()
    assert first == second == [60012.0, 60024.0, 60036.0]


def test_all_tickers_come_without_a_pair(client):
    """Asking for no market in particular gives them all."""
    assert set(client.fetch_tickers()) == {"BTC/USD", "ETH/USD"}


def test_an_unknown_pair_is_an_error(client):
    """Kraken's own error for a pair it does not know reaches the client."""
    with pytest.raises(ccxt.ExchangeError, match="EQuery:Unknown asset pair"):
        client.public_get_ticker({"pair": "DOGEUSD"})


def test_candles_are_whole_and_end_now(client):
    """720 candles come, evenly spaced, the last one still running."""
    candles = client.fetch_ohlcv("BTC/USD", "5m")
    assert {later[0] - earlier[0] for earlier, later in pairwise(candles)} == {300_000}
    assert len(candles) == 720
    assert 0 <= time.time() * 1000 - candles[-1][0] < 301_000


def test_candles_begin_at_since(client):
    """`since` leaves out what came before."""
    since = client.fetch_ohlcv("BTC/USD", "1m")[-5][0]
    assert client.fetch_ohlcv("BTC/USD", "1m", since)[0][0] == since


def test_the_order_book_is_around_the_price(client):
    """The best bid is below the best ask, with as many levels as asked for."""
    book = client.fetch_order_book("ETH/USD", 3)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(book["bids"]) == len(book["asks"]) == 3


def test_trades_end_with_the_latest(client):
    """Recent trades come oldest first."""
    stamps = [trade["timestamp"] for trade in client.fetch_trades("BTC/USD")]
    assert stamps == sorted(stamps)
    assert len(stamps) == 3


def test_the_time_is_that_of_the_clock():
    """A clock of the test's own makes an exchange whose time is skewed."""

    class Skewed(SystemClock):
        @staticmethod
        def now():
            return datetime(2030, 1, 2, tzinfo=UTC)

    with FakeExchange(clock=Skewed()) as exchange:
        client = ccxt.kraken(exchange.config())
        assert client.fetch_time() == datetime(2030, 1, 2, tzinfo=UTC).timestamp() * 1000
        client.session.close()


def test_the_status_is_ok(client):
    """A healthy exchange says that it is."""
    assert client.fetch_status()["status"] == "ok"


# Orders ---------------------------------------------------------------------------------------------------


def test_a_limit_order_stays_open_and_holds_money(client):
    """What a limit order would cost is no longer free."""
    order = place(client)
    assert [found["id"] for found in client.fetch_open_orders("BTC/USD")] == [order["id"]]
    assert client.fetch_balance()["USD"] == {"free": 995_000.0, "used": 5_000.0, "total": 1_000_000.0}


def test_a_market_order_fills_at_once(client):
    """A market order is closed and has a price when it is first looked at."""
    order = client.create_order("ETH/USD", "market", "sell", 2)
    found = client.fetch_order(order["id"])
    assert (found["status"], found["filled"], found["average"]) == ("closed", 2.0, 3000.0)
    assert [closed["id"] for closed in client.fetch_closed_orders()] == [order["id"]]


def test_the_client_order_id_finds_the_order(client, exchange):
    """An order placed under the client's own id can be asked for by it."""
    place(client, clientOrderId="other")
    order = place(client, clientOrderId="mine")
    found = client.fetch_open_orders(params={"clientOrderId": "mine"})
    assert [(one["id"], one["clientOrderId"]) for one in found] == [(order["id"], "mine")]
    assert [placed.client_order_id for placed in exchange.orders] == ["other", "mine"]


def test_the_userref_finds_the_order(client):
    """The same holds for Kraken's numeric reference."""
    place(client)
    order = place(client, userref=7)
    assert [found["id"] for found in client.fetch_open_orders(params={"userref": 7})] == [order["id"]]


def test_a_cancelled_order_is_cancelled(client):
    """A cancelled order is no longer open but can still be looked at."""
    order = place(client)
    client.cancel_order(order["id"])
    assert client.fetch_open_orders() == []
    assert client.fetch_order(order["id"])["status"] == "canceled"


def test_an_order_can_be_cancelled_by_the_client_order_id(client, exchange):
    """Whoever lost the reply can still cancel."""
    place(client, clientOrderId="mine")
    client.cancel_order(None, params={"clientOrderId": "mine"})
    assert [order.status for order in exchange.orders] == ["canceled"]


@pytest.mark.parametrize("method", ["fetch_order", "cancel_order"])
def test_an_unknown_order_is_not_found(client, method):
    """An id that was never given out is `OrderNotFound`."""
    with pytest.raises(ccxt.OrderNotFound):
        getattr(client, method)("nope")


def test_an_order_too_small_is_rejected(client, exchange):
    """Below the market's minimum no order is placed."""
    with pytest.raises(ccxt.InvalidOrder, match="minimum"):
        client.private_post_addorder({"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "0"})
    assert exchange.orders == ()


def test_an_order_to_validate_is_not_placed(client, exchange):
    """`validate` describes the order and leaves it at that."""
    place(client, validate="true")
    assert exchange.orders == ()


def test_a_number_that_is_none_is_an_argument_error(client):
    """Nonsense gets an answer of Kraken's kind, not a broken connection."""
    with pytest.raises(ccxt.BadRequest):
        client.private_post_addorder({"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "x"})


def test_a_wrong_key_is_refused(exchange):
    """A private endpoint wants the key from `config`."""
    client = ccxt.kraken({**exchange.config(), "apiKey": "revoked"})
    with pytest.raises(ccxt.AuthenticationError, match="EAPI:Invalid key"):
        client.fetch_balance()
    client.session.close()


def test_many_threads_place_each_their_order(exchange):
    """Orders placed at once all get an id of their own."""

    def one():
        client = ccxt.kraken(exchange.config())
        place(client)
        client.session.close()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({order.id for order in exchange.orders}) == 8


def test_the_async_client_does_all_of_it(exchange):
    """The async client reads, places, finds and cancels as the sync one does."""

    async def use(kraken):
        order = await place(kraken)
        seen = [
            (await kraken.fetch_ticker("BTC/USD"))["last"],
            len(await kraken.fetch_ohlcv("BTC/USD")),
            (await kraken.fetch_balance())["BTC"]["total"],
            len(await kraken.fetch_open_orders()),
            (await kraken.fetch_order(order["id"]))["status"],
            (await kraken.fetch_status())["status"],
        ]
        await kraken.cancel_order(order["id"])
        return [*seen, len(await kraken.fetch_open_orders()), await kraken.fetch_time() > 0]

    assert run_async(exchange, use) == [60012.0, 720, 10.0, 1, "open", "ok", 0, True]


# Faults ---------------------------------------------------------------------------------------------------

LOUD = {
    "latency": (Fault.latency(30), ccxt.RequestTimeout),
    "hang": (Fault.hang(), ccxt.RequestTimeout),
    "rate_limited": (Fault.rate_limited(), ccxt.RateLimitExceeded),
    "api_rate_limited": (Fault.api_rate_limited(), ccxt.DDoSProtection),
    "api_error": (Fault.api_error("EGeneral:Permission denied"), ccxt.PermissionDenied),
    "500": (Fault.status(500), ccxt.ExchangeNotAvailable),
    "502": (Fault.status(502), ccxt.ExchangeNotAvailable),
    "503": (Fault.status(503), ccxt.ExchangeNotAvailable),
    "504": (Fault.status(504), ccxt.RequestTimeout),
    "520": (Fault.status(520), ccxt.ExchangeNotAvailable),
    "maintenance": (Fault.maintenance(), ccxt.ExchangeNotAvailable),
    "maintenance_503": (Fault.maintenance(503), ccxt.ExchangeNotAvailable),
}
BROKEN = {"refused": Fault.refused(), "reset": Fault.reset(), "lost_reply": Fault.lost_reply()}
SILENT = {"truncated": Fault.truncated(), "html": Fault.html(), "empty": Fault.empty()}

loud = pytest.mark.parametrize(("fault", "expected"), LOUD.values(), ids=LOUD)
broken = pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
silent = pytest.mark.parametrize("fault", SILENT.values(), ids=SILENT)


def sync_error(client):
    """Return the exact type of what a read raises."""
    with pytest.raises(ccxt.BaseError) as caught:
        client.fetch_ticker("BTC/USD")
    return caught.type


async def async_error(client):
    """Return the exact type of what a read of the async client raises."""
    with pytest.raises(ccxt.BaseError) as caught:
        await client.fetch_ticker("BTC/USD")
    return caught.type


def async_error_under(exchange, fault):
    """Return what the async client raises when the fault begins after its start."""

    async def use(kraken):
        exchange.fail(fault)
        return await async_error(kraken)

    return run_async(exchange, use)


@loud
def test_a_fault_is_an_error_of_the_sync_client(client, exchange, fault, expected):
    """Each fault raises the exception that ccxt has for it."""
    exchange.fail(fault)
    assert sync_error(client) is expected


@loud
def test_a_fault_is_an_error_of_the_async_client(exchange, fault, expected):
    """The async client raises the same."""
    assert async_error_under(exchange, fault) is expected


@broken
def test_a_broken_connection_is_a_network_error_of_the_sync_client(client, exchange, fault):
    """The sync client calls a broken connection a plain `NetworkError`."""
    exchange.fail(fault)
    assert sync_error(client) is ccxt.NetworkError


@broken
def test_a_broken_connection_makes_the_exchange_unavailable_for_the_async_client(exchange, fault):
    """The async client calls the same `ExchangeNotAvailable`."""
    assert async_error_under(exchange, fault) is ccxt.ExchangeNotAvailable


@silent
def test_an_unreadable_body_passes_for_an_empty_ticker(client, exchange, fault):
    """No error comes from ccxt for a body it cannot parse: the ticker has no price."""
    exchange.fail(fault)
    assert client.fetch_ticker("BTC/USD")["last"] is None


@silent
def test_an_unreadable_body_passes_for_an_empty_ticker_of_the_async_client(exchange, fault):
    """The async client does not raise either."""

    async def use(kraken):
        exchange.fail(fault)
        return await kraken.fetch_ticker("BTC/USD")

    assert run_async(exchange, use)["last"] is None


@pytest.mark.parametrize("fault", [Fault.lost_reply(), Fault.latency(30)], ids=["lost_reply", "latency"])
def test_an_ambiguous_write_leaves_exactly_one_order(client, exchange, fault):
    """The client sees an error, and the order is there under its own id."""
    exchange.fail(fault, path="AddOrder")
    with pytest.raises(ccxt.NetworkError):
        place(client, clientOrderId="mine")
    assert [order.client_order_id for order in exchange.orders] == ["mine"]
    assert [order["clientOrderId"] for order in client.fetch_open_orders()] == ["mine"]


def test_a_lost_reply_leaves_exactly_one_order_of_the_async_client(exchange):
    """No layer of the async client sends the order twice on its own."""

    async def use(kraken):
        exchange.fail(Fault.lost_reply(), path="AddOrder")
        with pytest.raises(ccxt.NetworkError):
            await place(kraken)

    run_async(exchange, use)
    assert len(exchange.orders) == exchange.requests["AddOrder"] == 1


@pytest.mark.parametrize("fault", [Fault.reset(), Fault.hang(), Fault.refused(), Fault.status(503)])
def test_a_request_not_carried_out_leaves_no_order(client, exchange, fault):
    """A fault before the exchange's work leaves nothing behind, also after healing."""
    exchange.fail(fault)
    with pytest.raises(ccxt.NetworkError):
        place(client)
    exchange.heal()
    assert client.fetch_open_orders() == []


def test_latency_below_the_timeout_only_takes_time(client, exchange):
    """An answer that is late but not too late is the true one."""
    exchange.fail(Fault.latency(0.05))
    started = time.perf_counter()
    assert client.fetch_ticker("BTC/USD")["last"] == 60012.0
    assert time.perf_counter() - started >= 0.05


def test_any_fault_can_be_late(client, exchange):
    """`after` combines a fault with latency."""
    exchange.fail(Fault.status(503).after(0.05))
    started = time.perf_counter()
    assert sync_error(client) is ccxt.ExchangeNotAvailable
    assert time.perf_counter() - started >= 0.05


def test_a_rate_limit_says_when_to_come_back(client, exchange):
    """The header `Retry-After` comes with the 429."""
    exchange.fail(Fault.rate_limited(7))
    sync_error(client)
    assert client.last_response_headers["Retry-After"] == "7"


@pytest.mark.parametrize("code", [200, 503])
def test_maintenance_is_what_the_status_says(client, exchange, code):
    """While all else is unavailable, the status names the reason."""
    exchange.fail(Fault.maintenance(code))
    assert client.fetch_status()["status"] == "maintenance"


def test_a_fault_on_a_path_spares_the_others(client, exchange):
    """Only the endpoints that match are spoiled."""
    exchange.fail(Fault.status(503), path="*Order*")
    assert client.fetch_ticker("BTC/USD")["last"] == 60012.0
    with pytest.raises(ccxt.ExchangeNotAvailable):
        client.fetch_open_orders()


def test_a_fault_ends_after_its_times(client, exchange):
    """After as many requests as were asked for, the truth comes again."""
    exchange.fail(Fault.status(503), times=2)
    assert [sync_error(client), sync_error(client)] == [ccxt.ExchangeNotAvailable] * 2
    assert client.fetch_ticker("BTC/USD")["last"] == 60012.0


def test_the_latest_of_two_faults_counts(client, exchange):
    """A fault set later hides an earlier one until it is used up."""
    exchange.fail(Fault.status(503))
    exchange.fail(Fault.rate_limited(), times=1)
    assert [sync_error(client), sync_error(client)] == [ccxt.RateLimitExceeded, ccxt.ExchangeNotAvailable]


@pytest.mark.parametrize("fault", [entry[0] for entry in LOUD.values()] + list(BROKEN.values()), ids=[*LOUD, *BROKEN])
def test_healing_brings_the_exchange_back(client, exchange, fault):
    """After `heal` the same client gets true answers again."""
    exchange.fail(fault)
    sync_error(client)
    exchange.heal()
    assert client.fetch_ticker("BTC/USD")["last"] > 59_000


def test_healing_reopens_the_same_port(client, exchange):
    """A refused client finds the exchange where it was, with its orders."""
    port, order = exchange.port, place(client)
    exchange.fail(Fault.refused())
    sync_error(client)
    exchange.heal()
    assert exchange.port == port
    assert client.fetch_order(order["id"])["status"] == "open"


def test_healing_ends_a_hanging_request(exchange):
    """Whoever still waits is let go without an answer."""

    async def use(kraken):
        exchange.fail(Fault.hang(), path="AddOrder")
        waiting = asyncio.create_task(place(kraken))
        while not exchange.requests["AddOrder"]:
            await kraken.fetch_time()
        exchange.heal()
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await waiting

    run_async(exchange, use, timeout=30_000)
    assert exchange.orders == ()


@pytest.mark.parametrize(
    ("fault", "limits"),
    [(Fault.reset(), {"times": 0}), (Fault.refused(), {"times": 1}), (Fault.refused(), {"path": "Ticker"})],
)
def test_impossible_limits_are_rejected(exchange, fault, limits):
    """No requests is not a number of times, and a refused connection has no path."""
    with pytest.raises(ValueError):
        exchange.fail(fault, **limits)


# Life -----------------------------------------------------------------------------------------------------


def test_requests_are_counted_by_endpoint(client, exchange):
    """Every request counts, spoiled or not; an endpoint never asked counts 0."""
    client.fetch_ticker("BTC/USD")
    exchange.fail(Fault.status(503))
    sync_error(client)
    assert exchange.requests == {"Assets": 1, "AssetPairs": 1, "Ticker": 2}
    assert exchange.requests["OHLC"] == 0


def test_replies_do_not_wait_for_an_acknowledgement(client):
    """Two writes a reply would cost the client's delayed ACK, 40 ms each time."""
    took = []
    for _ in range(40):
        started = time.perf_counter()
        client.fetch_ticker("BTC/USD")
        took.append(time.perf_counter() - started)
    assert min(took[20:]) < 0.04  # the first acknowledgements come at once, and the machine may be busy


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.latency(600)], ids=["hang", "latency"])
def test_closing_is_quick_while_a_request_waits(fault):
    """A waiting request does not keep the exchange open, and its client gets an error."""
    exchange = FakeExchange()
    client = ccxt.kraken({**exchange.config(), "timeout": 30_000})
    client.load_markets()
    exchange.fail(fault, path="Ticker")
    errors = []
    waiting = threading.Thread(target=lambda: errors.append(sync_error(client)))
    waiting.start()
    while not exchange.requests["Ticker"]:
        time.sleep(0.01)
    started = time.perf_counter()
    exchange.close()
    waiting.join(25)
    client.session.close()
    assert time.perf_counter() - started < 25  # of 30 after which the client gives up
    assert errors == [ccxt.NetworkError]


@pytest.mark.parametrize("fault", [None, Fault.hang(), Fault.refused()], ids=["healthy", "hang", "refused"])
def test_no_thread_is_left(fault):
    """Closing joins the listener and every connection, also those kept alive."""
    before = set(threading.enumerate())
    with FakeExchange() as exchange:
        client = ccxt.kraken({**exchange.config(), "timeout": 50})
        client.load_markets()
        if fault is not None:
            exchange.fail(fault)
            sync_error(client)
    client.session.close()
    assert set(threading.enumerate()) == before


def test_closing_twice_is_closing_once(exchange):
    """`close` may be called again, and `heal` does not reopen what is closed."""
    exchange.close()
    exchange.close()
    exchange.heal()
    client = ccxt.kraken(exchange.config())
    with pytest.raises(ccxt.NetworkError):
        client.fetch_time()
    client.session.close()


def test_a_closed_exchange_takes_no_fault(exchange):
    """A fault that could never show is a mistake in the test that sets it."""
    exchange.close()
    with pytest.raises(RuntimeError, match="closed"):
        exchange.fail(Fault.reset())
