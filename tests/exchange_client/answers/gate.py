"""Documented answers of Gate, from https://www.gate.com/docs/developers/apiv4/en/#error-handling."""

import json

from tests.exchange_client.answers.answer import (
    AUTH,
    BALANCE,
    CANDLES,
    CLOCK,
    LIMITED,
    NO_READ,
    NOW,
    REJECTED,
    SUCCESS,
    TICKER,
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS = {"unifiedAccount": False}


def case(label: str, words: str, outcomes: tuple[str, str], status: int = 400, **facts) -> Case:
    """Return one of Gate's labels."""
    return Case(f"{label}: {words}", json.dumps({"label": label, "message": words}), outcomes, status, **facts)


def reset_in(seconds: float) -> dict[str, str]:
    """Return the headers that come with each answer."""
    return {
        "X-Gate-RateLimit-Limit": "10",
        "X-Gate-RateLimit-Requests-Remain": "0",
        "X-Gate-RateLimit-Reset-Timestamp": f"{NOW + seconds:.0f}",
    }


ANSWERS = [
    case("INTERNAL", "Internal server error", UNKNOWN_FATE, 500),
    case("SERVER_ERROR", "Internal server error", UNKNOWN_FATE, 500),
    case("TOO_BUSY", "Too busy. Please try again later", UNKNOWN_FATE, 503),
    case("TOO_BUSY", "Too busy, with a status of 400", UNKNOWN_FATE),
    case("REQUEST_EXPIRED", "gap between request Timestamp and server time exceeds 60", CLOCK, 403, resync=True),
    case("TOO_MANY_REQUESTS", "Request Rate limit Exceeded (311)", LIMITED, 429, headers=reset_in(7), wait=7.0),
    case("TOO_MANY_REQUESTS", "Request Rate limit Exceeded, without headers", LIMITED, 429, wait=5.0),
    case("TOO_MANY_REQUESTS", "with the present moment", LIMITED, 429, headers=reset_in(0), wait=5.0),
    case("TOO_FAST", "Withdraw request frequency exceeds limit", LIMITED, wait=5.0),
    case("INVALID_KEY", "Invalid key provided", AUTH, 401),
    case("INVALID_SIGNATURE", "Signature mismatch", AUTH, 401),
    case("INVALID_CREDENTIALS", "API key, secret or other credentials are not valid", AUTH, 401),
    case("AUTHENTICATION_FAILED", "Authentication failed", AUTH, 401),
    case("IP_FORBIDDEN", "Request IP not in whitelist", AUTH, 403),
    case("READ_ONLY", "API key is read-only", AUTH, 403),
    case("FORBIDDEN", "No permission to do this operation", AUTH, 403),
    case("MISSING_REQUIRED_HEADER", "Missing required header: Timestamp", AUTH),
    case("ACCOUNT_LOCKED", "Account is locked. Contact customer service", AUTH, 403),
    case("API_WITHDRAW_DISABLED", "Withdrawal is not allowed for this key", REJECTED),
    case("INVALID_PARAM_VALUE", "Invalid parameter value: price", REJECTED),
    case("INVALID_PARAM_VALUE", "label text is not a valid timestamp", REJECTED),
    case("INVALID_ARGUMENT", "invalid size", REJECTED),
    case("INVALID_REQUEST_BODY", "Request body is not valid JSON", REJECTED),
    case("NOT_FOUND", "The requested path does not exist", REJECTED, 404),
    case("METHOD_NOT_ALLOWED", "Method not allowed", REJECTED, 405),
    case("BAD_REQUEST", "Bad request", REJECTED),
    case("USER_NOT_FOUND", "User has no futures account", REJECTED),
    case("INVALID_CURRENCY", "Invalid currency provided", REJECTED),
    case("INVALID_CURRENCY_PAIR", "Invalid currency pair", REJECTED),
    case("BALANCE_NOT_ENOUGH", "Not enough balance", REJECTED, read=NO_READ, headers=reset_in(5)),
    case("MARGIN_BALANCE_NOT_ENOUGH", "Not enough balance in margin account", REJECTED, read=NO_READ),
    case("AMOUNT_TOO_LITTLE", "Your order size 0.5 USDT is too small. The minimum is 1 USDT", REJECTED, read=NO_READ),
    case("AMOUNT_TOO_MUCH", "Amount too much", REJECTED, read=NO_READ),
    case("QUANTITY_NOT_ENOUGH", "Amount is not enough in a market order", REJECTED, read=NO_READ),
    case("INVALID_PRECISION", "Invalid precision", REJECTED, read=NO_READ),
    case("POC_FILL_IMMEDIATELY", "Order would match and take immediately", REJECTED, read=NO_READ),
    case("FOK_NOT_FILL", "FOK order cannot be filled completely", REJECTED, read=NO_READ),
    case("ORDER_NOT_FOUND", "Order not found", REJECTED, 404, read=NO_READ),
    case("ORDER_CLOSED", "Order already closed", REJECTED, read=NO_READ),
    case("ORDER_CANCELLED", "Order already cancelled", REJECTED, read=NO_READ),
    case("TRADE_RESTRICTED", "Trading is restricted due to risk", REJECTED, read=NO_READ),
    case("TOO_MANY_ORDERS", "Too many open orders", REJECTED, read=NO_READ),
    case("PRICE_TOO_DEVIATED", "Order price deviates too much from the mark price", REJECTED, read=NO_READ),
    case("INCREASE_POSITION", "Reduce-only order would increase the position", REJECTED, read=NO_READ),
    case("REPEATED_CREATION", "Duplicate creation", REJECTED, read=NO_READ, duplicate=True),
    case("ORDER_EXISTS", "Order already exists", REJECTED, read=NO_READ, duplicate=True),
    Case("No ticker", "[]", UNREADABLE, read=TICKER, order=False),
    Case("An empty account", "[]", SUCCESS, read=BALANCE, order=False),
    Case("No candles in that time", "[]", SUCCESS, read=CANDLES, order=False),
    Case("An order that was accepted", '{"id":"1852454420","text":"t-abc","status":"open","currency_pair":"BTC_USDT"}',
         SUCCESS, 201, headers=reset_in(9), read=NO_READ),
]  # fmt: skip
