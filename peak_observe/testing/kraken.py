"""The part of Kraken's REST interface that a trading client touches, kept in memory.

Payloads have the shape of https://docs.kraken.com/api-reference. Nothing here knows about HTTP.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from peak_observe.testing.loopback import Reply
from peak_observe.testing.markets import MARKETS, Json

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.testing.loopback import Call
    from peak_observe.testing.markets import Market

Params = Mapping[str, str]

API_KEY = "fake-exchange-key"
SECRET = b"fake-exchange-secret"


class KrakenError(Exception):
    """What Kraken reports inside a body of HTTP status 200, such as `EOrder:Unknown order`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """An order that reached the exchange; volume and price are the client's own text."""

    id: str
    pair: str
    side: str
    kind: str
    volume: str
    price: str
    client_order_id: str | None
    userref: int | None
    status: Literal["open", "closed", "canceled"]
    opened_at: float
    closed_at: float | None = None

    @property
    def description(self) -> str:
        """Return the sentence by which Kraken repeats an order."""
        at = f"limit {self.price}" if self.kind == "limit" else self.kind.replace("-", " ")
        return f"{self.side} {self.volume} {self.pair} @ {at}"

    def matches(self, params: Params) -> bool:
        """Tell whether the filters `cl_ord_id` and `userref` of a request let this order through."""
        wanted = params.get("cl_ord_id", self.client_order_id), params.get("userref", str(self.userref))
        return wanted == (self.client_order_id, str(self.userref))

    def payload(self) -> Json:
        """Return the order as OpenOrders, ClosedOrders and QueryOrders show it."""
        filled = self.status == "closed"
        asked = self.price if self.kind == "limit" else "0"
        described = {"pair": self.pair, "type": self.side, "ordertype": self.kind, "price": asked}
        return {
            "refid": None,
            "userref": self.userref,
            "cl_ord_id": self.client_order_id,
            "status": self.status,
            "opentm": self.opened_at,
            "closetm": self.closed_at,
            "starttm": 0,
            "expiretm": 0,
            "descr": {**described, "price2": "0", "leverage": "none", "order": self.description, "close": ""},
            "vol": self.volume,
            "vol_exec": self.volume if filled else "0.00000000",
            "cost": f"{float(self.volume) * float(self.price):.5f}" if filled else "0.00000",
            "fee": "0.00000",
            "price": self.price if filled else "0.00000",
            "stopprice": "0.00000",
            "limitprice": "0.00000",
            "misc": "",
            "oflags": "fciq",
        }


_ASSETS = {"XXBT": ("XBT", 10), "XETH": ("ETH", 10), "ZUSD": ("USD", 4)}
_BALANCES = {"XXBT": 10.0, "XETH": 100.0, "ZUSD": 1_000_000.0}


def _market(name: str) -> Market:
    for market in MARKETS:
        if name in (market.id, market.altname, market.wsname):
            return market
    raise KrakenError("EQuery:Unknown asset pair")


def _unknown(_: Params) -> Json:
    raise KrakenError("EGeneral:Unknown method")


def _argument(params: Params, name: str) -> str:
    if not (value := params.get(name, "")):
        raise KrakenError(f"EGeneral:Invalid arguments:{name}")
    return value


