"""Documented answers of OKX, from https://www.okx.com/docs-v5/en/#error-code."""

import json

from tests.exchange_client.answers.answer import (
    AUTH,
    CANDLES,
    CLOCK,
    LIMITED,
    MAINTENANCE,
    NO_READ,
    REJECTED,
    SUCCESS,
    TICKER,
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS: dict = {}


def said(code: int, words: str = "", data: object = ()) -> str:
    """Return OKX's envelope."""
    return json.dumps({"code": str(code), "data": list(data), "msg": words})


def case(code: int, words: str, outcomes: tuple[str, str], status: int = 200, **facts) -> Case:
    """Return an error in the envelope."""
    return Case(f"{code} {words}", said(code, words), outcomes, status, **facts)


def refused(code: int, words: str, outcomes: tuple[str, str] = REJECTED, **facts) -> Case:
    """Return an order that was refused, with its reason beside it."""
    order = {"clOrdId": "abc", "ordId": "", "sCode": str(code), "sMsg": words, "tag": ""}
    return Case(f"{code} {words}", said(1, "All operations failed", [order]), outcomes, read=NO_READ, **facts)


ANSWERS = [
    case(50004, "API endpoint request timeout. (does not mean that the request was successful or failed)", UNKNOWN_FATE,
         400),
    case(50013, "Systems are busy. Please try again later.", UNKNOWN_FATE, 429),
    case(50026, "System error. Try again later", UNKNOWN_FATE, 500),
    case(51054, "Request timed out. Please try again.", UNKNOWN_FATE),
    case(58007, "Abnormal Assets interface. Please try again later", UNKNOWN_FATE),
    Case("500 Internal Server Error",
         '{"code":500,"data":{},"detailMsg":"","error_code":"500","error_message":"Internal Server Error","msg":"x"}',
         UNKNOWN_FATE, 500),
    refused(51149, "Order timed out. Please try again later.", UNKNOWN_FATE),
    refused(50004, "API endpoint request timeout", UNKNOWN_FATE),
    case(50001, "Service temporarily unavailable. Please try again later.", MAINTENANCE, 503),
    case(50005, "API endpoint is inactive or unavailable.", MAINTENANCE, 410),
    case(50046, "This feature is temporarily unavailable while we make some improvements to it.", MAINTENANCE),
    case(50062, "This feature is currently unavailable.", MAINTENANCE),
    case(51767, "System maintenance, please retry", MAINTENANCE),
    case(50011, "Rate limit reached. Please refer to API documentation and throttle requests accordingly.", LIMITED,
         wait=5.0),
    case(50011, "Too Many Requests", LIMITED, 429, wait=5.0),
    case(50040, "Too frequent operations, please try again later", LIMITED, wait=5.0),
    refused(50061, "You've reached the maximum order rate limit for this account.", LIMITED, wait=5.0),
    case(58102, "Too frequent transfer", LIMITED, wait=5.0),
    case(50102, "Timestamp request expired.", CLOCK, 401, resync=True),
    case(50112, "Invalid OK-ACCESS-TIMESTAMP", CLOCK, 401, resync=True),
    case(50101, "APIKey does not match current environment.", AUTH, 401),
    case(50103, 'Request header "OK-ACCESS-KEY" cannot be empty.', AUTH, 401),
    case(50105, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', AUTH, 401),
    case(50110, "Your IP is not included in your API key's IP whitelist.", AUTH, 401),
    case(50111, "Invalid OK-ACCESS-KEY.", AUTH, 401),
    case(50113, "Invalid signature.", AUTH, 401),
    case(50114, "Invalid authorization.", AUTH, 401),
    case(50100, "API frozen, please contact customer service.", AUTH),
    case(50035, "This endpoint requires that APIKey must be bound to IP", AUTH, 403),
    case(50014, "Parameter instId can not be empty.", REJECTED, 400),
    case(50002, "JSON syntax error", REJECTED, 400),
    case(51001, "Instrument ID does not exist.", REJECTED),
    case(50017, "Position frozen due to auto-deleveraging (ADL). Please try again later.", REJECTED),
    case(50019, "Account frozen due to auto-deleveraging (ADL). Please try again later.", REJECTED),
    case(50022, "Account frozen due to forced liquidation. Please try again later.", REJECTED),
    case(50042, "Repeated request", REJECTED),
    refused(50037, "Order expired."),
    refused(51000, "Parameter sz error"),
    refused(51008, "Order failed. Insufficient USDT balance in account."),
    refused(51011, "Duplicated order ID.", duplicate=True),
    refused(51016, "Client order ID already exists.", duplicate=True),
    refused(51020, "Your order should meet or exceed the minimum order amount."),
    refused(51119, "Order placement failed due to insufficient balance."),
    refused(51137, "The highest price limit for buy orders is 1."),
    refused(51400, "Cancellation failed as the order has been filled, canceled or does not exist."),
    refused(51410, "Cancellation failed as the order is already in canceling status."),
    refused(51155, "You can't trade this pair or borrow this crypto due to local compliance restrictions."),
    refused(51999, "A code that nobody has published"),
    Case("An answer without data", '{"code":"0","msg":""}', UNREADABLE, read=TICKER),
    Case("A ticker that is not there", said(0), UNREADABLE, read=TICKER),
    Case("An answer without the envelope", '{"foo": 1}', UNREADABLE),
    Case("No candles in that time", said(0), SUCCESS, read=CANDLES, order=False),
    Case("An order that was accepted",
         said(0, "", [{"clOrdId": "abc", "ordId": "312269865356374016", "sCode": "0", "sMsg": "", "tag": ""}]), SUCCESS,
         read=NO_READ),
]  # fmt: skip
