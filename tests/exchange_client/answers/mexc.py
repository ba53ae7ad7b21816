"""Documented answers of MEXC, from https://www.mexc.com/api-docs/spot-v3/general-info and its list for futures."""

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
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS: dict = {}


def case(code: int, words: str, outcomes: tuple[str, str], status: int = 400, **facts) -> Case:
    """Return one of MEXC's codes."""
    return Case(f"{code} {words}", json.dumps({"code": code, "msg": words}), outcomes, status, **facts)


ANSWERS = [
    case(500, "Internal error", UNKNOWN_FATE, 500),
    case(501, "System busy, try again later", UNKNOWN_FATE),
    case(503, "service not available, please try again", UNKNOWN_FATE, 503),
    case(504, "Gateway Time-out", UNKNOWN_FATE, 504),
    case(513, "Invalid request, please try again later", UNKNOWN_FATE),
    case(9999, "Public abnormal", UNKNOWN_FATE, 200),
    case(20002, "Internal system error please contact support", UNKNOWN_FATE),
    case(10200, "transfer operation processing", UNKNOWN_FATE),
    case(10219, "asset flow writing failed please try again", UNKNOWN_FATE),
    case(604, "Sorry, this feature is under maintenance", MAINTENANCE),
    case(801, "System under maintenance", MAINTENANCE),
    case(30000, "suspended transaction for the symbol", MAINTENANCE, read=NO_READ),
    Case("Under maintenance", '{"code":500,"message":"Under maintenance, please try again later"}', MAINTENANCE, 503),
    case(429, "Too Many Requests", LIMITED, 429, wait=5.0),
    case(429, "Too Many Requests", LIMITED, 429, headers={"Retry-After": "60"}, wait=60.0),
    case(510, "Requests are too frequent, please try again later", LIMITED, 200, wait=5.0),
    case(700003, "Timestamp for this request is outside of the recvWindow.", CLOCK, resync=True),
    case(10073, "invalid Request-Time", CLOCK, resync=True),
    case(700005, "recvWindow must less than 60000", REJECTED),
    case(401, "No authority", AUTH, 401),
    case(402, "API Key expired, please apply again", AUTH, 200),
    case(406, "IP not in the whitelist", AUTH, 200),
    case(602, "Signature verification failed", AUTH),
    case(10001, "user does not exist", AUTH),
    case(10072, "invalid access key", AUTH),
    case(60005, "your account is abnormal", AUTH),
    case(700001, "API-key format invalid", AUTH),
    case(700002, "Signature for this request is not valid", AUTH),
    case(700006, "IP [127.0.0.1] not in the ip white list", AUTH, 403),
    case(700007, "No permission to access the endpoint", AUTH, 403),
    case(140002, "sub account is forbidden", AUTH),
    Case("403 the limit of the web firewall", "<HTML>Access Denied</HTML>", LIMITED, 403,
         {"Content-Type": "text/html"}, wait=300.0),
    case(400, "api key required", REJECTED),
    case(600, "Parameter error", REJECTED, 200),
    case(603, "Repeated request", REJECTED, 200),
    case(700004, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed", REJECTED),
    case(700008, "Illegal characters found in parameter 'symbol'", REJECTED),
    case(10007, "bad symbol", REJECTED),
    case(-1121, "Invalid symbol.", REJECTED),
    case(30020, "no permission for the symbol", REJECTED, read=NO_READ),
    case(30001, "The current transaction direction is not allowed to place an order", REJECTED, read=NO_READ),
    case(30002, "The minimum transaction volume cannot be less than: 1", REJECTED, read=NO_READ),
    case(30004, "Insufficient position", REJECTED, read=NO_READ),
    case(30005, "Oversold", REJECTED, read=NO_READ),
    case(30010, "no valid trade price", REJECTED, read=NO_READ),
    case(30016, "trading disabled", REJECTED, read=NO_READ),
    case(30025, "no exist opponent order", REJECTED, read=NO_READ),
    case(30029, "Cannot exceed the maximum order limit", REJECTED, read=NO_READ),
    case(-2011, "Unknown order sent", REJECTED, read=NO_READ),
    case(2005, "Balance insufficient", REJECTED, 200, read=NO_READ),
    case(400, "client order id is duplicated", REJECTED, read=NO_READ, duplicate=True),
    Case("No candles in that time", "[]", SUCCESS, read=CANDLES, order=False),
    Case("An order without an id", '{"symbol":"BTCUSDT"}', UNREADABLE, read=NO_READ),
    Case("An order that was accepted", '{"symbol":"BTCUSDT","orderId":"C02__443776347957968896","price":"50000"}',
         SUCCESS, read=NO_READ),
]  # fmt: skip
