"""Error vocabulary of Binance: spot, margin, both futures, options, portfolio margin, and Binance US.

The codes are shared by all parts, the words are not. Where two parts give one code two meanings (-1004, -2021, -5041)
ccxt's class, which knows the part, decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    CLOCK,
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

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIREWALL = Rule("rate_limited", wait=300.0)
"""The web firewall lets an address in again after minutes."""

DIALECT = Dialect(
    sources=(
        "https://developers.binance.com/docs/binance-spot-api-docs/errors",
        "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-api-information",
        "https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code",
        "https://developers.binance.com/docs/derivatives/coin-margined-futures/error-code",
        "https://developers.binance.com/docs/derivatives/portfolio-margin/error-code",
        "https://developers.binance.com/docs/margin_trading/error-code",
    ),
    patterns=(json_codes("code"),),
    fine=frozenset(("0", "200", "000000")),
    rules={
        # -1006 and -1007 say "execution status unknown"; -1000 and -1001 come with HTTP 5xx, of which the same is said.
        **codes(UNSURE, "-1000 -1001 -1006 -1007 -3000 -3044 -4078"),
        **codes(NOT_DONE, "-1008 -3007"),
        **codes(LIMITED, "-1003 -1015 -1034 -4005"),
        **codes(MAINTENANCE, "-1016 -10001"),
        **codes(CLOCK, "-1021 -4188 -5028"),
        **codes(AUTH, "-1002 -1022 -1099 -2008 -2014 -2015"),
        # The matching engine's refusals, which ccxt has as failed operations; an unknown listen key is no refused key.
        **codes(REJECTED, "-1010 -1112 -1125 -2010 -2018 -2019 -2020 -2022 -2023"),
        **codes(Rule("rejected", duplicate=True), "-4116 -20132"),
    },
    phrases=(
        phrase(r"system is under maintenance", MAINTENANCE),
        phrase(r"Too many requests\. Please try again later", LIMITED),
        phrase(r"WAF limit", _FIREWALL),
    ),
    statuses={403: _FIREWALL},
    empty=("fastwithdrawswitch",),
)

_WEIGHTS = {"x-mbx-used-weight-1m": {"f": 2400, "d": 2400, "": 6000}, "x-sapi-used-ip-weight-1m": {"": 12_000}}
"""Weight a minute that Binance allows, by the first letter of the host."""


def used_ratio(section: str, headers: Mapping[str, str]) -> float | None:
    """Return the share of the weight a minute that is used up, if the headers tell; see `dialects.used_ratio`."""
    for header, limits in _WEIGHTS.items():
        if headers.get(header, "").isdigit():
            return int(headers[header]) / limits.get(section[:1] if "api" in section else "", limits[""])
    return None
