"""The part of Binance's spot websockets that a trading client touches: market streams, and the user data stream.

Messages have the shape of https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from peak_observe.testing.binance import MINUTES, SYMBOL_IDS
from peak_observe.testing.markets import Json
from peak_observe.testing.spot_exchange import API_KEY
from peak_observe.testing.stream_session import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.testing.binance import Binance
    from peak_observe.testing.spot_exchange import PlacedOrder
    from peak_observe.testing.stream_session import Subscriptions

_CHANNELS = {"ticker": "ticker", "miniTicker": "ticker", "kline": "kline", "depth": "depth"}
_ORDERS = "executionReport"
_EARLY = 1000


class BinanceStreams:
    """Binance's websockets in memory.

    Args:
        exchange: Whose orders and time they show.
    """

    def __init__(self, exchange: Binance) -> None:
        self._exchange = exchange

    def greeting(self) -> tuple[Message, ...]:
        """Return nothing: Binance waits for the client."""
        return ()

    def heartbeat(self) -> None:
        """Return None: Binance says nothing where there is nothing."""

    def answer(self, connection: Subscriptions, message: Any, number: int) -> Iterator[Message]:
        """Carry out a message of the client."""
        method, params, id_ = message.get("method"), message.get("params", []), message.get("id")
        if method == "userDataStream.subscribe.signature":
            yield self._sign_in(connection, params, id_, number)
        elif method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            unknown = [stream for stream in params if _parsed(stream) is None]
            if unknown:
                yield Message({"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": id_})
                return
            yield Message({"result": None, "id": id_})
            self._subscribe(connection, map(_parsed, params), number, on=method == "SUBSCRIBE")

    def _sign_in(self, connection: Subscriptions, params: Any, id_: Any, number: int) -> Message:
        late = self._exchange.milliseconds() - int(params.get("timestamp", 0))
        if params.get("apiKey") != API_KEY or "signature" not in params or abs(late) > 5 * _EARLY:
            error = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
            return Message({"id": id_, "status": 401, "error": error})
        connection.channels[_ORDERS, ""] = number
        connection.seen = len(self._exchange.changes)
        return Message({"id": id_, "status": 200, "result": {"subscriptionId": 0}})

    def _subscribe(self, connection: Subscriptions, keys: Any, number: int, *, on: bool) -> None:
        for key in keys:
            if on:
                connection.channels.setdefault(key, number)
            else:
                connection.channels.pop(key, None)

    def updates(self, connection: Subscriptions, number: int) -> Iterator[Message]:
        """Yield one message for each subscription that has something new."""
        for key, before in list(connection.channels.items()):
            if key[0] == _ORDERS:
                changes = self._exchange.changes[connection.seen :]
                connection.seen += len(changes)
                for order in changes:
                    yield Message({"subscriptionId": 0, "event": self._report(order)}, _ORDERS)
            elif number > before:
                connection.channels[key] = number
                kind, id_, detail = key
                yield Message(self._event(kind, id_, detail, number, before), _CHANNELS[kind])

    def _event(self, kind: str, id_: str, detail: str, number: int, before: int) -> Json:
        about: Json = {"E": self._exchange.milliseconds(), "s": id_}
        market, _ = SYMBOL_IDS[id_]
        if kind == "kline":
            return {"e": "kline", **about, "k": self._candle(id_, detail)}
        if kind == "depth":
            step, changed = 10.0**-market.decimals, number % 10 + 1
            asks, bids = ([[f"{market.start + sign * step * changed:.2f}", "1.5"]] for sign in (1, -1))
            return {"e": "depthUpdate", **about, "U": before + 1, "u": number, "b": bids, "a": asks}
        price, step = market.price(number), 10.0**-market.decimals
        shared = {"c": f"{price:.2f}", "o": f"{market.start:.2f}", "h": f"{market.start * 1.01:.2f}"}
        shared |= {"l": f"{market.start * 0.99:.2f}", "v": "1000.0", "q": "60000000.0"}
        if kind == "miniTicker":
            return {"e": "24hrMiniTicker", **about, **shared}
        quotes = {"b": f"{price - step:.2f}", "B": "1.0", "a": f"{price + step:.2f}", "A": "1.0"}
        return {"e": "24hrTicker", **about, **shared, **quotes, "p": "0", "P": "0", "w": shared["o"], "C": about["E"]}

    def _candle(self, id_: str, interval: str) -> Json:
        market, minutes = SYMBOL_IDS[id_][0], MINUTES[interval]
        begin, opened, high, low, close, *_ = market.candle(self._exchange.last_candle(minutes), minutes)
        start = int(str(begin)) * 1000
        prices = {"o": opened, "h": high, "l": low, "c": close}
        span = {"t": start, "T": start + minutes * 60_000 - 1}
        return {**span, "s": id_, "i": interval, **prices, "v": "10.0", "n": 20, "x": False, "q": "0"}

    def _report(self, order: PlacedOrder) -> Json:
        kinds = {"open": ("NEW", "NEW"), "closed": ("TRADE", "FILLED"), "canceled": ("CANCELED", "CANCELED")}
        execution, status = kinds[order.status]
        filled = order.volume if order.status == "closed" else "0.0"
        return {
            "e": _ORDERS,
            "E": int(time.time() * 1000),
            "s": order.pair,
            "c": order.client_order_id or "",
            "S": order.side.upper(),
            "o": order.kind.upper(),
            "f": "GTC",
            "q": order.volume,
            "p": order.price,
            "C": "",
            "x": execution,
            "X": status,
            "i": int(order.id),
            "l": filled,
            "z": filled,
            "L": order.price if filled != "0.0" else "0.0",
            "n": "0",
            "N": None,
            "T": int((order.closed_at or order.opened_at) * 1000),
            "t": int(order.id) if filled != "0.0" else -1,
            "O": int(order.opened_at * 1000),
            "Z": f"{float(filled) * float(order.price):.8f}",
        }


def _parsed(stream: str) -> tuple[str, str, str] | None:
    """Return kind, market and interval of a stream such as `btcusdt@kline_1m`; None for one that is not known."""
    id_, _, rest = stream.partition("@")
    kind, _, detail = rest.partition("@")[0].partition("_")
    known = id_.upper() in SYMBOL_IDS and kind in _CHANNELS and (kind != "kline" or detail in MINUTES)
    return (kind, id_.upper(), detail) if known else None
