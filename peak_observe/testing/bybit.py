"""The part of Bybit's v5 REST interface for spot that a trading client touches, kept in memory.

Payloads have the shape of https://bybit-exchange.github.io/docs/v5/intro. Nothing here knows about HTTP but headers.
"""

from __future__ import annotations

import ast
from datetime import UTC, datetime
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

_IDS = {f"{base}USDT": (market, base) for base, market in USDT_MARKETS.items()}
_MINUTES = {"D": 1440, "W": 10_080}
_EARLY = 1000
"""Milliseconds that a request's time may be ahead of the exchange's."""

_STATUSES = {"open": "New", "closed": "Filled", "canceled": "Cancelled"}


class Bybit(SpotExchange):
    """Bybit's spot exchange in memory."""

    exchange_id = "bybit"
    permissions = frozenset(("SpotTrade",))
    no_endpoint = (10001, "Request parameter error.", 404)
    malformed = (10001, "Request parameter error.", 200)

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._extra: Json = {}

    def config(self, url: str) -> dict[str, Any]:
        """Return a new configuration for `ccxt.bybit`, spot markets of a unified account only."""
        return {
            "urls": {"api": dict.fromkeys(("spot", "futures", "v2", "public", "private"), url)},
            "apiKey": API_KEY,
            "secret": SECRET,
            "has": {"fetchCurrencies": False},
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "defaultType": "spot",
                "enableUnifiedMargin": False,
                "enableUnifiedAccount": True,
            },
        }

    def name(self, call: Call) -> str:
        """Return the endpoint's name: the method, and the path without its version."""
        return f"{call.method} {call.path.partition('/v5/')[2]}"

    def authenticate(self, call: Call) -> None:
        """Check key, signature and time of a private request."""
        headers = {name.lower(): value for name, value in call.headers.items()}
        if call.path.startswith("/v5/market/"):
            return
        if headers.get("x-bapi-api-key") != API_KEY:
            raise Refusal(10003, "API key is invalid.")
        if not headers.get("x-bapi-sign"):
            raise Refusal(10004, "Error sign, please check your signature generation algorithm.")
        late = self.milliseconds() - int(headers.get("x-bapi-timestamp", 0))
        if not -_EARLY <= late <= int(headers.get("x-bapi-recv-window", 5000)):
            raise Refusal(10002, "invalid request, please check your server timestamp or recv_window param.")

    def reply(self, result: Any) -> Reply:
        """Return the answer to a request that was carried out."""
        return self._enveloped(0, "OK", result)

    def refuse(self, refusal: Refusal) -> Reply:
        """Return the answer to a request that was refused, with HTTP status 200 as a rule."""
        return self._enveloped(refusal.code, refusal.message, {}, refusal.status)

    def _enveloped(self, code: str | int, message: str, result: Any, status: int = 200) -> Reply:
        extra, self._extra = self._extra, {}
        payload = {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": extra,
            "time": self.milliseconds(),
        }
        limits = (("X-Bapi-Limit", "50"), ("X-Bapi-Limit-Status", "40"))
        return Reply(payload, status, limits)

    def _get_market_time(self, _: Params) -> Json:
        return {"timeSecond": str(int(self.now())), "timeNano": str(int(self.now() * 1e9))}

    def _get_market_instruments_info(self, _: Params) -> Json:
        return {"category": "spot", "list": [_listed(id_) for id_ in _IDS], "nextPageCursor": ""}

    def _get_market_tickers(self, params: Params) -> Json:
        self._tick += 1
        wanted = [params["symbol"]] if "symbol" in params else list(_IDS)
        return {"category": "spot", "list": [self._ticker(id_) for id_ in wanted]}

    def _ticker(self, id_: str) -> Json:
        market = _market(id_)
        (ask,), (bid,) = self.levels(market, 1)
        return {
            "symbol": id_,
            "bid1Price": bid,
            "bid1Size": "1.0",
            "ask1Price": ask,
            "ask1Size": "1.0",
            "lastPrice": f"{market.price(self._tick):.2f}",
            "prevPrice24h": f"{market.start:.2f}",
            "price24hPcnt": "0",
            "highPrice24h": f"{market.start * 1.01:.2f}",
            "lowPrice24h": f"{market.start * 0.99:.2f}",
            "turnover24h": "60000000",
            "volume24h": "1000",
        }

    def _get_market_kline(self, params: Params) -> Json:
        interval = params.get("interval", "1")
        market, minutes = _market(params.get("symbol", "")), _MINUTES.get(interval) or int(interval)
        first = -(-int(params["start"]) // (minutes * 60_000)) if "start" in params else None
        candles = self.candles(market, minutes, first=first, limit=int(params.get("limit", "200")))
        rows = [[str(int(str(c[0])) * 1000), *c[1:5], c[6], "0"] for c in reversed(candles)]
        return {"category": "spot", "symbol": params["symbol"], "list": rows}

    def _get_market_orderbook(self, params: Params) -> Json:
        asks, bids = self.levels(_market(params.get("symbol", "")), int(params.get("limit", "10")))
        book = {"a": [[price, "1.0"] for price in asks], "b": [[price, "1.0"] for price in bids]}
        return {"s": params["symbol"], **book, "ts": self.milliseconds(), "u": self._tick}

    def _get_account_wallet_balance(self, _: Params) -> Json:
        coins = [
            {"coin": coin, "walletBalance": f"{amount:.8f}", "equity": f"{amount:.8f}", "locked": "0"}
            for coin, amount in USDT_BALANCES.items()
        ]
        return {"list": [{"accountType": "UNIFIED", "coin": coins}]}

    def _post_order_create(self, params: Params) -> Json:
        market = _market(params.get("symbol", ""))
        if float(params.get("qty", "0")) < float(market.minimum):
            raise Refusal(170136, "Order quantity exceeded lower limit.")
        if self.is_taken(params.get("orderLinkId")):
            raise Refusal(170141, "Duplicate clientOrderId")
        order = self.make_order(
            market,
            id=str(1_000_000_000 + len(self._orders)),
            pair=params["symbol"],
            side=params.get("side", "").lower(),
            kind=params.get("orderType", "").lower(),
            volume=params["qty"],
            price=params.get("price"),
            client_order_id=params.get("orderLinkId"),
        )
        return _receipt(self.place(order))

    def _post_order_amend(self, params: Params) -> Json:
        order = named(self.live(), params.get("orderId"), params.get("orderLinkId"))
        wanted = {"volume": params.get("qty"), "price": params.get("price")}
        return _receipt(self.amend(order, Refusal(170213, "Order does not exist."), **wanted))

    def _post_order_cancel(self, params: Params) -> Json:
        order = named(self.live(), params.get("orderId"), params.get("orderLinkId"))
        if order is None:
            raise Refusal(170213, "Order does not exist.")
        return _receipt(self.cancel(order))

    def _post_order_create_batch(self, params: Params) -> Json:
        made, codes = [], []
        for order in ast.literal_eval(params["request"]):
            try:
                made.append(self._post_order_create({name: str(value) for name, value in order.items()}))
                codes.append({"code": 0, "msg": "OK"})
            except Refusal as refusal:
                made.append({"orderId": "", "orderLinkId": order.get("orderLinkId", "")})
                codes.append({"code": refusal.code, "msg": refusal.message})
        self._extra = {"list": codes}
        return {"list": [{**order, "category": "spot"} for order in made]}

    def _get_order_history(self, params: Params) -> Json:
        named = params.get("orderId") or params.get("orderLinkId")
        rows = [
            _payload(order)
            for order in self.visible("closed", "canceled")
            if params.get("symbol", order.pair) == order.pair and named in (None, order.id, order.client_order_id)
        ]
        return {"category": "spot", "list": rows, "nextPageCursor": ""}

    def _get_order_realtime(self, params: Params) -> Json:
        named = params.get("orderId") or params.get("orderLinkId")
        found = self.visible() if named else self.visible("open")
        rows = [
            _payload(order)
            for order in found
            if params.get("symbol", order.pair) == order.pair and named in (None, order.id, order.client_order_id)
        ]
        return {"category": "spot", "list": rows, "nextPageCursor": ""}

    def _get_user_query_api(self, _: Params) -> Json:
        groups = {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer", "SubMemberTransfer", "Withdraw"]}
        expires = self.key.expires
        return {
            "id": "1",
            "note": "bot",
            "apiKey": API_KEY,
            "readOnly": 0 if "SpotTrade" in self.key.permissions else 1,
            "secret": "",
            "permissions": {name: [p for p in known if p in self.key.permissions] for name, known in groups.items()},
            "ips": list(self.key.addresses) or ["*"],
            "type": 1,
            "deadlineDay": 0 if expires is None else max(0, int((expires - self.now()) // 86_400)),
            "expiredAt": "1970-01-01T00:00:00Z"
            if expires is None
            else f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "uta": 1,
            "isMaster": True,
        }


def _market(id_: str) -> Market:
    if id_ not in _IDS:
        raise Refusal(170121, "Invalid symbol.")
    return _IDS[id_][0]


def _listed(id_: str) -> Json:
    market, base = _IDS[id_]
    lots = {
        "basePrecision": "0.00001",
        "quotePrecision": "0.0000001",
        "minOrderQty": market.minimum,
        "minOrderAmt": "1",
    }
    return {
        "symbol": id_,
        "baseCoin": base,
        "quoteCoin": "USDT",
        "status": "Trading",
        "marginTrading": "none",
        "lotSizeFilter": {**lots, "maxOrderQty": "9000", "maxOrderAmt": "9000000"},
        "priceFilter": {"tickSize": f"{10.0**-market.decimals:.8f}"},
    }


def _receipt(order: PlacedOrder) -> Json:
    return {"orderId": order.id, "orderLinkId": order.client_order_id or ""}


def _payload(order: PlacedOrder) -> Json:
    filled = order.volume if order.status == "closed" else "0"
    return {
        **_receipt(order),
        "symbol": order.pair,
        "price": order.price,
        "qty": order.volume,
        "side": order.side.capitalize(),
        "orderType": order.kind.capitalize(),
        "orderStatus": _STATUSES[order.status],
        "avgPrice": order.price if order.status == "closed" else "",
        "cumExecQty": filled,
        "leavesQty": "0" if order.status == "closed" else order.volume,
        "timeInForce": "GTC",
        "createdTime": str(int(order.opened_at * 1000)),
        "updatedTime": str(int((order.closed_at or order.opened_at) * 1000)),
    }
