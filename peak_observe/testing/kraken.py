"""The part of Kraken's REST interface that a trading client touches, kept in memory.

Payloads have the shape of https://docs.kraken.com/api-reference. Nothing here knows about HTTP.
"""

from __future__ import annotations

import ast
import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeGuard

from peak_observe.testing.loopback import Reply
from peak_observe.testing.markets import MARKETS, Json
from peak_observe.testing.spot_exchange import API_KEY, SECRET, PlacedOrder, Refusal, SpotExchange, above_zero, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peak_observe.clock import Clock
    from peak_observe.testing.loopback import Call
    from peak_observe.testing.markets import Market

    Params = Mapping[str, str]

_ASSETS = {"XXBT": ("XBT", 10), "XETH": ("ETH", 10), "ZUSD": ("USD", 4)}
_LONGEST_DEADLINE = 60.0
_BALANCES = {"XXBT": 10.0, "XETH": 100.0, "ZUSD": 1_000_000.0}


class Kraken(SpotExchange):
    """Kraken in memory; balances show what open orders hold."""

    exchange_id = "kraken"
    permissions = frozenset(("query-funds", "query-open-trades", "modify-trades", "close-trades"))
    no_endpoint = ("EGeneral:Unknown method", "", 200)
    malformed = ("EGeneral:Invalid arguments", "", 200)
    token = "fake-websockets-token"  # noqa: S105 - a fake one for a fake exchange
    """What a client has to show on the websocket of its own orders."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._nonces: set[str] = set()

    def config(self, url: str) -> dict[str, Any]:
        """Return a new configuration for `ccxt.kraken`."""
        return {
            "urls": {"api": {"public": url, "private": url, "zendesk": url, "ws": _websockets(url)}},
            "apiKey": API_KEY,
            "secret": base64.b64encode(SECRET.encode()).decode(),
        }

    def name(self, call: Call) -> str:
        """Return the endpoint's name, such as `Ticker`."""
        return call.path.rpartition("/")[2]

    def handler(self, call: Call) -> str:
        """Return the name of the method that answers a request."""
        return ("_private_" if "/private/" in call.path else "_public_") + self.name(call).lower()

    def authenticate(self, call: Call) -> None:
        """Check key and signature of a private request."""
        signed = "API-Sign" in call.headers and call.headers.get("API-Key") == API_KEY
        if "/private/" in call.path and not signed:
            raise Refusal("EAPI:Invalid key")
        nonce = call.params.get("nonce")
        if nonce in self._nonces:
            raise Refusal("EAPI:Invalid nonce")
        if nonce:
            self._nonces.add(nonce)

    def _check_deadline(self, params: Params) -> None:
        if params.get("deadline"):
            left = datetime.fromisoformat(params["deadline"]).timestamp() - self.now()
            if left <= 0:
                raise Refusal("EService:Deadline elapsed")
            if left > _LONGEST_DEADLINE:
                raise Refusal("EGeneral:Invalid arguments:deadline")

    def is_price(self, text: str | None) -> TypeGuard[str]:
        """Return whether a text is a price, or a distance such as `+5%`, which a trailing stop has."""
        return above_zero(text and text.removesuffix("%"))

    def reply(self, result: Any) -> Reply:
        """Return the answer to a request that was carried out."""
        return Reply({"error": [], "result": result})

    def refuse(self, refusal: Refusal) -> Reply:
        """Return the answer to a request that was refused, with HTTP status 200."""
        return Reply({"error": [refusal.code]})

    def _public_time(self, _: Params) -> Json:
        return {"unixtime": int(self.now()), "rfc1123": f"{self._clock.now():%a, %d %b %y %H:%M:%S +0000}"}

    def _public_systemstatus(self, _: Params) -> Json:
        return {"status": "online", "timestamp": f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}"}

    def _public_assets(self, _: Params) -> Json:
        shared = {"aclass": "currency", "display_decimals": 5, "status": "enabled"}
        return {id_: {**shared, "altname": alt, "decimals": places} for id_, (alt, places) in _ASSETS.items()}

    def _public_assetpairs(self, _: Params) -> Json:
        return {market.id: market.pair() for market in MARKETS}

    def _public_ticker(self, params: Params) -> Json:
        self._tick += 1
        wanted = [_market(name) for name in params["pair"].split(",")] if params.get("pair") else MARKETS
        return {market.id: market.ticker(self._tick) for market in wanted}

    def _public_ohlc(self, params: Params) -> Json:
        market, minutes = _market(_argument(params, "pair")), int(params.get("interval", "1"))
        last = self.last_candle(minutes)
        first = max(last - 719, int(float(params.get("since", "0"))) // (minutes * 60) + 1)
        return {market.id: self.candles(market, minutes, first=first), "last": (last - 1) * minutes * 60}

    def _public_depth(self, params: Params) -> Json:
        market, now = _market(_argument(params, "pair")), int(self.now())
        asks, bids = self.levels(market, int(params.get("count", "10")))
        return {
            market.id: {name: [[p, "1.000", now] for p in prices] for name, prices in (("asks", asks), ("bids", bids))}
        }

    def _public_trades(self, params: Params) -> Json:
        market, now = _market(_argument(params, "pair")), self.now()
        prices = [market.price(max(0, self._tick - back)) for back in (2, 1, 0)]
        trades = [[f"{price:.5f}", "0.01", now - 3 + n, "b", "l", "", n] for n, price in enumerate(prices, 1)]
        return {market.id: trades, "last": str(int(now * 1e9))}

    def _private_balance(self, _: Params) -> Json:
        return {asset: f"{amount:.4f}" for asset, amount in _BALANCES.items()}

    def _private_balanceex(self, _: Params) -> Json:
        held = dict.fromkeys(_BALANCES, 0.0)
        for order in self.live():
            market, volume = _market(order.pair), float(order.volume)
            buys = order.side == "buy"
            held[market.quote if buys else market.base] += volume * (float(order.price) if buys else 1)
        return {
            asset: {"balance": f"{amount:.4f}", "hold_trade": f"{held[asset]:.4f}"}
            for asset, amount in _BALANCES.items()
        }

    def _private_getwebsocketstoken(self, _: Params) -> Json:
        return {"token": self.token, "expires": 900}

    def _private_addorder(self, params: Params) -> Json:
        self._check_deadline(params)
        order = self._order(params)
        if params.get("validate", "").lower() == "true":
            return {"descr": {"order": _description(order)}}
        return {"descr": {"order": _description(order)}, "txid": [self.place(order).id]}

    def _private_addorderbatch(self, params: Params) -> Json:
        self._check_deadline(params)
        orders = [
            self._order({"pair": params["pair"], **{name: str(value) for name, value in order.items()}})
            for order in ast.literal_eval(params["orders"])
        ]
        return {"orders": [{"descr": {"order": _description(o)}, "txid": self._placed(o).id} for o in orders]}

    def _placed(self, order: PlacedOrder) -> PlacedOrder:
        return self.place(replace(order, id=f"OFAKE0-00000-{len(self._orders) + 1:06d}"))

    def _order(self, params: Params) -> PlacedOrder:
        market, kind = _market(_argument(params, "pair")), _argument(params, "ordertype")
        if float(_argument(params, "volume")) < float(market.minimum):
            raise Refusal("EOrder:Order minimum not met")
        return self.make_order(
            market,
            id=f"OFAKE0-00000-{len(self._orders) + 1:06d}",
            pair=market.altname,
            side=_argument(params, "type"),
            kind=kind,
            volume=params["volume"],
            price=None if kind == "market" else _argument(params, "price"),
            client_order_id=params.get("cl_ord_id"),
            userref=int(params["userref"]) if params.get("userref") else None,
        )

    def _private_openorders(self, params: Params) -> Json:
        return {"open": _payloads(_matching(self.visible("open"), params))}

    def _private_closedorders(self, params: Params) -> Json:
        found = _payloads(_matching(self.visible("closed", "canceled"), params))
        return {"closed": found, "count": len(found)}

    def _private_queryorders(self, params: Params) -> Json:
        asked = _argument(params, "txid").split(",")
        return _payloads(order for order in _matching(self.visible(), params) if order.id in asked)

    def _private_cancelorder(self, params: Params) -> Json:
        named = params.get("txid") or _argument(params, "cl_ord_id")
        found = [order for order in self.live() if named in (order.id, order.client_order_id, str(order.userref))]
        if not found:
            raise Refusal("EOrder:Unknown order")
        for order in found:
            self.cancel(order)
        return {"count": len(found)}

    def _private_amendorder(self, params: Params) -> Json:
        self._check_deadline(params)
        order = named(self.live(), params.get("txid"), params.get("cl_ord_id"))
        wanted = {"volume": params.get("order_qty"), "price": params.get("limit_price")}
        self.amend(order, Refusal("EOrder:Unknown order"), **wanted)
        return {"amend_id": f"TFAKE0-00000-{len(self.changes):06d}"}

    def _private_cancelallordersafter(self, params: Params) -> Json:
        at = self.set_timer(int(_argument(params, "timeout")))
        return {"currentTime": _rfc3339(self.now()), "triggerTime": _rfc3339(at) if at else "0"}

    def _private_getapikeyinfo(self, _: Params) -> Json:
        return {
            "apiKeyName": "bot",
            "apiKey": API_KEY,
            "nonce": "0",
            "nonceWindow": 0,
            "permissions": sorted(self.key.permissions),
            "iban": "",
            "validUntil": str(int(self.key.expires or 0)),
            "ipAllowlist": list(self.key.addresses),
        }


def _rfc3339(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _websockets(url: str) -> Json:
    host = url.partition("://")[2]
    paths = {"public": "", "private": "/private", "publicV2": "/v2", "privateV2": "/private/v2"}
    return {name: f"ws://{host}{path}" for name, path in paths.items()}


def _market(name: str) -> Market:
    for market in MARKETS:
        if name in (market.id, market.altname, market.wsname):
            return market
    raise Refusal("EQuery:Unknown asset pair")


def _argument(params: Params, name: str) -> str:
    if not (value := params.get(name, "")):
        raise Refusal(f"EGeneral:Invalid arguments:{name}")
    return value


def _matching(orders: Iterable[PlacedOrder], params: Params) -> list[PlacedOrder]:
    """Return the orders that the filters `cl_ord_id` and `userref` of a request let through."""
    return [
        order
        for order in orders
        if params.get("cl_ord_id", order.client_order_id) == order.client_order_id
        and params.get("userref", str(order.userref)) == str(order.userref)
    ]


def _payloads(orders: Iterable[PlacedOrder]) -> Json:
    return {order.id: _payload(order) for order in orders}


def _description(order: PlacedOrder) -> str:
    """Return the sentence by which Kraken repeats an order."""
    at = f"limit {order.price}" if order.kind == "limit" else order.kind.replace("-", " ")
    return f"{order.side} {order.volume} {order.pair} @ {at}"


def _payload(order: PlacedOrder) -> Json:
    filled = order.status == "closed"
    asked = order.price if order.kind == "limit" else "0"
    described = {"pair": order.pair, "type": order.side, "ordertype": order.kind, "price": asked}
    return {
        "refid": None,
        "userref": order.userref,
        "cl_ord_id": order.client_order_id,
        "status": order.status,
        "opentm": order.opened_at,
        "closetm": order.closed_at,
        "starttm": 0,
        "expiretm": 0,
        "descr": {**described, "price2": "0", "leverage": "none", "order": _description(order), "close": ""},
        "vol": order.volume,
        "vol_exec": order.volume if filled else "0.00000000",
        "cost": f"{float(order.volume) * float(order.price):.5f}" if filled else "0.00000",
        "fee": "0.00000",
        "price": order.price if filled else "0.00000",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq",
    }
