"""Documented answers of Binance, from https://developers.binance.com/docs/binance-spot-api-docs/errors and the like."""

import json

from tests.exchange_client.answers.answer import (
    AUTH,
    CANDLES,
    CLOCK,
    LIMITED,
    MAINTENANCE,
    NO_READ,
    NOT_DONE,
    NOW,
    REJECTED,
    SUCCESS,
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS: dict = {}


def said(code: int, words: str) -> str:
    """Return Binance's error."""
    return json.dumps({"code": code, "msg": words})


def case(code: int, words: str, outcomes: tuple[str, str], status: int = 400, **facts) -> Case:
    """Return one of its codes."""
    return Case(f"{code} {words}", said(code, words), outcomes, status, **facts)


ANSWERS = [
    case(-1000, "An unknown error occurred while processing the request.", UNKNOWN_FATE),
    case(-1001, "Internal error; unable to process your request. Please try again.", UNKNOWN_FATE, 500),
    case(-1006, "An unexpected response was received from the message bus. Execution status unknown.", UNKNOWN_FATE),
    case(-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
         UNKNOWN_FATE, 408),
    case(-1004, "Server is busy, please wait and try again", UNKNOWN_FATE),
    case(-3000, "Internal server error.", UNKNOWN_FATE),
    case(-3044, "System busy.", UNKNOWN_FATE),
    Case("503 the request was sent, and no answer came in time",
         '{"msg":"Unknown error, please check your request or try again later."}', UNKNOWN_FATE, 503),
    Case("503 service unavailable", "Service Unavailable.", UNKNOWN_FATE, 503),
    case(-1008, "Server is currently overloaded with other requests. Please try again in a few minutes.", NOT_DONE,
         503),
    case(-1016, "This service is no longer available.", MAINTENANCE),
    Case("System is under maintenance", said(1, "System is under maintenance."), MAINTENANCE, 503),
    case(-1002, "You are not authorized to execute this request.", AUTH, 401),
    case(-1022, "Signature for this request is not valid.", AUTH),
    case(-2008, "Invalid Api-Key ID.", AUTH),
    case(-2014, "API-key format invalid.", AUTH, 401),
    case(-2015, "Invalid API-key, IP, or permissions for action.", AUTH, 401),
    case(-1021, "Timestamp for this request is outside of the recvWindow.", CLOCK, resync=True),
    case(-1021, "Timestamp for this request was 1000ms ahead of the server's time.", CLOCK, resync=True),
    case(-5028, "Timestamp for this request is outside of the ME recvWindow.", CLOCK, resync=True),
    case(-1003, "Too much request weight used; current limit is 6000 request weight per 1 MINUTE.", LIMITED, 429,
         headers={"Retry-After": "17"}, wait=17.0),
    case(-1003, f"Way too much request weight used; IP banned until {NOW + 240:.0f}000.", LIMITED, 418, wait=240.0),
    case(-1003, "IP banned, without a moment", LIMITED, 418, wait=120.0),
    case(-1015, "Too many new orders; current limit is 100 orders per 10 SECOND.", LIMITED, 429, read=NO_READ,
         headers={"Retry-After": "3"}, wait=3.0),
    case(-1034, "Too many concurrent connections; current limit is 1.", LIMITED, wait=5.0),
    Case("403 the limit of the web firewall", "<html>WAF Limit has been violated</html>", LIMITED, 403,
         {"Content-Type": "text/html"}, wait=300.0),
    Case("403 request blocked", "<HTML>403 ERROR: Request blocked. We cannot connect.</HTML>", LIMITED, 403,
         {"Content-Type": "text/html"}, wait=300.0),
    Case("451 restricted location",
         '{"code":0,"msg":"Service unavailable from a restricted location according to b. Eligibility in the terms"}',
         REJECTED, 451),
    case(-1100, "Illegal characters found in a parameter.", REJECTED),
    case(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.", REJECTED),
    case(-1121, "Invalid symbol.", REJECTED),
    case(-1125, "This listenKey does not exist.", REJECTED),
    case(-1112, "No orders on book for symbol.", REJECTED, read=NO_READ),
    case(-1010, "ERROR_MSG_RECEIVED.", REJECTED, read=NO_READ),
    case(-1013, "Filter failure: LOT_SIZE", REJECTED, read=NO_READ),
    case(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE", REJECTED, read=NO_READ),
    case(-2010, "Account has insufficient balance for requested action.", REJECTED, read=NO_READ),
    case(-2010, "Duplicate order sent.", REJECTED, read=NO_READ, duplicate=True),
    case(-2010, "Market is closed.", REJECTED, read=NO_READ),
    case(-2010, "Stop price would trigger immediately.", REJECTED, read=NO_READ),
    case(-2011, "Unknown order sent.", REJECTED, read=NO_READ),
    case(-2013, "Order does not exist.", REJECTED, read=NO_READ),
    case(-2018, "Balance is insufficient.", REJECTED, read=NO_READ),
    case(-2019, "Margin is insufficient.", REJECTED, read=NO_READ),
    case(-2020, "Unable to fill.", REJECTED, read=NO_READ),
    case(-2023, "User in liquidation mode now.", REJECTED, read=NO_READ),
    case(-4116, "ClientOrderId is duplicated.", REJECTED, read=NO_READ, duplicate=True),
    Case("No candles in that time", "[]", SUCCESS, read=CANDLES, order=False),
    Case("An order without an id", '{"symbol":"BTCUSDT","status":"NEW"}', UNREADABLE, read=NO_READ),
    Case("An order that was accepted", '{"symbol":"BTCUSDT","orderId":28,"clientOrderId":"abc","status":"NEW"}',
         SUCCESS, read=NO_READ),
]  # fmt: skip
