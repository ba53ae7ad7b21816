"""The part of Binance's spot REST interface that a trading client touches, kept in memory.

Payloads have the shape of https://developers.binance.com/docs/binance-spot-api-docs. Nothing here knows about HTTP but
the status that goes with an error.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from peak_observe.testing.kraken import API_KEY, PlacedOrder
from peak_observe.testing.loopback import Reply
from peak_observe.testing.markets import MARKETS, Json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from peak_observe.clock import Clock
    from peak_observe.testing.loopback import Call
    from peak_observe.testing.markets import Market

SECRET = "fake-exchange-secret"  # noqa: S105 - a fake one for a fake exchange
_IDS = {"BTCUSDT": (MARKETS[0], "BTC"), "ETHUSDT": (MARKETS[1], "ETH")}
_BALANCES = {"BTC": 10.0, "ETH": 100.0, "USDT": 1_000_000.0}
_MINUTES = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
_EARLY = 1000
_WINDOW = 5000
"""Milliseconds that a request's time may be ahead of the exchange's, and behind it if the request names no window."""


class BinanceError(Exception):
    """What Binance reports with HTTP status 400 or 401, such as `-2013 Order does not exist`."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status


class Binance:
    """An exchange in memory: every answer depends only on the clock and the requests before it.

    A market order fills at once, a limit order stays open until it is cancelled.

    Args:
        clock: Gives the exchange's own time.
    """

    exchange_id = "binance"

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._orders: dict[str, PlacedOrder] = {}
        self._tick = 0
        self._weight = 0
        self._minute = 0
        self._behind = 0.0

    @property
    def orders(self) -> tuple[PlacedOrder, ...]:
        """Return the orders placed, oldest first."""
        with self._lock:
            return tuple(self._orders.values())

    def config(self, url: str) -> dict[str, Any]:
        """Return a new configuration for `ccxt.binance`, spot markets only."""
        spot = dict.fromkeys(("public", "private"), f"{url}/api/v3")
        return {
            "urls": {"api": {**spot, "sapi": f"{url}/sapi/v1"}},
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
        """Return the endpoint's name: the method, and the path without its version."""
        return f"{call.method} {call.path.partition('/v3/')[2] or call.path.partition('/v1/')[2]}"

    def answer(self, call: Call, behind: float = 0.0) -> Reply:
        """Carry out one request and return its answer, with data that is `behind` seconds old."""
        method, _, path = self.name(call).partition(" ")
        target = getattr(self, f"_{method.lower()}_{path.lower().replace('/', '_')}", None)
        if target is None:
            return Reply({"code": -1000, "msg": "An unknown error occurred while processing the request."}, 404)
        try:
            private = path in ("order", "order/test", "openOrders", "allOrders", "account")
            with self._lock:
                self._behind = behind
                if private:
                    self._authenticate(call)
                return Reply(target(call.params), headers=self._used())
        except BinanceError as error:
            return Reply({"code": error.code, "msg": error.message}, error.status, self._used())
        except (ValueError, ArithmeticError):
            return Reply({"code": -1100, "msg": "Illegal characters found in a parameter."}, 400, self._used())

    def _used(self) -> tuple[tuple[str, str], ...]:
        minute = int(self._now()) // 60
        self._weight = self._weight + 2 if minute == self._minute else 2
        self._minute = minute
        return (("X-MBX-USED-WEIGHT-1M", str(self._weight)),)

    def _authenticate(self, call: Call) -> None:
        if call.headers.get("X-MBX-APIKEY") != API_KEY:
            raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if "signature" not in call.params:
            raise BinanceError(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        late = self._milliseconds() - int(call.params.get("timestamp", 0))
        if not -_EARLY <= late <= int(call.params.get("recvWindow", _WINDOW)):
            raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _milliseconds(self, behind: float = 0.0) -> int:
        return int((self._now() - behind) * 1000)

    def _get_ping(self, _: Mapping[str, str]) -> Json:
        return {}

    def _get_time(self, _: Mapping[str, str]) -> Json:
        return {"serverTime": self._milliseconds()}

    def _get_system_status(self, _: Mapping[str, str]) -> Json:
        return {"status": 0, "msg": "normal"}

    def _get_exchangeinfo(self, _: Mapping[str, str]) -> Json:
        return {"timezone": "UTC", "serverTime": self._milliseconds(), "symbols": [_listed(id_) for id_ in _IDS]}

    def _get_ticker_24hr(self, params: Mapping[str, str]) -> Json | list[Json]:
        self._tick += 1
        if "symbol" in params:
            return self._ticker(params["symbol"])
        return [self._ticker(id_) for id_ in _IDS]

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
            "closeTime": self._milliseconds(self._behind),
        }

    def _get_klines(self, params: Mapping[str, str]) -> list[list[object]]:
        market, minutes = _market(params.get("symbol", "")), _MINUTES[params.get("interval", "1m")]
        last = int(self._now() - self._behind) // (minutes * 60)
        limit = int(params.get("limit", "500"))
        first = last - limit + 1
        if "startTime" in params:
            first = -(-int(params["startTime"]) // (minutes * 60_000))
            last = min(last, first + limit - 1)
        candles = [market.candle(number, minutes) for number in range(first, last + 1)]
        return [[int(str(c[0])) * 1000, *c[1:5], c[6], 0, "0", c[7], "0", "0", "0"] for c in candles]

    def _get_depth(self, params: Mapping[str, str]) -> Json:
        market, price = self._priced(params.get("symbol", ""))
        step, levels = 10.0**-market.decimals, range(1, int(params.get("limit", "10")) + 1)
        return {
            "lastUpdateId": self._tick,
            "bids": [[f"{price - step * level:.2f}", "1.0"] for level in levels],
            "asks": [[f"{price + step * level:.2f}", "1.0"] for level in levels],
        }

    def _get_account(self, _: Mapping[str, str]) -> Json:
        balances = [{"asset": asset, "free": f"{free:.8f}", "locked": "0.0"} for asset, free in _BALANCES.items()]
        return {"makerCommission": 10, "updateTime": self._milliseconds(), "accountType": "SPOT", "balances": balances}

    def _post_order_test(self, params: Mapping[str, str]) -> Json:
        self._made(params)
        return {}

    def _post_order(self, params: Mapping[str, str]) -> Json:
        order = self._made(params)
        if any(order.client_order_id == known.client_order_id for known in self._orders.values()):
            raise BinanceError(-2010, "Duplicate order sent.")
        self._orders[order.id] = order
        return {**_payload(order), "transactTime": self._milliseconds(), "fills": []}

    def _made(self, params: Mapping[str, str]) -> PlacedOrder:
        market, price = self._priced(params.get("symbol", ""))
        if float(params["quantity"]) < float(market.minimum):
            raise BinanceError(-1013, "Filter failure: NOTIONAL")
        at_once, now = params["type"] == "MARKET", self._now()
        return PlacedOrder(
            id=str(1000 + len(self._orders)),
            pair=params["symbol"],
            side=params["side"].lower(),
            kind=params["type"].lower(),
            volume=params["quantity"],
            price=f"{price:.2f}" if at_once else params["price"],
            client_order_id=params.get("newClientOrderId"),
            userref=None,
            status="closed" if at_once else "open",
            opened_at=now,
            closed_at=now if at_once else None,
        )

    def _get_order(self, params: Mapping[str, str]) -> Json:
        return _payload(self._found(params, self._visible(), -2013, "Order does not exist."))

    def _get_openorders(self, params: Mapping[str, str]) -> list[Json]:
        found = (order for order in self._visible() if order.status == "open")
        return [_payload(order) for order in found if params.get("symbol", order.pair) == order.pair]

    def _get_allorders(self, params: Mapping[str, str]) -> list[Json]:
        return [_payload(order) for order in self._visible() if params.get("symbol") == order.pair]

    def _delete_order(self, params: Mapping[str, str]) -> Json:
        still_open = (order for order in self._orders.values() if order.status == "open")
        order = self._found(params, still_open, -2011, "Unknown order sent.")
        self._orders[order.id] = replace(order, status="canceled", closed_at=self._now())
        return _payload(self._orders[order.id])

    def _visible(self) -> Iterator[PlacedOrder]:
        return (order for order in self._orders.values() if order.opened_at <= self._now() - self._behind)

    def _found(self, params: Mapping[str, str], among: Iterator[PlacedOrder], code: int, message: str) -> PlacedOrder:
        for order in among:
            if params.get("orderId") == order.id or params.get("origClientOrderId") == order.client_order_id:
                return order
        raise BinanceError(code, message)

    def _priced(self, id_: str) -> tuple[Market, float]:
        market = _market(id_)
        return market, market.price(self._tick)


def _market(id_: str) -> Market:
    if id_ not in _IDS:
        raise BinanceError(-1121, "Invalid symbol.")
    return _IDS[id_][0]


def _listed(id_: str) -> Json:
    market, base = _IDS[id_]
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
