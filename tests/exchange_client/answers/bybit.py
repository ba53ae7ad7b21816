"""Documented answers of Bybit, from https://bybit-exchange.github.io/docs/v5/error and its page on rate limits."""

import json

from tests.exchange_client.answers.answer import (
    AUTH,
    BALANCE,
    CANDLES,
    CLOCK,
    LIMITED,
    MAINTENANCE,
    NO_READ,
    NOT_DONE,
    NOW,
    REJECTED,
    SUCCESS,
    TICKER,
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS = {"enableUnifiedMargin": False, "enableUnifiedAccount": True, "unifiedMarginStatus": 4}


def said(code: int, words: str, result: object = None) -> str:
    """Return Bybit's envelope."""
    return json.dumps({"retCode": code, "retMsg": words, "result": result or {}, "retExtInfo": {}, "time": 1})


def case(code: int, words: str, outcomes: tuple[str, str], status: int = 200, **facts) -> Case:
    """Return an error in the envelope."""
    return Case(f"{code} {words}", said(code, words), outcomes, status, **facts)


def reset_in(seconds: float) -> dict[str, str]:
    """Return the headers that come with each answer, which name the moment at which the limit ends."""
    return {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "0",
        "X-Bapi-Limit-Reset-Timestamp": str(round((NOW + seconds) * 1000)),
    }


ANSWERS = [
    case(10000, "Server Timeout", UNKNOWN_FATE),
    case(10016, "Server error.", UNKNOWN_FATE),
    case(10016, "Request timeout, please try again later", UNKNOWN_FATE),
    case(5004, "Server Timeout", UNKNOWN_FATE),
    case(170001, "Internal error.", UNKNOWN_FATE),
    case(170007, "Timeout waiting for response from backend server.", UNKNOWN_FATE),
    case(170032, "Network error. Please try again later", UNKNOWN_FATE),
    case(170035, "Submitted to the system for processing!", UNKNOWN_FATE),
    case(170146, "Order creation timeout", UNKNOWN_FATE),
    case(170147, "Order cancellation timeout", UNKNOWN_FATE),
    case(170234, "System Error", UNKNOWN_FATE),
    case(131200, "Service error", UNKNOWN_FATE),
    case(131201, "Internal error", UNKNOWN_FATE),
    case(40004, "the order is modified during the process of replacing, please check the order status again",
         UNKNOWN_FATE),
    case(110079, "The order is processing and can not be operated, please try again later", NOT_DONE),
    case(10001, "Request parameter error", REJECTED),
    case(10002, "invalid request, please check your server timestamp or recv_window param", CLOCK, resync=True),
    case(-1, "request expired: o@0, now[] diff[]", CLOCK, resync=True),
    case(10003, "API key is invalid.", AUTH),
    case(10004, "error sign! origin_string[...]", AUTH),
    case(10005, "Permission denied, please check your API key permissions.", AUTH),
    case(10007, "User authentication failed.", AUTH),
    case(10008, "Common banned, please check your account mode", AUTH),
    case(10010, "Unmatched IP, please check your API key's bound IP addresses.", AUTH),
    case(33004, "Your api key has expired", AUTH),
    case(10006, "Too many visits!", LIMITED, headers=reset_in(0.75), wait=0.75),
    case(10006, "Too many visits. Exceeded the API Rate Limit.", LIMITED, wait=5.0),
    case(10006, "Too many visits, with a moment that has passed", LIMITED, headers=reset_in(-30), wait=5.0),
    case(10009, "IP has been banned.", LIMITED, wait=600.0),
    case(10018, "Exceeded the IP Rate Limit.", LIMITED, wait=600.0),
    case(170222, "Too many requests in this time frame.", LIMITED, wait=5.0),
    case(429, "The trading service is experiencing a high server load. Please retry.", LIMITED, wait=5.0),
    Case("403 access too frequent: wait for at least 10 minutes", "403, access too frequent", LIMITED, 403,
         {"Content-Type": "text/plain"}, wait=600.0),
    Case("429 system level frequency protection", "Too Many Requests", LIMITED, 429, {"Retry-After": "2"}, wait=2.0),
    case(10024, "Compliance rules triggered", REJECTED),
    case(10028, "The API can only be accessed by unified account users.", REJECTED),
    case(110062, "Settlement in progress! BTC not available for trades.", MAINTENANCE),
    case(110001, "Order does not exist", REJECTED, read=NO_READ),
    case(110003, "Order price exceeds the allowable range.", REJECTED, read=NO_READ),
    case(110007, "Available balance is insufficient", REJECTED, read=NO_READ),
    case(110017, "Reduce-only rule not satisfied", REJECTED, read=NO_READ),
    case(110072, "OrderLinkedID is duplicate", REJECTED, read=NO_READ, duplicate=True),
    case(170131, "Balance insufficient", REJECTED, read=NO_READ),
    case(170140, "Order value exceeded lower limit", REJECTED, read=NO_READ),
    case(170141, "Duplicate clientOrderId", REJECTED, read=NO_READ, duplicate=True),
    case(170149, "Create order failed", REJECTED, read=NO_READ),
    case(110094, "Order notional value below the lower limit", REJECTED, headers=reset_in(3), read=NO_READ),
    Case("Nothing of what was asked for", said(0, "OK"), UNREADABLE, read=TICKER),
    Case("An answer without the envelope", '{"foo": 1}', UNREADABLE, read=BALANCE),
    Case("No candles in that time", said(0, "OK", {"category": "spot", "symbol": "BTCUSDT", "list": []}), SUCCESS,
         read=CANDLES, order=False),
    Case("An order that was accepted", said(0, "OK", {"orderId": "1321003749386327552", "orderLinkId": "abc"}), SUCCESS,
         read=NO_READ, headers=reset_in(9)),
]  # fmt: skip
