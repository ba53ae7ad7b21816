"""Client order ids: what the client puts in is what ccxt's own signers send, and what is read off the wire was sent."""

import asyncio
import base64
import contextlib
import inspect
import json
import re
import uuid

import ccxt
import ccxt.async_support
import pytest

from peak_observe.exchange_client import endpoints, order_ids, reviews

SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"
TEN = ("binance", "bybit", "okx", "kraken", "coinbase", "kucoin", "gate", "bitget", "mexc", "hyperliquid")
BATCHES = ("binance", "bybit", "okx", "kraken", "kucoin", "gate", "bitget", "mexc", "hyperliquid")
TAKES_NONE = {
    "bit2c", "bitbank", "bitbns", "bitflyer", "bitteam", "btcbox", "coincheck", "coinspot", "digifinex", "hibachi",
    "hollaex", "mercado", "mudrex", "nado", "p2b", "paymium", "zaif",
}  # fmt: skip
BEYOND_TESTS = {"apex", "dydx", "lighter"}  # they sign orders with binaries that pip does not bring along

SECRETS = {
    "apiKey": "k" * 32, "secret": base64.b64encode(b"secret" * 8).decode(), "password": "p", "uid": "12345",
    "token": "t",
    "walletAddress": f"0x{'a' * 40}", "privateKey": f"0x{'1' * 64}", "login": "l", "twofa": "x", "accountId": "1",
}  # fmt: skip
OPTIONS = {
    "operatorId": 1, "subaccount_id": 1, "accountId": "1", "tradingAccountId": "1", "builderFee": False, "max_fee": 10,
    "deriveWalletAddress": f"0x{'a' * 40}", "authorizer": "x", "hasPrefetchedAccount": True, "uta": False,
}  # fmt: skip
INFO = {
    "orderTypes": ["LIMIT", "MARKET", "STOP"], "max_leverage": 1, "chainId": 1, "instrument_hash": "0x1",
    "base_decimals": 3,
    "base_asset_address": f"0x{'1' * 40}", "base_asset_sub_id": "1", "min_size": "0.001",
    "l2Config": dict.fromkeys(("collateralId", "syntheticId"), "0x1")
    | dict.fromkeys(("collateralResolution", "syntheticResolution"), 10**6),
}  # fmt: skip
ANSWERS = {
    "spot/private/v1/account/accounts": {"data": [{"id": 1, "type": "spot"}]},
    "private/account/accounts": {"data": [{"id": 1, "type": "spot"}]},
    "private/GetUserAccounts": [1],
    "private/v1/users/hmac/login": {"token": "x", "authorizer": "x"},
    "public/auth": {"result": {"access_token": "x", "expires_in": 900}},
    "public/system/config": {"starknet_chain_id": "1", "l1_chain_id": "1"},
}


def market(exchange, symbol: str) -> dict:
    """Return a market as `load_markets` would make it."""
    swap = symbol == SWAP
    tick = exchange.precisionMode == ccxt.TICK_SIZE
    bounds = {part: {"min": 0.001, "max": 1e9} for part in ("amount", "price", "cost", "leverage")}
    return exchange.safe_market_structure({
        "id": "1" if swap else "2", "symbol": symbol, "base": "BTC", "quote": "USDT", "lowercaseId": "btcusdt",
        "baseId": "0", "quoteId": "1", "settle": "USDT" if swap else None, "settleId": "1" if swap else None,
        "type": "swap" if swap else "spot", "spot": not swap, "swap": swap, "contract": swap, "linear": swap or None,
        "inverse": False if swap else None, "contractSize": 1 if swap else None, "active": True, "limits": bounds,
        "precision": {"amount": 0.001 if tick else 3, "price": 0.01 if tick else 2, "base": 0.001 if tick else 3},
        "info": INFO, "numericId": 1,
    })  # fmt: skip


def prepared(exchange):
    """Return an exchange object with markets and keys, for which nothing needs to be asked."""
    exchange.set_markets([market(exchange, SPOT), market(exchange, SWAP)])
    exchange.enableRateLimit = False
    exchange.options |= OPTIONS
    if exchange.id == "gemini":
        exchange.apiKey = "account-k"
    if exchange.id == "grvt":
        exchange.apiKey = exchange.secret = ""  # it signs with the private key
    return exchange