class Kraken:
    """An exchange in memory: every answer depends only on the clock and the requests before it.

    A market order fills at once, a limit order stays open until it is cancelled. Balances show what
    open orders hold, but fills do not move them, so that a demo can trade for a week.

    Args:
        clock: Gives the exchange's own time.
    """

    exchange_id = "kraken"

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._orders: dict[str, PlacedOrder] = {}
        self._tick = 0
        self._behind = 0.0

    @property
    def orders(self) -> tuple[PlacedOrder, ...]:
        """Return the orders placed, oldest first."""
        with self._lock:
            return tuple(self._orders.values())

    def config(self, url: str) -> dict[str, Any]:
        """Return a new configuration for `ccxt.kraken`."""
        return {
            "urls": {"api": {"public": url, "private": url, "zendesk": url}},
            "apiKey": API_KEY,
            "secret": base64.b64encode(SECRET).decode(),
        }

    def name(self, call: Call) -> str:
        """Return the endpoint's name, such as `Ticker`."""
        return call.path.rpartition("/")[2]

    def answer(self, call: Call, behind: float = 0.0) -> Reply:
        """Carry out one request and return its answer, with data that is `behind` seconds old."""
        private = "/private/" in call.path
        try:
            if private and ("API-Sign" not in call.headers or call.headers.get("API-Key") != API_KEY):
                return Reply({"error": ["EAPI:Invalid key"]})
            target = getattr(self, ("_private_" if private else "_public_") + self.name(call).lower(), _unknown)
            with self._lock:
                self._behind = behind
                return Reply({"error": [], "result": target(call.params)})
        except KrakenError as error:
            return Reply({"error": [str(error)]})
        except (ValueError, ArithmeticError):
            return Reply({"error": ["EGeneral:Invalid arguments"]})

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _public_time(self, _: Params) -> Json:
        return {"unixtime": int(self._now()), "rfc1123": f"{self._clock.now():%a, %d %b %y %H:%M:%S +0000}"}

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
        last = int(self._now() - self._behind) // (minutes * 60)
        first = max(last - 719, int(float(params.get("since", "0"))) // (minutes * 60) + 1)
        candles = [market.candle(number, minutes) for number in range(first, last + 1)]
        return {market.id: candles, "last": (last - 1) * minutes * 60}

    def _public_depth(self, params: Params) -> Json:
        market, levels = _market(_argument(params, "pair")), range(1, int(params.get("count", "10")) + 1)
        price, step, now = market.price(self._tick), 10.0**-market.decimals, int(self._now())
        asks = [[f"{price + step * level:.5f}", "1.000", now] for level in levels]
        bids = [[f"{price - step * level:.5f}", "1.000", now] for level in levels]
        return {market.id: {"asks": asks, "bids": bids}}

    def _public_trades(self, params: Params) -> Json:
        market, now = _market(_argument(params, "pair")), self._now()
        prices = [market.price(max(0, self._tick - back)) for back in (2, 1, 0)]
        trades = [[f"{price:.5f}", "0.01", now - 3 + n, "b", "l", "", n] for n, price in enumerate(prices, 1)]
        return {market.id: trades, "last": str(int(now * 1e9))}

    def _private_balance(self, _: Params) -> Json:
        return {asset: f"{amount:.4f}" for asset, amount in _BALANCES.items()}

    def _private_balanceex(self, _: Params) -> Json:
        held = dict.fromkeys(_BALANCES, 0.0)
        for order in self._select({}, "open"):
            market, volume = _market(order.pair), float(order.volume)
            buys = order.side == "buy"
            held[market.quote if buys else market.base] += volume * (float(order.price) if buys else 1)
        return {
            asset: {"balance": f"{amount:.4f}", "hold_trade": f"{held[asset]:.4f}"}
            for asset, amount in _BALANCES.items()
        }

    def _private_addorder(self, params: Params) -> Json:
        order = self._order(params)
        if params.get("validate", "").lower() == "true":
            return {"descr": {"order": order.description}}
        self._orders[order.id] = order
        return {"descr": {"order": order.description}, "txid": [order.id]}

    def _order(self, params: Params) -> PlacedOrder:
        market, kind, now = _market(_argument(params, "pair")), _argument(params, "ordertype"), self._now()
        if float(_argument(params, "volume")) < float(market.minimum):
            raise KrakenError("EOrder:Order minimum not met")
        at_once = kind == "market"
        return PlacedOrder(
            id=f"OFAKE0-00000-{len(self._orders) + 1:06d}",
            pair=market.altname,
            side=_argument(params, "type"),
            kind=kind,
            volume=params["volume"],
            price=str(market.price(self._tick)) if at_once else _argument(params, "price"),
            client_order_id=params.get("cl_ord_id"),
            userref=int(params["userref"]) if params.get("userref") else None,
            status="closed" if at_once else "open",
            opened_at=now,
            closed_at=now if at_once else None,
        )

    def _private_openorders(self, params: Params) -> Json:
        return {"open": _payloads(self._visible(self._select(params, "open")))}

    def _private_closedorders(self, params: Params) -> Json:
        found = _payloads(self._visible(self._select(params, "closed", "canceled")))
        return {"closed": found, "count": len(found)}

    def _private_queryorders(self, params: Params) -> Json:
        asked = [self._orders.get(id_) for id_ in _argument(params, "txid").split(",")]
        return _payloads(self._visible(order for order in asked if order and order.matches(params)))

    def _private_cancelorder(self, params: Params) -> Json:
        named = params.get("txid") or _argument(params, "cl_ord_id")
        found = [
            order
            for order in self._select({}, "open")
            if named in (order.id, order.client_order_id, str(order.userref))
        ]
        if not found:
            raise KrakenError("EOrder:Unknown order")
        for order in found:
            self._orders[order.id] = replace(order, status="canceled", closed_at=self._now())
        return {"count": len(found)}

    def _visible(self, orders: Iterable[PlacedOrder]) -> list[PlacedOrder]:
        return [order for order in orders if order.opened_at <= self._now() - self._behind]

    def _select(self, params: Params, *statuses: str) -> list[PlacedOrder]:
        found = (order for order in self._orders.values() if order.status in statuses)
        return [order for order in found if order.matches(params)]


def _payloads(orders: Iterable[PlacedOrder]) -> Json:
    return {order.id: order.payload() for order in orders}
