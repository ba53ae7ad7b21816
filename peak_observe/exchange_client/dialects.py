"""What exchanges say in their own words, where ccxt's exception classes say less, or something else.

Sources: https://docs.kraken.com/api/docs/guides/spot-errors and
https://developers.binance.com/docs/binance-spot-api-docs/errors.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """What an exchange's own error means.

    Args:
        outcome: One of `catalog.EXCHANGE_OUTCOMES`.
        refused: Whether it says that the request was surely not carried out.
        wait: Seconds to hold back if the answer names no time; None for the default.
    """

    outcome: str
    refused: bool = False
    wait: float | None = None


_LOCKOUT = 900.0
"""Seconds that Kraken's temporary lockout lasts."""

_KRAKEN_ERROR = re.compile(r"\bE(?:API|Auth|Account|Funding|General|Order|Query|Service|Trade):[^\"'\]]+")

# The longest prefix that fits decides.
_KRAKEN = {
    "EAPI:Invalid key": Rule("auth"),
    "EAPI:Invalid signature": Rule("auth"),
    "EAPI:Invalid session": Rule("auth"),
    "EAPI:Invalid nonce": Rule("clock"),
    "EAPI:Rate limit exceeded": Rule("rate_limited"),
    "EAPI:": Rule("rejected"),
    "EAccount:": Rule("rejected"),
    "EAuth:": Rule("auth"),
    "EAuth:Rate limit exceeded": Rule("rate_limited"),
    "EAuth:Too many requests": Rule("rate_limited"),
    "EFunding:": Rule("rejected"),
    "EGeneral:": Rule("rejected"),
    "EGeneral:Internal error": Rule("transient"),
    "EGeneral:Permission denied": Rule("auth"),
    "EGeneral:Temporary lockout": Rule("rate_limited", wait=_LOCKOUT),
    "EGeneral:Too many requests": Rule("rate_limited"),
    "EOrder:": Rule("rejected"),
    "EOrder:Domain rate limit exceeded": Rule("rate_limited"),
    "EOrder:Rate limit exceeded": Rule("rate_limited"),
    "EQuery:": Rule("rejected"),
    "EService:": Rule("transient"),
    "EService:Deadline elapsed": Rule("rejected"),
    "EService:Market in": Rule("maintenance"),
    "EService:Throttled": Rule("rate_limited"),
    "EService:Unavailable": Rule("maintenance"),
    "ETrade:": Rule("rejected"),
    "ETrade:User Locked": Rule("auth"),
}

_BINANCE_CODE = re.compile(r"\"code\"\s*:\s*\"?(-\d+)")
_BINANCE = {
    -1000: Rule("transient"),
    -1001: Rule("transient"),
    -1002: Rule("auth"),
    -1003: Rule("rate_limited"),
    -1006: Rule("transient"),
    -1007: Rule("transient"),
    -1008: Rule("transient", refused=True),
    -1015: Rule("rate_limited"),
    -1016: Rule("maintenance"),
    -1021: Rule("clock"),
    -1022: Rule("auth"),
    -1034: Rule("rate_limited"),
    -1099: Rule("auth"),
    -2008: Rule("auth"),
    -2014: Rule("auth"),
    -2015: Rule("auth"),
}


def rule(exchange: str, text: str) -> tuple[Rule, str] | None:
    """Return what the exchange's own error in `text` means, and the error itself; None if there is none it knows.

    Args:
        exchange: ccxt's id of the exchange.
        text: The answer's body, or the text of an exception that repeats it.
    """
    if exchange.startswith("kraken") or not exchange:
        found = _KRAKEN_ERROR.search(text)
        if found:
            prefix = max((known for known in _KRAKEN if found[0].startswith(known)), key=len)
            return _KRAKEN[prefix], found[0] if prefix.endswith(":") else prefix
    if exchange.startswith("binance"):
        coded = _BINANCE_CODE.search(text)
        known = _BINANCE.get(int(coded[1])) if coded else None
        if coded and known:
            return known, f"code {coded[1]}"
    return None


_BINANCE_LIMITS = {"x-mbx-used-weight-1m": {"f": 2400, "d": 2400, "": 6000}, "x-sapi-used-ip-weight-1m": {"": 12_000}}
"""Weight a minute that Binance allows, by the first letter of the host."""

_PAIRS = (
    ("x-bapi-limit", "x-bapi-limit-status"),
    ("gw-ratelimit-limit", "gw-ratelimit-remaining"),
    ("x-ratelimit-limit", "x-ratelimit-remaining"),
    ("ratelimit-limit", "ratelimit-remaining"),
)
"""Headers of other exchanges: the limit, and what is left of it."""


def used_ratio(exchange: str, section: str, headers: dict[str, str]) -> float | None:
    """Return the share of the rate limit that is used up, if the headers tell.

    Args:
        exchange: ccxt's id of the exchange.
        section: ccxt's name for the part of the interface, such as `fapiPublic`.
        headers: The answer's headers, with names in lower case.
    """
    if exchange.startswith("binance"):
        for header, limits in _BINANCE_LIMITS.items():
            if headers.get(header, "").isdigit():
                return int(headers[header]) / limits.get(section[:1] if "api" in section else "", limits[""])
    for allowed, left in _PAIRS:
        if headers.get(allowed, "").isdigit() and headers.get(left, "").isdigit() and int(headers[allowed]):
            return max(0.0, 1.0 - int(headers[left]) / int(headers[allowed]))
    return None


KRAKEN_COUNTER_LIMIT = 15.0
KRAKEN_COUNTER_DECAY = 0.33
"""Kraken's counter of private requests for the tier with the least: its limit, and what is taken off a second."""

_KRAKEN_COSTS = {"Ledgers": 2.0, "QueryLedgers": 2.0, "TradesHistory": 2.0, "ClosedOrders": 1.0}
_KRAKEN_FREE = ("AddOrder", "AmendOrder", "EditOrder", "CancelOrder", "CancelAll")


def kraken_cost(section: str, path: str) -> float:
    """Return what a request adds to Kraken's counter; orders have a counter of their own."""
    if section != "private" or path.startswith(_KRAKEN_FREE):
        return 0.0
    return _KRAKEN_COSTS.get(path, 1.0)
