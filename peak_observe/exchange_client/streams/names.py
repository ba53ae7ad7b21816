"""Names of streams: one for each kind of data, the same for all exchanges, and addresses without secrets."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_ALSO = {"tickers": "ticker", "position": "positions", "funding_rate": "funding_rates", "mark_price": "mark_prices"}
_SUFFIXES = ("_for_symbols", "_for_symbol")

METHODS = (
    *("ticker", "tickers", "bids_asks", "mark_price", "mark_prices", "funding_rate", "funding_rates"),
    *("order_book", "order_book_for_symbols", "trades", "trades_for_symbols", "ohlcv", "ohlcv_for_symbols"),
    *("funding_rates_for_symbols", "liquidations", "liquidations_for_symbols"),
    *("orders", "orders_for_symbols", "my_trades", "my_trades_for_symbols", "balance", "position", "positions"),
    *("position_for_symbols", "my_liquidations", "my_liquidations_for_symbols"),
)
"""Methods of ccxt.pro that people call, without their `watch_`; the others help these."""

PRIVATE = frozenset({"orders", "my_trades", "balance", "positions", "my_liquidations"})
"""Streams of an account, which say nothing as long as nothing happens there."""

_SHORT = 16
"""Letters of a part of a path from which on it may be a listen key."""


def stream_of(method: str) -> str:
    """Return the stream of a method without `watch_`: `order_book_for_symbols` and `order_book` are one."""
    for suffix in _SUFFIXES:
        method = method.removesuffix(suffix)
    return _ALSO.get(method, method)


STREAMS = tuple(dict.fromkeys(map(stream_of, METHODS)))
"""All streams."""


def address(url: str) -> str:
    """Return an address without user, query and listen key: `stream.binance.com:9443/ws/*`."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = "/".join("*" if _may_be_key(part) else part for part in parts.path.split("/"))
    return f"{host}{path}"


def _may_be_key(part: str) -> bool:
    return len(part) >= _SHORT and re.fullmatch(r"[a-z]+(-[a-z]+)*", part) is None