class Wire:
    """What an exchange object signed, request by request, in place of sending it."""

    def __init__(self, exchange) -> None:
        self.exchange = exchange
        self.sent = []
        self.label = ""
        asynchronous = inspect.iscoroutinefunction(exchange.fetch2)
        exchange.fetch2 = self._labelled(exchange.fetch2)
        exchange.fetch = self._async_fetch if asynchronous else self._fetch

    def _labelled(self, fetch2):
        def labelled(path, api="public", method="GET", *args, **kwargs):
            self.label, self.path = endpoints.label(path, api, method), path
            return fetch2(path, api, method, *args, **kwargs)

        return labelled

    def _fetch(self, url, method="GET", headers=None, body=None):
        if reviews.endpoint_effects(self.exchange.id).get(self.label) != reviews.READ:
            self.sent.append((url, headers, body, self.path))
        return ANSWERS.get(self.label.partition(" ")[2], {})

    async def _async_fetch(self, *args):
        return self._fetch(*args)

    def ids(self) -> tuple[str, ...]:
        """Return the ids of what would have been sent."""
        found = (order_ids.ids_on_the_wire(*sent[:3], exchange=self.exchange.id, path=sent[3]) for sent in self.sent)
        return tuple(item for ids in found for item in ids)


def unsigned(self, path, api="public", method="GET", params=None, *_) -> dict:
    """Stand in for a signer: what it would have signed, as JSON."""
    return {"url": f"https://127.0.0.1/{path}", "method": method, "headers": {}, "body": self.json(params or {})}


UNSIGNED = {
    "sign": unsigned,
    "sign_in": lambda self, *_, **__: {},
    "initialize_client": lambda self, *_, **__: {},
    "authenticate_rest": lambda self, *_, **__: "token",
    "create_signed_request": lambda self, request, *_, **__: request,
    "sign_message": lambda self, *_, **__: "signature",
    "sign_order_request": lambda self, request, *_, **__: request,
    "sign_perps_op": lambda self, signable, op, *_, **__: {"op": op},
}


def wire_of(exchange_id: str, mode: str, method: str, *args, **kwargs) -> Wire:
    """Return what a method of ccxt's own class would have sent; that its answer is empty must not matter."""
    module = ccxt if mode == "sync" else ccxt.async_support
    if mode == "sync":
        wire = Wire(prepared(getattr(module, exchange_id)(SECRETS)))
        with contextlib.suppress(Exception):
            getattr(wire.exchange, method)(*args, **kwargs)
        return wire

    async def main():
        wire = Wire(prepared(getattr(module, exchange_id)(SECRETS)))
        with contextlib.suppress(Exception):
            await getattr(wire.exchange, method)(*args, **kwargs)
        await wire.exchange.close()
        return wire

    return asyncio.run(main())


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("symbol", [SPOT, SWAP])
@pytest.mark.parametrize("exchange", TEN)
def test_the_id_put_in_is_on_the_wire(exchange, symbol, mode) -> None:
    """Through the real signer of each of the ten, and no other id beside it."""
    params = order_ids.identified(None, exchange=exchange)
    wire = wire_of(exchange, mode, "create_order", symbol, "limit", "buy", 1, 100, params)
    assert wire.ids() == (str(params[order_ids.parameter(exchange)]),)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("exchange", BATCHES)
def test_the_ids_of_a_batch_are_on_the_wire(exchange, mode) -> None:
    """Each order's own, in their order."""
    symbol = SWAP if exchange == "binance" else SPOT  # Binance takes no batches on spot
    given = [order_ids.identified(None, exchange=exchange) for _ in range(3)]
    orders = [
        {"symbol": symbol, "type": "limit", "side": "buy", "amount": 1, "price": 100, "params": params}
        for params in given
    ]
    wire = wire_of(exchange, mode, "create_orders", orders)
    assert wire.ids() == tuple(str(params[order_ids.parameter(exchange)]) for params in given)


@pytest.mark.parametrize("exchange", [name for name in TEN if name != "coinbase"])
def test_the_id_of_a_trigger_order_is_on_the_wire(exchange) -> None:
    """Though many exchanges have another endpoint for it; Coinbase wants two prices."""
    params = order_ids.identified({"triggerPrice": 90, "triggerDirection": "descending"}, exchange=exchange)
    wire = wire_of(exchange, "sync", "create_order", SWAP, "limit", "buy", 1, 100, params)
    assert wire.ids() == (str(params[order_ids.parameter(exchange)]),)


