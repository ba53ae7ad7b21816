"""Error vocabulary of Gate: a label in each error."""

from __future__ import annotations

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    CLOCK,
    DUPLICATE,
    LIMITED,
    REJECTED,
    UNIX,
    UNSURE,
    Dialect,
    codes,
    json_codes,
)

DIALECT = Dialect(
    sources=(
        "https://www.gate.com/docs/developers/apiv4/en/#error-handling",
        "https://www.gate.com/docs/developers/apiv4/en/#frequency-limit-rule",
    ),
    patterns=(json_codes("label"),),
    rules={
        **codes(UNSURE, "INTERNAL SERVER_ERROR TOO_BUSY INTERNAL_ERROR SERVICE_UNAVAILABLE"),
        **codes(LIMITED, "TOO_FAST TOO_MANY_REQUESTS"),
        **codes(CLOCK, "REQUEST_EXPIRED"),
        **codes(AUTH, "AUTHENTICATION_FAILED INVALID_CREDENTIALS INVALID_KEY INVALID_SIGNATURE IP_FORBIDDEN"),
        **codes(AUTH, "MISSING_REQUIRED_HEADER READ_ONLY FORBIDDEN ACCOUNT_LOCKED SUB_ACCOUNT_LOCKED"),
        **codes(REJECTED, "API_WITHDRAW_DISABLED USER_NOT_FOUND TRADE_RESTRICTED"),
        **codes(DUPLICATE, "REPEATED_CREATION ORDER_EXISTS"),
    },
    resets={"x-gate-ratelimit-reset-timestamp": UNIX},
    usage=(("x-gate-ratelimit-limit", "x-gate-ratelimit-requests-remain"),),
)
