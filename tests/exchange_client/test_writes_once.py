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


# Endpoints by their path ------------------------------------------------------------------------------------

BY_PATH = [
    ("deribit", ("buy", "private", "GET"), "GET private/buy", 1),
    ("deribit", ("get_positions", "private"), "", 3),
    ("kraken", ("AddOrder", ["private"], "POST"), "POST private/AddOrder", 1),
    ("kraken", ("OpenOrders", ["private"], "POST"), "", 3),
    ("kraken", ("Ticker",), "", 3),
    ("binance", ("order", ["private"], "post"), "POST private/order", 1),
    ("mexc", ("order", ["spot", "private"], "DELETE"), "DELETE spot/private/order", 1),
    ("okx", ("trade/of-tomorrow", "private", "GET"), "GET private/trade/of-tomorrow", 1),
]


@MODES
@pytest.mark.parametrize("method", ["request", "fetch2"])
@pytest.mark.parametrize(("exchange", "args", "endpoint", "times"), BY_PATH)
def test_an_endpoint_asked_by_its_path(exchange, args, endpoint, times, method, mode) -> None:
    """It is protected by what was judged of it, in whatever form its section comes; a new one counts as a write."""
    silence = Silence(mode, exchange)
    with pytest.raises(OutcomeUnknown if endpoint else ccxt.RequestTimeout) as raised:
        silence.call(method, *args)
    assert len(silence.urls) == times
    assert getattr(raised.value, "endpoint", "") == endpoint


@MODES
def test_an_endpoint_asked_by_its_path_answers(rig, mode) -> None:
    """With what ccxt makes of the answer, and with the arguments by name."""
    with rig().using(mode) as client:
        answer = rig().run(mode, lambda: client.request("Ticker", method="GET", params={"pair": "XBTUSD"}))
        assert answer["error"] == []


@MODES
def test_a_url_is_refused_in_words(mode) -> None:
    """Nobody can tell what a request to it does."""
    client = Silence(mode, "kraken").client
    with pytest.raises(AttributeError, match=r"use request\(path, api, method, params\), or client.exchange.fetch"):
        _ = client.fetch


# Methods that send several requests ---------------------------------------------------------------------------


class Replies(Silence):
    """A client whose exchange answers with what it is given, and then no more."""

    def __init__(self, mode: str, exchange_id: str, *answers: object) -> None:
        super().__init__(mode, exchange_id)
        self.answers = list(answers)

    def sync_fetch(self, url, *rest):
        """Answer."""
        self.urls.append(f"{url} {rest}")
        answer = self.answers.pop(0) if self.answers else ccxt.RequestTimeout("no answer")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def async_fetch(self, *args):
        """The same to be awaited."""
        return self.sync_fetch(*args)


EDIT = ("edit_order", "1", SYMBOL, "limit", "buy", 1, 100)
CANCELLED = {"code": "0", "data": {"orderId": "1"}}


@MODES
def test_an_edit_whose_cancel_is_lost_orders_nothing(mode) -> None:
    """At Bitrue and forty others ccxt edits by a cancel and an order."""
    replies = Replies(mode, "bitrue")
    with pytest.raises(OutcomeUnknown) as unknown:
        replies.call(*EDIT)
    assert unknown.value.endpoint == "POST fapi/v2/private/cancel"
    assert len(replies.urls) == 1


@MODES
def test_an_edit_that_cancelled_and_lost_its_order(mode) -> None:
    """Whatever is sent last is the write, and its id was on the wire."""
    replies = Replies(mode, "bitrue", CANCELLED)
    with pytest.raises(OutcomeUnknown) as unknown:
        replies.call(*EDIT)
    assert len(replies.urls) == 2
    assert unknown.value.endpoint == "POST fapi/v2/private/order"
    assert unknown.value.client_order_id in replies.urls[-1]


@MODES
def test_an_edit_that_cancelled_and_whose_order_was_refused(mode) -> None:
    """The refusal is ccxt's own; its note says that the old order is gone."""
    refused = ccxt.InsufficientFunds('bitrue {"code":-2019,"msg":"Margin is insufficient"}')
    replies = Replies(mode, "bitrue", CANCELLED, refused)
    with pytest.raises(ccxt.InsufficientFunds) as raised:
        replies.call(*EDIT)
    assert raised.value.__notes__ == [
        "edit_order had changed something before: POST fapi/v2/private/cancel was carried out",
    ]


