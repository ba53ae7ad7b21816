"""Error vocabulary of Kraken, spot and futures: words for codes, a counter of requests for headers."""

from __future__ import annotations

import re
from dataclasses import replace

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    DUPLICATE,
    LIMITED,
    MAINTENANCE,
    NONCE,
    REJECTED,
    UNSURE,
    Dialect,
    RequestCounter,
    Rule,
    codes,
    phrase,
)

_LOCKOUT = 900.0
"""Seconds that the temporary lockout after too many refused keys lasts."""

_FUTURES = {
    **codes(UNSURE, "unavailable Unavailable unknownError"),
    "Server Error": UNSURE,
    **codes(LIMITED, "apiLimitExceeded"),
    **codes(MAINTENANCE, "marketSuspended"),
    **codes(NONCE, "nonceBelowThreshold nonceDuplicate"),
    **codes(AUTH, "authenticationError"),
    **codes(DUPLICATE, "clientOrderIdAlreadyExist"),
}

_COSTS = {"Ledgers": 2.0, "QueryLedgers": 2.0, "TradesHistory": 2.0, "ClosedOrders": 1.0}
_FREE = ("AddOrder", "AmendOrder", "EditOrder", "CancelOrder", "CancelAll")


def _cost(section: str, path: str) -> float:
    """Return how much a request adds to the counter; orders have a counter of their own."""
    if section != "private" or path.startswith(_FREE):
        return 0.0
    return _COSTS.get(path, 1.0)


DIALECT = Dialect(
    sources=(
        "https://docs.kraken.com/api/docs/guides/spot-errors",
        "https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits",
        "https://docs.kraken.com/api/docs/guides/futures-errors",
    ),
    patterns=(
        re.compile(r"\b(E(?:API|Auth|Account|Database|Funding|General|Order|Query|Service|Session|Trade):[^\"'\]]+)"),
        re.compile(r'"(?:error|message|status)"\s*:\s*"([A-Za-z][^"]*)"'),
    ),
    prefixes=True,
    rules={
        "EAPI:Invalid key": AUTH,
        "EAPI:Invalid signature": AUTH,
        "EAPI:Invalid session": AUTH,
        "EAPI:Invalid nonce": NONCE,
        "EAPI:Rate limit exceeded": LIMITED,
        "EAPI:": REJECTED,
        "EAccount:": REJECTED,
        "EAuth:": AUTH,
        "EAuth:Rate limit exceeded": LIMITED,
        "EAuth:Too many requests": LIMITED,
        "EDatabase:": UNSURE,
        "EFunding:": REJECTED,
        "EGeneral:": REJECTED,
        "EGeneral:Internal error": UNSURE,
        "EGeneral:Permission denied": AUTH,
        "EGeneral:Temporary lockout": Rule("rate_limited", wait=_LOCKOUT),
        "EGeneral:Too many requests": LIMITED,
        "EOrder:": REJECTED,
        "EOrder:Domain rate limit exceeded": LIMITED,
        "EOrder:Rate limit exceeded": LIMITED,
        "EQuery:": REJECTED,
        "EService:": UNSURE,
        # The matching engine does not take an order whose deadline has passed.
        "EService:Deadline elapsed": REJECTED,
        "EService:Market in": MAINTENANCE,
        "EService:Throttled": LIMITED,
        "EService:Unavailable": MAINTENANCE,
        "ESession:": AUTH,
        "ETrade:": REJECTED,
        "ETrade:User Locked": AUTH,
        **_FUTURES,
    },
    phrases=(phrase(r"EOrder:[^\"']*(?:duplicate|already (?:exists|used|in use))[^\"']*", DUPLICATE),),
    container="result",
    partial=re.compile(r'"orders"\s*:.*"txid"', re.DOTALL),
    plain=("retrieveexport",),
    # Of the tier with the least.
    counter=RequestCounter(limit=15.0, decay=0.33, cost=_cost),
)

KRAKENFUTURES = replace(DIALECT, container="", counter=None)
