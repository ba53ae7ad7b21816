"""The purpose of a request or method of ccxt: its label, its circuit's group, and whether it changes something."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from peak_observe.exchange_client import reviews

if TYPE_CHECKING:
    from collections.abc import Iterable

PUBLIC, PRIVATE, TRADE = reviews.PUBLIC, reviews.PRIVATE, "trade"
WRITE = reviews.WRITE
GROUPS = (PUBLIC, PRIVATE, TRADE)
"""Each has a breaker of its own: prices may fail while orders still go through, and the other way round."""


def snake(name: str) -> str:
    """Return a method's name as Python writes it: `fetchOrderBook` is `fetch_order_book`."""
    name = name.replace("OHLCV", "Ohlcv")
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def label(path: str, api: str | Iterable[str], method: str) -> str:
    """Return the endpoint of a request by ccxt's table: `GET public/Ticker`; ids are still names in braces there."""
    sections = api if isinstance(api, str) else "/".join(map(str, api))
    return f"{method.upper()} {sections}/{path}"


def section(api: str | Iterable[str]) -> str:
    """Return the part of the interface that a request belongs to."""
    return api if isinstance(api, str) else next(iter(api), "")


def effect(label: str, *, exchange: str) -> str | None:
    """Return what a request does: `read` or `write` as a person judged it, None if nobody has.

    Args:
        label: Its endpoint, as `label` makes it.
        exchange: ccxt's id.
    """
    return reviews.endpoint_effects(exchange).get(label)


def is_write(label: str, *, exchange: str) -> bool:
    """Return whether a request may change something, by any HTTP method; one that nobody judged may.

    Args:
        label: Its endpoint, as `label` makes it.
        exchange: ccxt's id.
    """
    return effect(label, exchange=exchange) != reviews.READ


def group(name: str) -> str:
    """Return the group of a method by its name in snake case: whose breaker it passes."""
    kind = reviews.method_kind(name)
    return TRADE if kind in (reviews.WRITE, reviews.CANCEL) else PUBLIC if kind == PUBLIC else PRIVATE


def request_group(*, write: bool, api: str | Iterable[str]) -> str:
    """Return the group of a request, by whether it may change something and by its part of the interface."""
    return TRADE if write else PUBLIC if "ublic" in section(api) else PRIVATE


def writes(name: str) -> bool:
    """Return whether a unified method changes something."""
    return reviews.method_kind(name) in (reviews.WRITE, reviews.CANCEL)


def cancels(name: str) -> bool:
    """Return whether a unified method cancels orders, which no open circuit may prevent."""
    return reviews.method_kind(name) == reviews.CANCEL


def streams(name: str) -> bool:
    """Return whether a method reads over a websocket, where neither circuits nor retries help."""
    return reviews.method_kind(name) == reviews.STREAM


def over_websocket(name: str) -> bool:
    """Return whether a method sends its request over a websocket of ccxt.pro."""
    return name.endswith("_ws")


def unified(name: str) -> bool:
    """Return whether a method asks the exchange one thing and is protected by its name."""
    return reviews.method_kind(name) not in (reviews.STREAM, reviews.UNPROTECTED)


def judged(name: str) -> bool:
    """Return whether somebody judged a method of this name, so that it is not known by its first word alone."""
    return name in reviews.method_kinds()
