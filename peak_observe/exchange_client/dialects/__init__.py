"""The error vocabularies of exchanges, one module each, loaded when an exchange is first used.

An exchange without a module of its own is understood by general rules: ccxt's exception classes, the HTTP status, and
words that mean the same everywhere.
"""

from __future__ import annotations

import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.exchange_client.dialects.dialect import Dialect, Rule

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["GENERAL", "HOUSES", "Dialect", "Rule", "exchange_in", "of", "usage_window", "used_ratio"]

HOUSES = ("binance", "bitget", "bybit", "coinbase", "gate", "hyperliquid", "kraken", "kucoin", "mexc", "okx")
"""The exchanges with a module; their other ids in ccxt begin with the same letters, such as `binanceusdm`.

An id with a vocabulary of its own has a constant of its name in the module."""

_OTHER_IDS = {"myokx": "okx", "okex": "okx", "okex5": "okx"}

GENERAL = Dialect(
    usage=(
        ("x-ratelimit-limit", "x-ratelimit-remaining"),
        ("x-rate-limit-limit", "x-rate-limit-remaining"),
        ("ratelimit-limit", "ratelimit-remaining"),
    ),
    resets=dict.fromkeys(
        ("x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset", "x-ratelimit-reset-after"), 1.0
    ),
)
"""What any exchange may send."""

_ID = re.compile(r"\s*([a-z][a-z0-9]+) ")


class UsageWindow(NamedTuple):
    """Window of a limit that an exchange counts: its length, and what is left of it, in seconds."""

    seconds: float
    left: float


@lru_cache(maxsize=256)
def of(exchange: str) -> Dialect:
    """Return the vocabulary of an exchange, `GENERAL` if it has no module.

    Args:
        exchange: ccxt's id of the exchange.
    """
    house = next((house for house in HOUSES if exchange.startswith(house)), _OTHER_IDS.get(exchange))
    if house is None:
        return GENERAL
    module = import_module(f"{__name__}.{house}")
    found = getattr(module, exchange.upper(), module.DIALECT)
    assert isinstance(found, Dialect)  # noqa: S101 - for the type checker
    return found


def exchange_in(text: str) -> str:
    """Return the exchange's id with which ccxt begins the text of an exception; empty if there is none."""
    found = _ID.match(text)
    return found[1] if found else ""


def used_ratio(exchange: str, section: str, headers: dict[str, str]) -> float | None:
    """Return the share of the rate limit that is used up, if the headers tell.

    Args:
        exchange: ccxt's id of the exchange.
        section: ccxt's name for the part of the interface, such as `fapiPublic`.
        headers: The answer's headers, with names in lower case.
    """
    if exchange.startswith("binance"):
        from peak_observe.exchange_client.dialects import binance

        ratio = binance.used_ratio(section, headers)
        if ratio is not None:
            return ratio
    for allowed, left in (*of(exchange).usage, *GENERAL.usage):
        if headers.get(allowed, "").isdigit() and headers.get(left, "").isdigit() and int(headers[allowed]):
            return max(0.0, 1.0 - int(headers[left]) / int(headers[allowed]))
    return None


def usage_window(exchange: str, headers: dict[str, str], now: datetime) -> UsageWindow | None:
    """Return the window of the limit that `used_ratio` tells of, where it is one for the whole exchange.

    Of Bybit and Gate each endpoint has a limit of its own, which says nothing of the others.

    Args:
        exchange: ccxt's id of the exchange.
        headers: The answer's headers, with names in lower case.
        now: The time of our clock, for answers without a date.
    """
    if exchange.startswith("binance"):
        with suppress(ValueError):
            now = parsedate_to_datetime(headers.get("date", ""))
        return UsageWindow(60.0, 59.0 - now.second)  # the header cuts off the fraction: rather too early than too late
    left = headers.get("gw-ratelimit-reset", "")
    if exchange.startswith("kucoin") and left.isdigit():
        return UsageWindow(30.0, min(30.0, int(left) / 1000))
    return None
