"""Subscriptions that an exchange refuses, where ccxt does not report it and waits for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peak_observe.exchange_client.streams.connection import Connection

MOST = 256
"""Subscriptions of one websocket that are kept until they are answered."""

LONGEST = 200
"""Letters of a reason."""

_KRAKEN = {
    "ticker": ("ticker", "bids_asks"),
    "book": ("order_book",),
    "ohlc": ("ohlcv",),
    "trade": ("trades",),
    "executions": ("orders", "my_trades"),
    "balances": ("balance",),
}


class KrakenRefusals:
    """Refusals of Kraken, version 2, which names in its answer the number of the request, and at most one symbol.

    Source: https://docs.kraken.com/api/docs/websocket-v2/ticker, "Subscribe Response". ccxt rejects what waits for that
    number, and nobody does.

    Args:
        connection: The websocket.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked: dict[Any, Mapping[str, Any]] = {}

    def sent(self, message: Any) -> None:
        """Note a message of ccxt."""
        if type(message) is dict and message.get("method") == "subscribe" and "params" in message:
            self._asked[message.get("req_id")] = message["params"]
            if len(self._asked) > MOST:
                del self._asked[next(iter(self._asked))]

    def received(self, message: Any) -> None:
        """Note a message of the exchange."""
        if type(message) is not dict or message.get("method") != "subscribe":
            return
        asked = self._asked.get(message.get("req_id"), {})
        result = message.get("result") or {}
        symbol = message.get("symbol") or result.get("symbol")
        symbols = [symbol] if symbol else asked.get("symbol") or [""]
        for stream in _KRAKEN.get(str(asked.get("channel") or result.get("channel")), ()):
            if message.get("success"):
                self._connection.accepted(stream, symbols)
            else:
                self._connection.refused(stream, symbols, str(message.get("error"))[:LONGEST])


REFUSALS: Mapping[str, type[KrakenRefusals]] = {"kraken": KrakenRefusals}
"""Looks for refusals in a connection's messages, by ccxt's id of the exchange."""
