"""The loopback Binance, as the real ccxt sees it, its state, and the fixtures for users."""

import itertools
import json
import subprocess
import sys
import time
import urllib.request

import ccxt
import pytest

from peak_observe.testing import FAULTS, FakeExchange, Fault
from peak_observe.testing.fixtures import fake_binance, fake_kraken

__all__ = ["fake_binance", "fake_kraken"]


@pytest.fixture
def client(fake_binance):
    """The real sync client with its markets loaded."""
    binance = ccxt.binance(fake_binance.config())
    binance.load_markets()
    yield binance
    binance.session.close()


def test_the_fixtures_are_exchanges_of_the_tests_own(fake_kraken, fake_binance) -> None:
    """Each with its dialect."""
    assert (fake_kraken.exchange_id, fake_binance.exchange_id) == ("kraken", "binance")


def test_an_unknown_dialect_is_refused() -> None:
    """The message names those there are."""
    with pytest.raises(ValueError, match="dialect must be one of kraken, binance, bybit, okx, not 'mtgox'"):
        FakeExchange(dialect="mtgox")


def test_reading(client) -> None:
    """Market data and the account have ccxt's unified form."""
    ticker = client.fetch_ticker("BTC/USDT")
    assert ticker["bid"] < ticker["last"] < ticker["ask"]
    assert abs(ticker["timestamp"] - time.time() * 1000) < 10_000
    assert set(client.fetch_tickers()) == {"BTC/USDT", "ETH/USDT"}
    assert len(client.fetch_order_book("ETH/USDT", 5)["bids"]) == 5
    candles = client.fetch_ohlcv("BTC/USDT", "5m", limit=7)
    assert [later[0] - earlier[0] for earlier, later in itertools.pairwise(candles)] == [300_000] * 6
    assert client.fetch_balance()["USDT"]["free"] == 1_000_000
    assert client.fetch_status()["status"] == "ok"
    assert abs(client.fetch_time() - time.time() * 1000) < 10_000
    assert client.public_get_ping() == {}


def test_candles_begin_at_since(client) -> None:
    """And are as many as asked for."""
    candles = client.fetch_ohlcv("BTC/USDT", "1m", 1_700_000_000_000, 3)
    assert [candle[0] for candle in candles] == [1_700_000_040_000, 1_700_000_100_000, 1_700_000_160_000]


def test_orders_live_as_at_binance(client, fake_binance) -> None:
    """A limit order stays, can be found under both ids, and is cancelled once."""
    order = client.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000, {"clientOrderId": "mine"})
    assert client.create_order("BTC/USDT", "market", "sell", 0.1)["status"] == "closed"
    assert [found["id"] for found in client.fetch_open_orders("BTC/USDT")] == [order["id"]]
    assert client.fetch_order(None, "BTC/USDT", {"origClientOrderId": "mine"})["id"] == order["id"]
    assert client.cancel_order(order["id"], "BTC/USDT")["status"] == "canceled"
    with pytest.raises(ccxt.ExchangeError, match="Unknown order sent"):
        client.cancel_order(order["id"], "BTC/USDT")
    assert len(client.fetch_orders("BTC/USDT")) == len(fake_binance.orders) == 2


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda c: c.fetch_order("7", "BTC/USDT"), "-2013|does not exist"),
        (lambda c: c.public_get_ticker_24hr({"symbol": "NOPE"}), "Invalid symbol"),
        (lambda c: c.private_post_order({"symbol": "BTCUSDT", "quantity": "x", "type": "LIMIT"}), "Illegal characters"),
        (lambda c: c.create_order("BTC/USDT", "limit", "buy", 0.00001, 1), "NOTIONAL"),
        (lambda c: c.public_get_avgprice({"symbol": "BTCUSDT"}), "An unknown error"),
    ],
)
def test_refusals_are_binances(client, use, message) -> None:
    """With its codes and words."""
    with pytest.raises(ccxt.BaseError, match=message):
        use(client)


def test_a_client_order_id_is_taken_once(client) -> None:
    """So that sending an order again does no harm at Binance."""
    client.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000, {"clientOrderId": "mine"})
    with pytest.raises(ccxt.ExchangeError, match="Duplicate order"):
        client.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000, {"clientOrderId": "mine"})


def test_keys_and_stamps_are_checked(client) -> None:
    """A wrong key, a stamp that is too old or too new, a missing signature."""
    client.options["timeDifference"] = 60_000
    with pytest.raises(ccxt.InvalidNonce, match="recvWindow"):
        client.fetch_balance()
    client.options["timeDifference"] = -60_000
    with pytest.raises(ccxt.InvalidNonce):
        client.fetch_balance()
    client.options["timeDifference"] = 0
    client.apiKey = "wrong"
    with pytest.raises(ccxt.AuthenticationError, match="Invalid API-key"):
        client.fetch_balance()
    client.apiKey = "fake-exchange-key"
    client.sign = lambda path, api, method, params: {
        "url": f"{client.urls['api']['private']}/{path}",
        "method": method,
        "body": None,
        "headers": {"X-MBX-APIKEY": client.apiKey},
    }
    with pytest.raises(ccxt.BaseError, match="signature"):
        client.private_get_account()


def test_orders_show_late(client, fake_binance) -> None:
    """With the lag that real exchanges have between taking an order and showing it."""
    order = client.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000)
    fake_binance.fail(Fault.stale(30))
    assert client.fetch_open_orders("BTC/USDT") == []
    fake_binance.heal()
    assert [found["id"] for found in client.fetch_open_orders("BTC/USDT")] == [order["id"]]


def test_krakens_orders_show_late_too(fake_kraken) -> None:
    """The same fault in the other dialect."""
    kraken = ccxt.kraken(fake_kraken.config())
    kraken.create_order("BTC/USD", "limit", "buy", 0.1, 40_000)
    fake_kraken.fail(Fault.stale(7200))
    assert kraken.fetch_open_orders("BTC/USD") == []
    assert kraken.fetch_ohlcv("BTC/USD", "1m")[-1][0] < (time.time() - 7000) * 1000
    fake_kraken.heal()
    assert len(kraken.fetch_open_orders("BTC/USD")) == 1
    kraken.session.close()


def test_the_state_can_be_asked_for(client, fake_binance) -> None:
    """From any program, whatever fault is on, and without being counted."""
    client.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000, {"clientOrderId": "mine"})
    fake_binance.fail(Fault.status(502))
    for _ in range(2):
        with urllib.request.urlopen(f"{fake_binance.url}/_state", timeout=60) as answer:
            state = json.load(answer)
    assert state["requests"] == {"GET exchangeInfo": 1, "POST order": 1}
    assert [order["client_order_id"] for order in state["orders"]] == ["mine"]


def test_every_fault_has_a_name() -> None:
    """The same in both dialects, but for what only one of them does."""
    assert set(FAULTS["kraken"]) ^ set(FAULTS["binance"]) == {"lockout", "denied", "banned"}


def test_fixtures_can_be_imported_into_a_conftest(tmp_path) -> None:
    """As the documents say, in a pytest of its own."""
    (tmp_path / "conftest.py").write_text("from peak_observe.testing.fixtures import fake_binance, fake_kraken\n")
    (tmp_path / "test_it.py").write_text("def test_it(fake_kraken):\n    assert fake_kraken.orders == ()\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout
