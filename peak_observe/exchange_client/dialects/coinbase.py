"""Error vocabulary of Coinbase: Advanced Trade, the older interface it grew from, Exchange and International.

A client order id that is taken is no error in Advanced Trade: the answer is the order that has it.
"""

from __future__ import annotations

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    CLOCK,
    DUPLICATE,
    LIMITED,
    MAINTENANCE,
    REJECTED,
    UNSURE,
    Dialect,
    codes,
    json_codes,
    phrase,
)

DIALECT = Dialect(
    sources=(
        "https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/guides/orders",
        "https://docs.cdp.coinbase.com/coinbase-app/api-architecture/status-codes",
        "https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/orders/create-order",
        "https://docs.cdp.coinbase.com/exchange/rest-api/requests",
    ),
    patterns=(
        json_codes("preview_failure_reason"),
        json_codes("new_order_failure_reason"),
        json_codes("error", "id"),
        json_codes("failure_reason"),
    ),
    fine=frozenset(("UNKNOWN_PREVIEW_FAILURE_REASON",)),
    rules={
        **codes(UNSURE, "internal_server_error INTERNAL INTERNAL_ERROR UNAVAILABLE DEADLINE_EXCEEDED ABORTED UNKNOWN"),
        **codes(UNSURE, "UNKNOWN_FAILURE_REASON SERVICE_UNAVAILABLE unknown internal"),
        **codes(LIMITED, "rate_limit_exceeded resource_exhausted RESOURCE_EXHAUSTED RATE_LIMIT_EXCEEDED"),
        **codes(AUTH, "authentication_error unauthorized invalid_authentication_method invalid_token revoked_token"),
        **codes(AUTH, "expired_token invalid_scope two_factor_required UNAUTHENTICATED PERMISSION_DENIED Unauthorized"),
        **codes(REJECTED, "invalid_request param_required validation_error not_found NOT_FOUND INVALID_ARGUMENT"),
        **codes(DUPLICATE, "DUPLICATE_CLIENT_ORDER_ID"),
    },
    phrases=(
        phrase(r"timestamp (?:is )?expired|invalid timestamp|request timestamp", CLOCK),
        phrase(r"(?:public|private) rate limit exceeded", LIMITED),
        phrase(r"order with this orderID was not found", REJECTED),
        phrase(r"under maintenance|cancel only mode", MAINTENANCE),
        phrase(r"invalid (?:api key|signature|passphrase)", AUTH),
        phrase(r"ORDER_ENTRY_DISABLED", MAINTENANCE),
        # An order that was not placed: one of three fields names the reason, the others may be unknown.
        phrase(r'"preview_failure_reason"\s*:\s*"(PREVIEW_[A-Z_]+)"', REJECTED),
        phrase(
            r'"error_response"\s*:\s*\{[^{}]*"(?:error|new_order_failure_reason)"\s*:\s*"(?!UNKNOWN_)([A-Z_]+)"',
            REJECTED,
        ),
    ),
)
