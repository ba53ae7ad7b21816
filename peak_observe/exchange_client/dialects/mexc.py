"""Error vocabulary of MEXC: spot and contracts."""

from __future__ import annotations

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    CLOCK,
    LIMITED,
    MAINTENANCE,
    REJECTED,
    UNSURE,
    Dialect,
    Rule,
    codes,
    json_codes,
    phrase,
)

DIALECT = Dialect(
    sources=(
        "https://www.mexc.com/api-docs/spot-v3/general-info",
        "https://www.mexc.com/api-docs/futures/error-code",
    ),
    patterns=(json_codes("code"),),
    fine=frozenset(("0", "200")),
    rules={
        # 10200 "transfer operation processing", 513 "invalid request, please try again later".
        **codes(UNSURE, "500 501 503 504 513 9999 10200 10219 20002"),
        **codes(LIMITED, "429 510"),
        **codes(MAINTENANCE, "604 801 11444 30000"),
        **codes(CLOCK, "10073 700003"),
        **codes(AUTH, "401 402 406 602 10001 10072 60005 700001 700002 700006 700007 700013 140002"),
        # 700005 is a window above a minute, which no clock mends; 30020 a symbol that the account may not trade.
        **codes(REJECTED, "603 700004 700005 30020"),
    },
    phrases=(phrase(r"under maintenance", MAINTENANCE),),
    statuses={403: Rule("rate_limited", wait=300.0)},  # the web firewall's limit
)
