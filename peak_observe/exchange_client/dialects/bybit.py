"""Error vocabulary of Bybit: the fifth version of its interface, with the codes of older ones that it still sends."""

from __future__ import annotations

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    CLOCK,
    DUPLICATE,
    LIMITED,
    MAINTENANCE,
    NOT_DONE,
    REJECTED,
    UNIX,
    UNSURE,
    Dialect,
    Rule,
    codes,
    json_codes,
    phrase,
)

_IP_BAN = Rule("rate_limited", wait=600.0)
"""An address that asked too often is let in again after ten minutes."""

DIALECT = Dialect(
    sources=(
        "https://bybit-exchange.github.io/docs/v5/error",
        "https://bybit-exchange.github.io/docs/v5/rate-limit",
    ),
    # The parts of a batch have theirs in `retExtInfo`.
    patterns=(json_codes("retCode", "ret_code"), json_codes("code")),
    rules={
        # 170035 is "submitted to the system for processing"; 40004 "modified during replacing, check the status".
        **codes(
            UNSURE, "5004 10000 10016 40004 131200 131201 170001 170007 170032 170035 170146 170147 170234 3400214"
        ),
        **codes(NOT_DONE, "110079 170191"),
        **codes(LIMITED, "429 10006 10429 170005 170222 30035"),
        **codes(_IP_BAN, "10009 10018"),
        **codes(MAINTENANCE, "10019 110062 131084 170031 175027"),
        **codes(CLOCK, "-1021 10002"),
        **codes(AUTH, "-2015 10003 10004 10005 10007 10008 10010 10027 33004"),
        # An account of another kind, a product or a symbol it may not trade: the key is good for the rest.
        **codes(REJECTED, "10014 10024 10028 10029 100028 110065 110067 110068 110069 140065 140067 140068 140069"),
        **codes(REJECTED, "170149 170150 170201 170224 30033"),
        **codes(DUPLICATE, "12141 110030 110072 140030 170141 30001"),
    },
    phrases=(
        phrase(r"access too frequent", _IP_BAN),
        phrase(r"Request timeout|Server Timeout", UNSURE),
        phrase(r"request expired", CLOCK),
    ),
    statuses={403: _IP_BAN},
    resets={"x-bapi-limit-reset-timestamp": UNIX},
    usage=(("x-bapi-limit", "x-bapi-limit-status"),),
    container="result",
)