@pytest.mark.parametrize("exchange", sorted({*ccxt.exchanges} - TAKES_NONE - BEYOND_TESTS - {*TEN}))
def test_every_other_exchange_sends_the_id_too(exchange, monkeypatch) -> None:
    """Whatever ccxt's class makes of the parameters; keys that only an exchange could give are not needed for that."""
    assert order_ids.supported(exchange), f"{exchange} needs an entry in order_ids, or a place in TAKES_NONE"
    params = order_ids.identified(None, exchange=exchange)
    expected = str(params[order_ids.parameter(exchange)])
    cls = getattr(ccxt, exchange)
    for name in UNSIGNED.keys() & {*dir(cls)}:
        monkeypatch.setattr(cls, name, UNSIGNED[name])
    symbol = SPOT if cls().has["spot"] else SWAP
    wire = wire_of(exchange, "sync", "create_order", symbol, "limit", "buy", 1, 100, params)
    assert wire.ids() == (expected,)


@pytest.mark.parametrize("exchange", sorted(TAKES_NONE))
def test_an_exchange_without_ids_says_so(exchange) -> None:
    """Before the first order, and its parameters stay as they were."""
    assert not order_ids.supported(exchange)
    assert order_ids.parameter(exchange) is None
    assert order_ids.identified({"clientOrderId": "a"}, exchange=exchange) == {"clientOrderId": "a"}
    assert order_ids.ids_on_the_wire("https://127.0.0.1/?clientOrderId=a", {}, None, exchange=exchange) == ()
    with pytest.raises(ValueError, match=f"{exchange} takes no client order ids"):
        order_ids.make(exchange)


def test_every_exchange_of_ccxt_was_looked_at() -> None:
    """One that a newer ccxt brings takes no ids until somebody did."""
    unknown = {name for name in ccxt.exchanges if not order_ids.supported(name)} - TAKES_NONE - BEYOND_TESTS
    assert not unknown, f"find out how these take client order ids, and write it into order_ids: {sorted(unknown)}"


def test_an_id_that_ccxt_drops_is_not_named() -> None:
    """Coinbase's class makes an id of its own whatever `clientOrderId` says."""
    wire = wire_of("coinbase", "sync", "create_order", SPOT, "limit", "buy", 1, 100, {"clientOrderId": "mine"})
    assert wire.sent
    assert "mine" not in wire.ids()
    assert len(wire.ids()) == 1


@pytest.mark.parametrize("exchange", ["coinbase", "deribit", "hitbtc", "cryptocom", "toobit"])
def test_the_unified_name_moves_to_the_one_that_is_sent(exchange) -> None:
    """So that the caller's own id is the order's."""
    expected = {order_ids.parameter(exchange): "mine", "timeInForce": "GTC"}
    given = {"clientOrderId": "mine", "timeInForce": "GTC"}
    assert order_ids.identified(given, exchange=exchange) == expected
    assert given == {"clientOrderId": "mine", "timeInForce": "GTC"}


@pytest.mark.parametrize(
    ("exchange", "params"),
    [
        ("binance", {"clientOrderId": "mine"}), ("binance", {"newClientOrderId": "mine"}), ("kraken", {"userref": 7}),
        ("gate", {"text": "t-mine"}), ("coinbase", {"client_order_id": "mine"}), ("bybit", {"orderLinkId": "mine"}),
    ],
)  # fmt: skip
def test_the_callers_own_id_stays(exchange, params) -> None:
    """Under each name that reaches the exchange."""
    assert order_ids.identified(params, exchange=exchange) == params


@pytest.mark.parametrize("nothing", [None, {}, {"clientOrderId": None}, {"clientOrderId": ""}])
def test_nothing_given_is_no_id(nothing) -> None:
    """An empty one is replaced, by the caller's maker where there is one."""
    assert order_ids.identified(nothing, exchange="binance", new_id=lambda: "made") == {"clientOrderId": "made"}


