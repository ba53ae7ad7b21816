"""The part of OKX's v5 REST interface for spot that a trading client touches, kept in memory.

Payloads have the shape of https://www.okx.com/docs-v5/en/. Nothing here knows about HTTP but the status of an error.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from peak_observe.testing.loopback import Reply
from peak_observe.testing.markets import USDT_BALANCES, USDT_MARKETS, Json
from peak_observe.testing.spot_exchange import API_KEY, SECRET, PlacedOrder, Refusal, SpotExchange, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peak_observe.testing.loopback import Call
    from peak_observe.testing.markets import Market

    Params = Mapping[str, str]

PASSPHRASE = "fake-passphrase"  # noqa: S105 - a fake one for a fake exchange
_IDS = {f"{base}-USDT": (market, base) for base, market in USDT_MARKETS.items()}
_MINUTES = {"m": 1, "H": 60, "D": 1440, "W": 10_080}
_WINDOW = 30.0
"""Seconds that a request's time may differ from the exchange's."""

_SHORTEST_TIMER, _LONGEST_TIMER = 10, 120
"""Seconds after which all orders can be cancelled."""

_STATES = {"open": "live", "closed": "filled", "canceled": "canceled"}


class Okx(SpotExchange):
    """OKX's spot exchange in memory."""

    exchange_id = "okx"
    no_endpoint = ("50404", "The requested path does not exist.", 404)
    malformed = ("51000", "Parameter error", 400)

    def config(self, url: str) -> dict[str, Any]:
        """Return a new configuration for `ccxt.okx`, spot markets only."""
        return {
            "urls": {"api": {"rest": url}},
            "apiKey": API_KEY,
            "secret": SECRET,
            "password": PASSPHRASE,
            "has": {"fetchCurrencies": False},
            "options": {"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"},
        }

    def name(self, call: Call) -> str:
        """Return the endpoint's name: the method, and the path without its version."""
        return f"{call.method} {call.path.partition('/v5/')[2]}"

    def authenticate(self, call: Call) -> None:
        """Check key, signature and time of a private request."""
        self._body = call.text.rpartition("\n")[2]
        headers = {name.lower(): value for name, value in call.headers.items()}
        if call.path.split("/")[3] in ("public", "market", "system"):
            return
        if headers.get("ok-access-key") != API_KEY:
            raise Refusal("50111", "Invalid OK-ACCESS-KEY", 401)
        if headers.get("ok-access-passphrase") != PASSPHRASE:
            raise Refusal("50105", "Request header OK-ACCESS-PASSPHRASE incorrect.", 401)
        if not headers.get("ok-access-sign"):
            raise Refusal("50113", "Invalid Sign", 401)
        sent = datetime.fromisoformat(headers.get("ok-access-timestamp", "1970-01-01T00:00:00Z")).timestamp()
        if abs(self.now() - sent) > _WINDOW:
            raise Refusal("50102", "Timestamp request expired", 401)

    def reply(self, result: Any) -> Reply:
        """Return the answer to a request that was carried out."""
        return Reply({"code": "0", "msg": "", "data": result})

    def refuse(self, refusal: Refusal) -> Reply:
        """Return the answer to a request that was refused; what concerns an order has its code beside the order."""
        if refusal.status != 200:  # noqa: PLR2004 - HTTP's OK
            return Reply({"code": refusal.code, "msg": refusal.message, "data": []}, refusal.status)
        order = {"clOrdId": "", "ordId": "", "tag": "", "sCode": refusal.code, "sMsg": refusal.message}
        return Reply({"code": "1", "msg": "All operations failed", "data": [order]})

    def _get_public_time(self, _: Params) -> list[Json]:
        return [{"ts": str(self.milliseconds())}]

    def _get_system_status(self, _: Params) -> list[Json]:
        return []

    def _get_public_instruments(self, _: Params) -> list[Json]:
        return [_listed(id_) for id_ in _IDS]

    def _get_market_ticker(self, params: Params) -> list[Json]:
        self._tick += 1
        return [self._ticker(params.get("instId", ""))]

    def _get_market_tickers(self, _: Params) -> list[Json]:
        self._tick += 1
        return [self._ticker(id_) for id_ in _IDS]

    def _ticker(self, id_: str) -> Json:
        market = _market(id_)
        (ask,), (bid,) = self.levels(market, 1)
        return {
            "instType": "SPOT",
            "instId": id_,
            "last": f"{market.price(self._tick):.2f}",
            "askPx": ask,
            "askSz": "1",
            "bidPx": bid,
            "bidSz": "1",
            "open24h": f"{market.start:.2f}",
            "high24h": f"{market.start * 1.01:.2f}",
            "low24h": f"{market.start * 0.99:.2f}",
            "vol24h": "1000",
            "volCcy24h": "60000000",
            "ts": str(self.milliseconds(self._behind)),
        }

    def _get_market_candles(self, params: Params) -> list[list[object]]:
        market, bar = _market(params.get("instId", "")), params.get("bar", "1m").removesuffix("utc")
        minutes = int(bar[:-1]) * _MINUTES[bar[-1]]
        first = int(params["before"]) // (minutes * 60_000) + 1 if "before" in params else None
        candles = self.candles(market, minutes, first=first, limit=int(params.get("limit", "100")))
        return [[str(int(str(c[0])) * 1000), *c[1:5], c[6], "0", "0", "1"] for c in reversed(candles)]

    _get_market_history_candles = _get_market_candles

    def _get_market_books(self, params: Params) -> list[Json]:
        asks, bids = self.levels(_market(params.get("instId", "")), int(params.get("sz", "10")))
        book = {"asks": [[price, "1", "0", "1"] for price in asks], "bids": [[price, "1", "0", "1"] for price in bids]}
        return [{**book, "ts": str(self.milliseconds())}]

    def _get_account_balance(self, _: Params) -> list[Json]:
        details = [
            {
                "ccy": coin,
                "eq": f"{amount:.8f}",
                "availEq": f"{amount:.8f}",
                "availBal": f"{amount:.8f}",
                "frozenBal": "0",
            }
            for coin, amount in USDT_BALANCES.items()
        ]
        return [{"uTime": str(self.milliseconds()), "details": details}]

    def _post_trade_batch_orders(self, _: Params) -> list[Json]:
        return [_receipt(self._placed(order)) for order in json.loads(self._body)]

    def _post_trade_order(self, params: Params) -> list[Json]:
        return [_receipt(self._placed(params))]

    def _placed(self, params: Params) -> PlacedOrder:
        market = _market(params.get("instId", ""))
        if float(params.get("sz", "0")) < float(market.minimum):
            raise Refusal("51020", "Your order should meet or exceed the minimum order amount.")
        if self.is_taken(params.get("clOrdId")):
            raise Refusal("51016", "Client order ID already exists.")
        order = self.make_order(
            market,
            id=str(1_000_000_000 + len(self._orders)),
            pair=params["instId"],
            side=params.get("side", ""),
            kind=params.get("ordType", ""),
            volume=params["sz"],
            price=params.get("px"),
            client_order_id=params.get("clOrdId"),
        )
        return self.place(order)

    def _post_trade_cancel_order(self, params: Params) -> list[Json]:
        order = named(self.live(), params.get("ordId"), params.get("clOrdId"))
        if order is None:
            raise Refusal("51400", "Cancellation failed as the order has been filled, canceled or does not exist.")
        return [_receipt(self.cancel(order))]

    def _post_trade_amend_order(self, params: Params) -> list[Json]:
        order = named(self.live(), params.get("ordId"), params.get("clOrdId"))
        unknown = Refusal("51503", "Order modification failed as the order does not exist.")
        return [_receipt(self.amend(order, unknown, volume=params.get("newSz"), price=params.get("newPx")))]

    def _get_trade_order(self, params: Params) -> list[Json]:
        order = named(self.visible(), params.get("ordId"), params.get("clOrdId"))
        if order is None:
            raise Refusal("51603", "Order does not exist", 400)
        return [_payload(order)]

    def _get_trade_orders_pending(self, params: Params) -> list[Json]:
        return [_payload(order) for order in self.visible("open") if params.get("instId", order.pair) == order.pair]

    def _post_trade_cancel_all_after(self, params: Params) -> list[Json]:
        seconds = int(params["timeOut"])
        if seconds and not _SHORTEST_TIMER <= seconds <= _LONGEST_TIMER:
            raise Refusal(*self.malformed)
        at = self.set_timer(seconds)
        return [{"triggerTime": str(int(at * 1000)), "tag": "", "ts": str(self.milliseconds())}]


