"""Whatever changes something is sent once and ends in `OutcomeUnknown` when its answer is lost, at any exchange."""

import asyncio
import contextlib

import ccxt
import ccxt.async_support
import pytest

from peak_observe import AsyncResilientExchangeClient, OutcomeUnknown, ResilientExchangeClient
from peak_observe.exchange_client import endpoints, reviews
from peak_observe.testing import ManualClock

KEYS = {"apiKey": "k" * 32, "secret": "c2VjcmV0" * 8, "password": "p", "uid": "1", "enableRateLimit": False}
SYMBOL = "BTC/USDT:USDT"

CHANGES = [
    ("deribit", "private_get_buy", "GET private/buy"),
    ("deribit", "private_get_withdraw", "GET private/withdraw"),
    ("deribit", "private_get_close_position", "GET private/close_position"),
    ("dydx", "noderpc_get_broadcast_tx_sync", "GET nodeRpc/broadcast_tx_sync"),
    ("lighter", "public_post_sendtx", "POST public/sendTx"),
    ("bybit", "private_post_v5_position_add_margin", "POST private/v5/position/add-margin"),
    ("bybit", "privatePostV5OrderCreate", "POST private/v5/order/create"),
    ("okx", "private_post_account_position_margin_balance", "POST private/account/position/margin-balance"),
    ("okx", "private_post_trade_close_position", "POST private/trade/close-position"),
    ("bitget", "private_mix_post_v2_mix_order_close_positions", "POST private/mix/v2/mix/order/close-positions"),
    ("phemex", "private_get_exchange_wallets_confirm_withdraw", "GET private/exchange/wallets/confirm/withdraw"),
    ("binanceusdm", "fapiprivate_post_leverage", "POST fapiPrivate/leverage"),
    ("binanceusdm", "fapiPrivatePostBatchOrders", "POST fapiPrivate/batchOrders"),
    ("kraken", "private_post_depositaddresses", "POST private/DepositAddresses"),
]
READS = [
    ("deribit", "private_get_get_positions"),
    ("kraken", "private_post_openorders"),
    ("binanceusdm", "fapiprivate_get_openorders"),
    ("binanceusdm", "fapiPrivateGetOpenOrders"),
    ("hyperliquid", "public_post_info"),
]
UNIFIED = [
    ("deribit", "create_order", (SYMBOL, "limit", "buy", 10, 100), "GET private/buy"),
    ("deribit", "cancel_order", ("1",), "GET private/cancel"),
    ("deribit", "withdraw", ("BTC", 1, "address"), "GET private/withdraw"),
    ("binance", "futures_transfer", ("USDT", 1, 1), "POST sapi/futures/transfer"),
    ("bybit", "set_leverage", (5, SYMBOL), "POST private/v5/position/set-leverage"),
    ("okx", "add_margin", (SYMBOL, 1), "POST private/account/position/margin-balance"),
    ("kucoin", "close_position", (SYMBOL,), "POST futuresPrivate/orders"),
    ("bitfinex", "create_deposit_address", ("BTC", {"network": "BTC"}), "POST private/auth/w/deposit/address"),
]


class Silence:
    """A client whose exchange takes each request and never answers."""

    def __init__(self, mode: str, exchange_id: str) -> None:
        self.mode = mode
        self.urls = []
        exchange = getattr(ccxt if mode == "sync" else ccxt.async_support, exchange_id)(KEYS)
        currencies = {
            code: exchange.safe_currency_structure({"id": code, "code": code, "networks": {"BTC": {"id": "BITCOIN"}}})
            for code in ("BTC", "USDT")
        }
        exchange.set_markets([self.market(exchange)], currencies)
        exchange.fetch = self.sync_fetch if mode == "sync" else self.async_fetch
        chosen = ResilientExchangeClient if mode == "sync" else AsyncResilientExchangeClient
        self.exchange = exchange
        self.client = chosen(exchange, name="silence", health=None, clock=ManualClock(), max_attempts=3)

    @staticmethod
    def market(exchange) -> dict:
        """Return the market that the calls are about."""
        return exchange.safe_market_structure({
            "id": "BTC-SWAP", "symbol": SYMBOL, "base": "BTC", "quote": "USDT", "settle": "USDT", "type": "swap",
            "spot": False, "swap": True, "contract": True, "linear": True, "inverse": False, "contractSize": 1,
            "active": True, "precision": {"amount": 1, "price": 1}, "limits": {}, "info": {},
        })  # fmt: skip

    def sync_fetch(self, url, *_):
        """Stand in for ccxt's transport."""
        self.urls.append(url)
        raise ccxt.RequestTimeout("no answer")

    async def async_fetch(self, url, *_):
        """The same to be awaited."""
        return self.sync_fetch(url)

    def call(self, method: str, *args):
        """Call a method of the client."""
        if self.mode == "sync":
            return getattr(self.client, method)(*args)

        async def main():
            try:
                return await getattr(self.client, method)(*args)
            finally:
                await self.exchange.close()

        return asyncio.run(main())


MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@MODES
@pytest.mark.parametrize(("exchange", "method", "endpoint"), CHANGES)
def test_an_implicit_method_that_changes_something(exchange, method, endpoint, mode) -> None:
    """Its path may speak of positions and status, its method be GET, its section public."""
    silence = Silence(mode, exchange)
    with pytest.raises(OutcomeUnknown) as unknown:
        silence.call(method, {})
    assert unknown.value.endpoint == endpoint
    assert len(silence.urls) == 1


@MODES
@pytest.mark.parametrize(("exchange", "method"), READS)
def test_an_implicit_method_that_reads(exchange, method, mode) -> None:
    """It is asked as often as any read."""
    silence = Silence(mode, exchange)
    with pytest.raises(ccxt.RequestTimeout):
        silence.call(method, {})
    assert len(silence.urls) == 3


@MODES
@pytest.mark.parametrize(("exchange", "method", "args", "endpoint"), UNIFIED)
def test_a_unified_method_that_changes_something(exchange, method, args, endpoint, mode) -> None:
    """Under whatever name, and by whatever HTTP method it goes."""
    silence = Silence(mode, exchange)
    with pytest.raises(OutcomeUnknown) as unknown:
        silence.call(method, *args)
    assert unknown.value.endpoint == endpoint
    assert len(silence.urls) == 1


@MODES
def test_the_id_that_is_named_was_sent(mode) -> None:
    """Deribit takes it as `label`, in the query string of a GET."""
    silence = Silence(mode, "deribit")
    with pytest.raises(OutcomeUnknown) as unknown:
        silence.call("create_order", SYMBOL, "limit", "buy", 10, 100)
    (sent,) = silence.urls
    assert f"label={unknown.value.client_order_id}" in sent


@MODES
def test_a_read_that_makes_something_is_not_repeated(mode) -> None:
    """Bitfinex makes a deposit address for one who asks; the error stays the read's own."""
    silence = Silence(mode, "bitfinex")
    with pytest.raises(ccxt.RequestTimeout):
        silence.call("fetch_deposit_address", "BTC", {"network": "BTC"})
    assert len(silence.urls) == 1


@pytest.mark.parametrize("exchange", ccxt.exchanges)
def test_no_write_of_any_exchange_is_taken_for_a_read(exchange) -> None:
    """Each implicit method of each class, as the client sees it."""
    kind = getattr(ccxt, exchange)
    with contextlib.closing(ResilientExchangeClient(kind(KEYS), health=None)) as client:
        for base in kind.__mro__:
            for name, found in vars(base).items():
                if hasattr(found, "unbound_method"):
                    label = endpoints.label(found.path, found.api, found.method)
                    write = reviews.endpoint_effects(exchange)[label] == reviews.WRITE
                    assert client._kind(client._spelled(name))[0] == write


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_edit_of_several_orders_keeps_their_ids(mode) -> None:
    """A new one would be that of an order which does not exist."""
    silence = Silence(mode, "bybit")
    bodies = []
    fetch = silence.exchange.fetch
    silence.exchange.fetch = lambda url, method, headers, body: bodies.append(body) or fetch(url)
    with pytest.raises(OutcomeUnknown) as unknown:
        silence.call(
            "edit_orders", [{"id": "1", "symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 1, "price": 1}]
        )
    assert unknown.value.client_order_ids == ()
    assert "orderLinkId" not in bodies[0]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_coinbase_gets_the_callers_id_under_its_own_name(mode) -> None:
    """Which ccxt drops under the unified one."""
    silence = Silence(mode, "coinbase")
    bodies = []
    fetch = silence.exchange.fetch
    silence.exchange.fetch = lambda url, method, headers, body: bodies.append(body) or fetch(url)
    with pytest.raises(OutcomeUnknown) as unknown:
        silence.call("create_order", SYMBOL, "limit", "buy", 1, 100, {"clientOrderId": "mine"})
    assert unknown.value.client_order_ids == ("mine",)
    assert '"client_order_id":"mine"' in bodies[0]


def test_streams_pass_no_circuit() -> None:
    """They come from the exchange object itself."""
    with ResilientExchangeClient("kraken", health=None) as client:
        client.exchange.watch_ticker = client.exchange.fetch_ticker_ws = object()
        assert client.watch_ticker is client.exchange.watch_ticker
        assert client.fetch_ticker_ws is client.exchange.fetch_ticker_ws
