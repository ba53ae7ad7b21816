"""The part of Kraken's websocket interface, version 2, that a trading client touches.

Messages have the shape of https://docs.kraken.com/api/docs/websocket-v2.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from peak_observe.testing.markets import MARKETS, Json
from peak_observe.testing.stream_session import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.testing.kraken import Kraken
    from peak_observe.testing.markets import Market
    from peak_observe.testing.spot_exchange import PlacedOrder
    from peak_observe.testing.stream_session import Subscriptions

_SYMBOLS = {f"{market.altname[:3].replace('XBT', 'BTC')}/USD": market for market in MARKETS}
_PUBLIC = ("ticker", "ohlc", "book")
_ORDERS = "executions"
_DEPTH = 10


class KrakenStreams:
    """Kraken's websockets in memory.

    Args:
        exchange: Whose orders and time they show.
    """

    def __init__(self, exchange: Kraken) -> None:
        self._exchange = exchange

    def greeting(self) -> Iterator[Message]:
        """Yield that the system is online."""
        yield Message({"channel": "status", "type": "update", "data": [{"system": "online", "api_version": "v2"}]})

    def heartbeat(self) -> Message:
        """Return the heartbeat of a connection that has nothing to say."""
        return Message({"channel": "heartbeat"}, "heartbeat")

    def answer(self, connection: Subscriptions, message: Any, number: int) -> Iterator[Message]:
        """Carry out a message of the client."""
        method, params = message.get("method"), message.get("params", {})
        about = {"method": method, "req_id": message.get("req_id")}
        if method == "ping":
            yield Message({"method": "pong", "req_id": message.get("req_id")}, "pong")
        elif method == "subscribe":
            refusal = self._refusal(params)
            if refusal:
                yield Message({**about, "success": False, "error": refusal})
                return
            yield Message({**about, "success": True, "result": {"channel": params["channel"]}})
            yield from self._subscribe(connection, params, number)
        elif method == "unsubscribe":
            gone = [(params["channel"], symbol) for symbol in params.get("symbol", [""])]
            connection.channels = {k: at for k, at in connection.channels.items() if k[:2] not in gone}
            yield Message({**about, "success": True, "result": {"channel": params["channel"]}})

    def _refusal(self, params: Json) -> str:
        channel, symbols = params.get("channel"), params.get("symbol")
        if channel == _ORDERS:
            return "" if params.get("token") == self._exchange.token else "EAccount:Invalid permissions"
        if channel not in _PUBLIC:
            return f"Channel not supported: {channel}"
        unknown = [s for s in symbols if s not in _SYMBOLS] if isinstance(symbols, list) else [str(symbols)]
        return f"Currency pair not supported {unknown[0]}" if unknown else ""

    def _subscribe(self, connection: Subscriptions, params: Any, number: int) -> Iterator[Message]:
        channel = params["channel"]
        if channel == _ORDERS:
            connection.channels[_ORDERS, ""] = number
            connection.seen = len(self._exchange.changes)
            standing = [order for order in self._exchange.orders if order.status == "open"]
            yield self._executions(connection, [_execution(order) for order in standing], "snapshot")
            return
        for symbol in params["symbol"]:
            minutes = str(params.get("interval", 1)) if channel == "ohlc" else ""
            connection.channels[channel, symbol, minutes] = number
            yield self._public(channel, symbol, minutes, number, None)

    def updates(self, connection: Subscriptions, number: int) -> Iterator[Message]:
        """Yield one message for each subscription that has something new."""
        for key, before in list(connection.channels.items()):
            if key[0] == _ORDERS:
                changes = self._exchange.changes[connection.seen :]
                connection.seen += len(changes)
                if changes:
                    yield self._executions(connection, [_execution(order) for order in changes], "update")
            elif number > before:
                connection.channels[key] = number
                channel, symbol, minutes = key
                yield self._public(channel, symbol, minutes, number, before)

    def _executions(self, connection: Subscriptions, data: list[Json], kind: str) -> Message:
        connection.sequence += 1
        payload = {"channel": _ORDERS, "type": kind, "data": data, "sequence": connection.sequence}
        return Message(payload, _ORDERS)

    def _public(self, channel: str, symbol: str, minutes: str, number: int, before: int | None) -> Message:
        market = _SYMBOLS[symbol]
        data: Json = {"symbol": symbol}
        if channel == "ticker":
            data |= _ticker(market, number)
        elif channel == "ohlc":
            data |= self._candle(market, int(minutes))
        else:
            data |= _book(market, number, before)
        kind = "snapshot" if before is None else "update"
        return Message({"channel": channel, "type": kind, "data": [data]}, channel)

    def _candle(self, market: Market, minutes: int) -> Json:
        begin, opened, high, low, close, *_ = market.candle(self._exchange.last_candle(minutes), minutes)
        prices = {"open": opened, "high": high, "low": low, "close": close}
        return {
            **{name: float(str(price)) for name, price in prices.items()},
            "trades": 20,
            "volume": 10.0,
            "vwap": float(str(close)),
            "interval_begin": _iso(float(str(begin))),
            "interval": minutes,
            "timestamp": _iso(float(str(begin)) + minutes * 60),
        }


def _ticker(market: Market, number: int) -> Json:
    price, step = market.price(number), 10.0**-market.decimals
    return {
        "bid": round(price - step, market.decimals),
        "bid_qty": 1.0,
        "ask": round(price + step, market.decimals),
        "ask_qty": 1.0,
        "last": price,
        "volume": 1000.0,
        "vwap": market.start,
        "low": market.start * 0.99,
        "high": market.start * 1.01,
        "change": 0.0,
        "change_pct": 0.0,
    }


def _book(market: Market, number: int, before: int | None) -> Json:
    """Return the levels that changed after the update `before`, all of them for None, and the checksum of all."""
    sides = {"asks": _levels(market, number, 1), "bids": _levels(market, number, -1)}
    changed = set(range(_DEPTH))
    if before is not None:
        changed = {update % _DEPTH for update in range(max(before, number - _DEPTH) + 1, number + 1)}
    data: Json = {
        side: [{"price": float(p), "qty": float(q)} for level, (p, q) in enumerate(levels) if level in changed]
        for side, levels in sides.items()
    }
    text = "".join(figure.replace(".", "").lstrip("0") for levels in sides.values() for pq in levels for figure in pq)
    return {**data, "checksum": zlib.crc32(text.encode()), "timestamp": _iso(datetime.now(UTC).timestamp())}


def _levels(market: Market, number: int, sign: int) -> list[tuple[str, str]]:
    # Figures end in no zero, so that a client that reads them as floats comes to the same checksum.
    scale = 10**market.decimals
    middle = round(market.start * scale) // 2 * 2
    levels = []
    for level in range(_DEPTH):
        changed = number - (number - level) % _DEPTH
        price = (middle + sign * (2 * level + 1)) / scale
        levels.append((f"{price:.{market.decimals}f}", f"{1 + (10 * changed % 10**6 + 1) / 1e8:.8f}"))
    return levels


def _execution(order: PlacedOrder) -> Json:
    symbol = next(s for s, market in _SYMBOLS.items() if order.pair in (market.altname, market.id, market.wsname))
    status = {"open": "new", "closed": "filled", "canceled": "canceled"}[order.status]
    filled = float(order.volume) if order.status == "closed" else 0.0
    return {
        "order_id": order.id,
        "order_userref": order.userref or 0,
        "cl_ord_id": order.client_order_id,
        "symbol": symbol,
        "order_qty": float(order.volume),
        "cum_qty": filled,
        "cum_cost": filled * float(order.price),
        "avg_price": float(order.price) if filled else 0.0,
        "limit_price": float(order.price),
        "exec_type": status,
        "order_status": status,
        "order_type": order.kind,
        "side": order.side,
        "time_in_force": "GTC",
        "fee_usd_equiv": 0.0,
        "timestamp": _iso(order.closed_at or order.opened_at),
    }


def _iso(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
