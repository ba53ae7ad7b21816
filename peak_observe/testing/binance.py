"""The part of Binance's spot REST interface that a trading client touches, kept in memory.

Payloads have the shape of https://developers.binance.com/docs/binance-spot-api-docs. Nothing here knows about HTTP but
the status that goes with an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.testing.loopback import Reply
from peak_observe.testing.markets import USDT_BALANCES, USDT_MARKETS, Json
from peak_observe.testing.spot_exchange import API_KEY, SECRET, PlacedOrder, Refusal, SpotExchange, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peak_observe.clock import Clock
    from peak_observe.testing.loopback import Call
    from peak_observe.testing.markets import Market

    Params = Mapping[str, str]

SYMBOL_IDS = {f"{base}USDT": (market, base) for base, market in USDT_MARKETS.items()}
MINUTES = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
_PRIVATE = ("order", "order/test", "openOrders", "allOrders", "account", "account/apiRestrictions")
_FUTURES = "fapi/"
_RIGHTS = (
    *("enableReading", "enableSpotAndMarginTrading", "enableFutures", "enableMargin", "enableWithdrawals"),
    *("enableInternalTransfer", "permitsUniversalTransfer"),
)
_EARLY = 1000
_WINDOW = 5000
"""Milliseconds that a request's time may be ahead of the exchange's, and behind it if the request names no window."""


class Binance(SpotExchange):
    """Binance's spot exchange in memory, with as much of its futures as a cancel-all timer needs.

    Orders of futures lie beside those of spot under the same symbols.
    """

    exchange_id = "binance"
    permissions = frozenset(("enableReading", "enableSpotAndMarginTrading"))
    no_endpoint = (-1000, "An unknown error occurred while processing the request.", 404)
    malformed = (-1100, "Illegal characters found in a parameter.", 400)

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._weight = 0
        self._minute = 0

    def config(self, url: str) -> dict[str, Any]:
        """Return a new configuration for `ccxt.binance`, spot markets only."""
        spot = dict.fromkeys(("public", "private"), f"{url}/api/v3")
        return {
            "urls": {
                "api": {
                    **spot,
                    "sapi": f"{url}/sapi/v1",
                    "fapiPublic": f"{url}/fapi/v1",
                    "fapiPrivate": f"{url}/fapi/v1",
                    "fapiPrivateV2": f"{url}/fapi/v2",
                    "ws": _websockets(url),
                },
            },
            "apiKey": API_KEY,
            "secret": SECRET,
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
                "defaultType": "spot",
            },
        }

    def name(self, call: Call) -> str:
        """Return the endpoint's name: the method, and the path without its version; `fapi/` begins that of futures."""
        path = call.path.partition("/v3/")[2] or call.path.partition("/v1/")[2]
        return f"{call.method} {_FUTURES if call.path.startswith('/fapi/') else ''}{path}"

    def authenticate(self, call: Call) -> None:
        """Check key, signature and time of a private request."""
        path = self.name(call).partition(" ")[2]
        if path.removeprefix(_FUTURES) not in _PRIVATE and path != f"{_FUTURES}countdownCancelAll":
            return
        if call.headers.get("X-MBX-APIKEY") != API_KEY:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if "signature" not in call.params:
            raise Refusal(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.", 400)
        late = self.milliseconds() - int(call.params.get("timestamp", 0))
        if not -_EARLY <= late <= int(call.params.get("recvWindow", _WINDOW)):
            raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.", 400)

    def reply(self, result: Any) -> Reply:
        """Return the answer to a request that was carried out."""
        return Reply(result, headers=self._used())

    def refuse(self, refusal: Refusal) -> Reply:
        """Return the answer to a request that was refused."""
        return Reply({"code": refusal.code, "msg": refusal.message}, refusal.status, self._used())

    def _used(self) -> tuple[tuple[str, str], ...]:
        minute = int(self.now()) // 60
        self._weight = self._weight + 2 if minute == self._minute else 2
        self._minute = minute
        return (("X-MBX-USED-WEIGHT-1M", str(self._weight)),)

    def _get_ping(self, _: Params) -> Json:
        return {}

    def _get_time(self, _: Params) -> Json:
        return {"serverTime": self.milliseconds()}

    def _get_system_status(self, _: Params) -> Json:
        return {"status": 0, "msg": "normal"}

    def _get_exchangeinfo(self, _: Params) -> Json:
        return {"timezone": "UTC", "serverTime": self.milliseconds(), "symbols": [_listed(id_) for id_ in SYMBOL_IDS]}

    def _get_ticker_24hr(self, params: Params) -> Json | list[Json]:
        self._tick += 1
        if "symbol" in params:
            return self._ticker(params["symbol"])
        return [self._ticker(id_) for id_ in SYMBOL_IDS]

    def _ticker(self, id_: str) -> Json:
        market, price = self._priced(id_)
        step = 10.0**-market.decimals
        return {
            "symbol": id_,
            "priceChange": "0",
            "lastPrice": f"{price:.2f}",
            "bidPrice": f"{price - step:.2f}",
            "bidQty": "1.0",
            "askPrice": f"{price + step:.2f}",
            "askQty": "1.0",
            "openPrice": f"{market.start:.2f}",
            "volume": "1000.0",
            "closeTime": self.milliseconds(self._behind),
        }

    def _get_klines(self, params: Params) -> list[list[object]]:
        market, minutes = _market(params.get("symbol", "")), MINUTES[params.get("interval", "1m")]
        first = -(-int(params["startTime"]) // (minutes * 60_000)) if "startTime" in params else None
        candles = self.candles(market, minutes, first=first, limit=int(params.get("limit", "500")))
        return [[int(str(c[0])) * 1000, *c[1:5], c[6], 0, "0", c[7], "0", "0", "0"] for c in candles]

    def _get_depth(self, params: Params) -> Json:
        asks, bids = self.levels(_market(params.get("symbol", "")), int(params.get("limit", "10")))
        return {"lastUpdateId": self.update(), "bids": [[p, "1.0"] for p in bids], "asks": [[p, "1.0"] for p in asks]}

    def _get_account(self, _: Params) -> Json:
        balances = [{"asset": asset, "free": f"{free:.8f}", "locked": "0.0"} for asset, free in USDT_BALANCES.items()]
        return {"makerCommission": 10, "updateTime": self.milliseconds(), "accountType": "SPOT", "balances": balances}

    def _post_order_test(self, params: Params) -> Json:
        self._made(params)
        return {}

    def _post_order(self, params: Params) -> Json:
        return self._placed(self._made(params))

    def _placed(self, order: PlacedOrder) -> Json:
        if any(live.client_order_id == order.client_order_id for live in self.live() if order.client_order_id):
            raise Refusal(-2010, "Duplicate order sent.", 400)
        return {**_payload(self.place(order)), "transactTime": self.milliseconds(), "fills": []}

    def _post_order_cancelreplace(self, params: Params) -> Json:
        """Cancel an order and place another, of which the second fails only once the first is done."""
        order = self._made(params)
        cancelled = self._delete_order({"orderId": params.get("cancelOrderId", "")})
        placed = self._placed(order)
        return {
            "cancelResult": "SUCCESS",
            "newOrderResult": "SUCCESS",
            "cancelResponse": cancelled,
            "newOrderResponse": placed,
        }

    def _made(self, params: Params) -> PlacedOrder:
        market = _market(params.get("symbol", ""))
        quantity = params.get("quantity") or f"{float(params['quoteOrderQty']) / market.price(self._tick):.5f}"
        if float(quantity) < float(market.minimum):
            raise Refusal(-1013, "Filter failure: NOTIONAL", 400)
        return self.make_order(
            market,
            id=str(1000 + len(self._orders)),
            pair=params["symbol"],
            side=params["side"].lower(),
            kind=params["type"].lower(),
            volume=quantity,
            price=params.get("price"),
            client_order_id=params.get("newClientOrderId"),
        )

    def _get_order(self, params: Params) -> Json:
        order = named(self.visible(), params.get("orderId"), params.get("origClientOrderId"))
        if order is None:
            raise Refusal(-2013, "Order does not exist.", 400)
        return _payload(order)

    def _get_openorders(self, params: Params) -> list[Json]:
        return [_payload(order) for order in self.visible("open") if params.get("symbol", order.pair) == order.pair]

    def _get_allorders(self, params: Params) -> list[Json]:
        return [_payload(order) for order in self.visible() if params.get("symbol") == order.pair]

    def _delete_order(self, params: Params) -> Json:
        order = named(self.live(), params.get("orderId"), params.get("origClientOrderId"))
        if order is None:
            raise Refusal(-2011, "Unknown order sent.", 400)
        return _payload(self.cancel(order))

    def _get_account_apirestrictions(self, _: Params) -> Json:
        expires = {} if self.key.expires is None else {"tradingAuthorityExpirationTime": int(self.key.expires * 1000)}
        rights = {name: name in self.key.permissions for name in _RIGHTS}
        return {"ipRestrict": bool(self.key.addresses), "createTime": 1_600_000_000_000, **rights, **expires}

    def _get_fapi_exchangeinfo(self, _: Params) -> Json:
        return {
            "timezone": "UTC",
            "serverTime": self.milliseconds(),
            "symbols": [_listed_future(id_) for id_ in SYMBOL_IDS],
        }

    def _post_fapi_order(self, params: Params) -> Json:
        return self._post_order(params)

    def _get_fapi_openorders(self, params: Params) -> list[Json]:
        return self._get_openorders(params)

    def _post_fapi_countdowncancelall(self, params: Params) -> Json:
        _market(params.get("symbol", ""))
        self.set_timer(int(params["countdownTime"]) / 1000, params["symbol"])
        return {"symbol": params["symbol"], "countdownTime": params["countdownTime"]}

    def _priced(self, id_: str) -> tuple[Market, float]:
        market = _market(id_)
        return market, market.price(self._tick)


def _websockets(url: str) -> Json:
    host = url.partition("://")[2]
    return {"spot": f"ws://{host}/stream/ws", "ws-api": {"spot": f"ws://{host}/ws-api/v3"}}


def _market(id_: str) -> Market:
    if id_ not in SYMBOL_IDS:
        raise Refusal(-1121, "Invalid symbol.", 400)
    return SYMBOL_IDS[id_][0]


def _listed(id_: str) -> Json:
    market, base = SYMBOL_IDS[id_]
    tick = f"{10.0**-market.decimals:.8f}"
    return {
        "symbol": id_,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": market.minimum, "maxQty": "9000", "stepSize": "0.00001"},
        ],
    }


def _listed_future(id_: str) -> Json:
    listed = _listed(id_)
    base = SYMBOL_IDS[id_][1]
    return {
        **listed,
        "pair": id_,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000,
        "marginAsset": "USDT",
        "baseAsset": base,
        "contractSize": 1,
        "pricePrecision": 2,
        "quantityPrecision": 5,
    }


def _payload(order: PlacedOrder) -> Json:
    at = int(order.opened_at * 1000)
    return {
        "symbol": order.pair,
        "orderId": int(order.id),
        "clientOrderId": order.client_order_id,
        "price": order.price,
        "origQty": order.volume,
        "executedQty": order.volume if order.status == "closed" else "0.0",
        "cummulativeQuoteQty": "0.0",
        "status": {"open": "NEW", "closed": "FILLED", "canceled": "CANCELED"}[order.status],
        "timeInForce": "GTC",
        "type": order.kind.upper(),
        "side": order.side.upper(),
        "time": at,
        "updateTime": at,
    }