def _market(id_: str) -> Market:
    if id_ not in _IDS:
        raise Refusal("51001", "Instrument ID does not exist", 400)
    return _IDS[id_][0]


def _listed(id_: str) -> Json:
    market, base = _IDS[id_]
    return {
        "instType": "SPOT",
        "instId": id_,
        "baseCcy": base,
        "quoteCcy": "USDT",
        "state": "live",
        "lotSz": "0.00001",
        "tickSz": f"{10.0**-market.decimals:.8f}",
        "minSz": market.minimum,
        "maxLmtSz": "9000",
        "lever": "1",
        "instIdCode": list(_IDS).index(id_) + 1,
    }


def _receipt(order: PlacedOrder) -> Json:
    return {"clOrdId": order.client_order_id or "", "ordId": order.id, "tag": "", "sCode": "0", "sMsg": ""}


def _payload(order: PlacedOrder) -> Json:
    closed = order.status == "closed"
    return {
        "instType": "SPOT",
        "instId": order.pair,
        "ordId": order.id,
        "clOrdId": order.client_order_id or "",
        "px": order.price,
        "sz": order.volume,
        "ordType": order.kind,
        "side": order.side,
        "state": _STATES[order.status],
        "accFillSz": order.volume if closed else "0",
        "avgPx": order.price if closed else "",
        "fee": "0",
        "feeCcy": "USDT",
        "cTime": str(int(order.opened_at * 1000)),
        "uTime": str(int((order.closed_at or order.opened_at) * 1000)),
    }
