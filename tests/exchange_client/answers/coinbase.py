"""Documented answers of Coinbase, from https://docs.cdp.coinbase.com/coinbase-app/api-architecture/status-codes.

Those to orders are from the page of each method of Advanced Trade.
"""

import json

from tests.exchange_client.answers.answer import (
    AUTH,
    BALANCE,
    CLOCK,
    LIMITED,
    MAINTENANCE,
    NO_READ,
    NOW,
    REJECTED,
    SUCCESS,
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS: dict = {}


def old(name: str, words: str, outcomes: tuple[str, str], status: int, **facts) -> Case:
    """Return an error of the older interface, which also answers for accounts."""
    return Case(f"{name}: {words}", json.dumps({"errors": [{"id": name, "message": words}]}), outcomes, status, **facts)


def new(name: str, words: str, outcomes: tuple[str, str], status: int, **facts) -> Case:
    """Return an error of Advanced Trade."""
    body = json.dumps({"error": name, "error_details": words, "message": words})
    return Case(f"{name}: {words}", body, outcomes, status, **facts)


def refused(
    reason: str, outcomes: tuple[str, str] = REJECTED, preview: str = "UNKNOWN_PREVIEW_FAILURE_REASON", **facts
) -> Case:
    """Return an order that was not placed."""
    response = {
        "error": reason,
        "message": "The order was not placed",
        "error_details": "",
        "preview_failure_reason": preview,
        "new_order_failure_reason": reason,
    }
    body = {"success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": "", "error_response": response}
    return Case(f"{reason}, {preview}", json.dumps(body), outcomes, read=NO_READ, **facts)


def accepted(order_id: str) -> str:
    """Return an order that was placed, also one with a client order id that was there before."""
    success = {"order_id": order_id, "product_id": "BTC-USD", "side": "BUY", "client_order_id": "abc"}
    return json.dumps({"success": True, "order_id": order_id, "success_response": success})


ANSWERS = [
    old("internal_server_error", "Internal server error", UNKNOWN_FATE, 500),
    new("INTERNAL", "internal error", UNKNOWN_FATE, 500),
    new("UNAVAILABLE", "upstream connect error or disconnect/reset before headers", UNKNOWN_FATE, 503),
    new("DEADLINE_EXCEEDED", "context deadline exceeded", UNKNOWN_FATE, 504),
    new("UNKNOWN", "unknown", UNKNOWN_FATE, 500),
    new("ABORTED", "the operation was aborted", UNKNOWN_FATE, 409),
    old("rate_limit_exceeded", "Rate limit exceeded", LIMITED, 429, wait=5.0),
    new("resource_exhausted", "Too many requests", LIMITED, 429, wait=5.0),
    new("RESOURCE_EXHAUSTED", "rate limit exceeded", LIMITED, 429, headers={"x-ratelimit-reset": "2"}, wait=2.0),
    new("RESOURCE_EXHAUSTED", "with a Unix time", LIMITED, 429, headers={"x-ratelimit-reset": f"{NOW + 4:.0f}"},
        wait=4.0),
    Case("429 in words", "rate limit exceeded", LIMITED, 429, {"Content-Type": "text/plain"}, wait=5.0),
    old("authentication_error", "request timestamp expired", CLOCK, 401, resync=True),
    old("authentication_error", "invalid timestamp", CLOCK, 401, resync=True),
    old("authentication_error", "invalid signature", AUTH, 401),
    old("authentication_error", "invalid api key", AUTH, 401),
    old("invalid_token", "The access token is invalid", AUTH, 401),
    old("revoked_token", "The access token was revoked", AUTH, 401),
    old("expired_token", "The access token expired", AUTH, 401),
    old("invalid_scope", "Invalid scope", AUTH, 403),
    old("unauthorized", "Unauthorized", AUTH, 401),
    old("two_factor_required", "Two-step verification code required", AUTH, 402),
    old("unverified_email", "User has not verified their email", AUTH, 400),
    Case("401 without more", "Unauthorized\n", AUTH, 401, {"Content-Type": "text/plain"}),
    new("PERMISSION_DENIED", "Missing required scopes", AUTH, 403),
    new("UNAUTHENTICATED", "the key is not known", AUTH, 401),
    old("not_found", "Not found", REJECTED, 404),
    old("validation_error", "Unable to validate POST/PUT", REJECTED, 400),
    old("param_required", "Missing parameter", REJECTED, 400),
    old("invalid_request", "The request is malformed", REJECTED, 400),
    new("INVALID_ARGUMENT", "valid symbol is required", REJECTED, 400),
    new("unknown", "order with this orderID was not found", REJECTED, 404),
    refused("INSUFFICIENT_FUND", preview="PREVIEW_INSUFFICIENT_FUND"),
    refused("INSUFFICIENT_FUND"),
    refused("UNSUPPORTED_ORDER_CONFIGURATION"),
    refused("INVALID_SIDE"),
    refused("INVALID_PRODUCT_ID"),
    refused("INVALID_SIZE_PRECISION"),
    refused("INVALID_PRICE_PRECISION"),
    refused("INELIGIBLE_PAIR"),
    refused("INVALID_LIMIT_PRICE_POST_ONLY"),
    refused("INVALID_NO_LIQUIDITY"),
    refused("COMMANDER_REJECTED_NEW_ORDER"),
    refused("UNTRADABLE_PRODUCT"),
    refused("UNKNOWN_FAILURE_REASON", preview="PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
    refused("UNKNOWN_FAILURE_REASON", preview="PREVIEW_INVALID_LIMIT_PRICE"),
    refused("UNKNOWN_FAILURE_REASON", UNKNOWN_FATE),
    refused("ORDER_ENTRY_DISABLED", MAINTENANCE),
    Case("An answer of another kind", '{"foo": 1}', UNREADABLE, read=NO_READ),
    Case("An empty account", '{"data": [], "pagination": {}}', SUCCESS, read=BALANCE, order=False),
    Case("An order that was accepted", accepted("11111-00000-000000"), SUCCESS, read=NO_READ),
]  # fmt: skip
