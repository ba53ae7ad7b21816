"""Error vocabulary of KuCoin: spot, margin and futures."""

from __future__ import annotations

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    CLOCK,
    DUPLICATE,
    LIMITED,
    MAINTENANCE,
    NOT_DONE,
    REJECTED,
    UNSURE,
    Dialect,
    Rule,
    codes,
    json_codes,
    phrase,
)

_POOL = 30.0
"""Seconds after which the pool of requests is full again."""

DIALECT = Dialect(
    sources=(
        "https://www.kucoin.com/docs-new/error-code",
        "https://www.kucoin.com/docs-new/rate-limit",
    ),
    patterns=(json_codes("code"),),
    fine=frozenset(("200", "200000")),
    rules={
        # 130202 also means "a timeout has occurred, the system is processing"; 400400 "service exception".
        **codes(UNSURE, "500 126038 126039 130202 135005 135018 230005 400400 408000 500000"),
        **codes(NOT_DONE, "102428"),
        **codes(LIMITED, "429 429000"),
        **codes(MAINTENANCE, "503 200001 200002 126007 126009 126010 600203"),
        **codes(CLOCK, "126041 400002"),
        **codes(AUTH, "401 400001 400003 400004 400005 400006 400007 400401 411100"),
        # Products and rules that the account may not use; the key is good for the rest.
        **codes(REJECTED, "126005 130201 130302 400200 400303 400500 400700"),
        **codes(DUPLICATE, "102426 126033 126044 300018"),
    },
    phrases=(
        phrase(r"exceeded the access frequency", LIMITED),
        phrase(r"clientOid[^\"]{0,20}(?:duplicat|already exist)", DUPLICATE),
    ),
    statuses={403: Rule("rate_limited", wait=_POOL), 503: Rule("maintenance")},
    resets={"gw-ratelimit-reset": 0.001},
    usage=(("gw-ratelimit-limit", "gw-ratelimit-remaining"),),
    container="data",
)