@MODES
def test_a_sign_in_is_not_the_order(mode) -> None:
    """Bullish's class signs in before the first order: when that is lost, no order was sent, and it may come again."""
    silence = Silence(mode, "bullish")
    with pytest.raises(ccxt.RequestTimeout):
        silence.call("create_order", SYMBOL, "limit", "buy", 1, 100)
    assert len(silence.urls) == 3


SWALLOWED = [("set_ref", ()), ("initialize_client", ()), ("handle_builder_fee_approval", ())]


@MODES
@pytest.mark.parametrize(("method", "args"), SWALLOWED)
def test_a_lost_answer_that_ccxt_keeps_to_itself(method, args, mode) -> None:
    """Hyperliquid's class swallows the errors of what it sends for itself."""
    silence = Silence(mode, "hyperliquid")
    silence.exchange.options["builderFee"] = True
    silence.exchange.privateKey, silence.exchange.walletAddress = "0x" + "1" * 64, "0x" + "2" * 40
    with pytest.raises(OutcomeUnknown, match="RequestTimeout"):
        silence.call(method, *args)


@MODES
def test_what_is_sent_before_an_order_is_not_the_order(mode) -> None:
    """Hyperliquid's class sets a referrer first, whose answer is lost; the order stands, and nothing is unknown."""
    order = {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"resting": {"oid": 5}}]}}}
    replies = Replies(mode, "hyperliquid", ccxt.RequestTimeout("no answer"), order)
    replies.exchange.options |= {"approvedBuilderFee": True, "enableUnifiedMargin": False}
    replies.exchange.privateKey, replies.exchange.walletAddress = "0x" + "1" * 64, "0x" + "2" * 40
    replies.exchange.market(SYMBOL)["baseId"] = "0"
    found = replies.call("create_order", SYMBOL, "limit", "buy", 1, 100)
    assert found["id"] == "5"
    assert found["clientOrderId"] in replies.urls[-1]


# Client order ids -----------------------------------------------------------------------------------------------

STEPS = [
    ("bitget", "create_uta_orders", True),
    ("kucoin", "create_spot_order", False),
    ("kucoin", "create_uta_order", False),
    ("kucoin", "create_contract_orders", True),
    ("mexc", "create_swap_order", False),
    ("xt", "create_contract_order", False),
]


@MODES
@pytest.mark.parametrize(("exchange", "method", "batch"), STEPS)
def test_the_steps_of_an_order_have_ids_too(exchange, method, batch, mode) -> None:
    """A program may call them by themselves."""
    replies = Replies(mode, exchange)
    order = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 1, "price": 100}
    market = replies.exchange.market(SYMBOL) if exchange == "mexc" else SYMBOL
    with pytest.raises(OutcomeUnknown) as unknown:
        replies.call(method, *(([order, order],) if batch else (market, "limit", "buy", 1, 100)))
    ids = unknown.value.client_order_ids
    assert len(ids) == 1 + batch
    assert all(client_order_id in replies.urls[-1] for client_order_id in ids)


@MODES
@pytest.mark.parametrize("params", [{"triggerPrice": 90}, {"stopLossPrice": 90}, {"trailingPercent": 1}])
@pytest.mark.parametrize("exchange", ["okx", "okxus"])
def test_okx_looks_trigger_orders_up_by_another_name(exchange, params, mode) -> None:
    """`algoClOrdId`, under which ccxt's class does not send it."""
    replies = Replies(mode, exchange)
    with pytest.raises(OutcomeUnknown) as unknown:
        replies.call("create_order", SYMBOL, "market", "sell", 1, None, {**params, "clientOrderId": "mine"})
    assert unknown.value.client_order_ids == ("mine",)
    assert '"algoClOrdId":"mine"' in replies.urls[-1]


@MODES
def test_okx_gets_plain_orders_as_they_are(mode) -> None:
    """Only the endpoint of trigger orders has the other name."""
    replies = Replies(mode, "okx")
    with pytest.raises(OutcomeUnknown) as unknown:
        replies.call("create_order", SYMBOL, "limit", "sell", 1, 100)
    assert f'"clOrdId":"{unknown.value.client_order_id}"' in replies.urls[-1]
    assert "algoClOrdId" not in replies.urls[-1]