@pytest.mark.parametrize(
    ("exchange", "form"),
    [
        ("kraken", r"[0-9a-f]{32}"), ("binance", r"[\w-]{1,36}"), ("gate", r"t-\w{26}"),
        ("hyperliquid", r"0x[0-9a-f]{32}"),
        ("bitvavo", r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"), ("bitfinex", r"\d{1,14}"), ("backpack", r"\d{1,10}"),
        ("blockchaincom", r"\w{1,20}"), ("grvt", r"\d{19,20}"), ("okx", r"[0-9a-zA-Z]{1,32}"), ("mexc", r"\w{1,32}"),
        ("binanceusdm", r"[\w-]{1,36}"), ("kucoinfutures", r"[\w-]{1,40}"), ("gateeu", r"t-\w{26}"),
    ],
)  # fmt: skip
def test_ids_have_the_exchanges_form(exchange, form) -> None:
    """And no two are the same."""
    first, second = order_ids.make(exchange), order_ids.make(exchange)
    assert re.fullmatch(form, str(first))
    assert first != second


def test_uuids_are_uuids() -> None:
    """Where the exchange checks it."""
    assert uuid.UUID(order_ids.make("coinbaseexchange")).version == 4


@pytest.mark.parametrize(
    ("exchange", "url", "body", "expected"),
    [
        ("binance", "https://h/order?newClientOrderId=a&symbol=X", None, ("a",)),
        ("binance", "https://h/order", "origClientOrderId=a&symbol=X", ("a",)),
        ("binance", "https://h/b", "batchOrders=%5B%7B%22newClientOrderId%22%3A%22a%22%7D%5D", ("a",)),
        ("binance", "https://h/b?origClientOrderIdList=%5B%22a%22%2C%22b%22%5D", None, ("a", "b")),
        ("okx", "https://h/b", '[{"clOrdId":"a"},{"clOrdId":"b"},{"clOrdId":"a"}]', ("a", "b")),
        ("okx", "https://h/b", b'{"clOrdId":"a"}', ("a",)),
        ("kraken", "https://h/b", '{"orders":[{"cl_ord_id":"a"},{"userref":7}]}', ("a", "7")),
        ("kraken", "https://h/b", "orders[0][cl_ord_id]=a&orders[1][cl_ord_id]=b", ("a", "b")),
        ("hyperliquid", "https://h", '{"action":{"orders":[{"c":"0x1"}]}}', ("0x1",)),
        ("krakenfutures", "https://h", "json=%7B%22batchOrder%22%3A%5B%7B%22cliOrdId%22%3A%22a%22%7D%5D%7D", ("a",)),
        ("lighter", "https://h", "tx_type=14&tx_info=%7B%22ClientOrderIndex%22%3A12%7D", ("12",)),
        ("woo", "https://h", "clientOrderId=0&symbol=X", ()),
        ("okx", "https://h/b", '{"clientOrderId":"a","label":"b","text":"c"}', ()),
        ("okx", "https://h/b", '{"clOrdId":', ()),
        ("okx", "https://h/b", '{"clOrdId":null,"x":[1,true,{"clOrdId":""}]}', ()),
        ("okx", "https://h/b", None, ()),
        ("nowhere", "https://h/b?clientOrderId=a", None, ()),
    ],
)
def test_ids_are_read_from_the_signed_request(exchange, url, body, expected) -> None:
    """Wherever they are in it, under the exchange's own names and no others."""
    assert order_ids.ids_on_the_wire(url, {}, body, exchange=exchange) == expected


@pytest.mark.parametrize("payload", [json.dumps({"client_order_id": "a"}), "none at all", ""])
def test_ids_are_read_from_a_header(payload) -> None:
    """Gemini sends everything in one, as base64."""
    headers = {"X-GEMINI-PAYLOAD": base64.b64encode(payload.encode()).decode(), "X-GEMINI-SIGNATURE": "a"}
    expected = ("a",) if payload.startswith("{") else ()
    assert order_ids.ids_on_the_wire("https://h", headers, None, exchange="gemini") == expected
    assert order_ids.ids_on_the_wire("https://h", {"X-PAYLOAD": "=="}, None, exchange="gemini") == ()


@pytest.mark.parametrize(
    ("url", "expected"),
    [("https://h/api/v1/order/client-order/a%2Db", ("a-b",)), ("https://h/api/v1/order/client-order/a?x=1", ("a",)),
    ("https://h/other", ())],
)  # fmt: skip
def test_ids_are_read_from_the_path(url, expected) -> None:
    """KuCoin cancels by `DELETE order/client-order/{clientOid}`."""
    path = "order/client-order/{clientOid}"
    assert order_ids.ids_on_the_wire(url, None, None, exchange="kucoin", path=path) == expected
