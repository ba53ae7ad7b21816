"""Documented answers of KuCoin, from https://www.kucoin.com/docs-new/error-code and its page on rate limits."""

import json

from tests.exchange_client.answers.answer import (
    AUTH,
    CANDLES,
    CLOCK,
    LIMITED,
    MAINTENANCE,
    NO_READ,
    NOT_DONE,
    REJECTED,
    SUCCESS,
    TICKER,
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS = {"uta": False}
OWN_STATUSES = (503,)  # of which KuCoin says what it means


def case(code: int, words: str, outcomes: tuple[str, str], status: int = 200, **facts) -> Case:
    """Return an error in KuCoin's envelope."""
    return Case(f"{code} {words}", json.dumps({"code": str(code), "msg": words}), outcomes, status, **facts)


def data(found: object) -> str:
    """Return a success in the envelope."""
    return json.dumps({"code": "200000", "data": found})


def pool(milliseconds: int) -> dict[str, str]:
    """Return the headers of each answer, which count the milliseconds until the pool of requests is full again."""
    return {"gw-ratelimit-limit": "4000", "gw-ratelimit-remaining": "0", "gw-ratelimit-reset": str(milliseconds)}


ANSWERS = [
    case(500000, "Internal Server Error", UNKNOWN_FATE, 500),
    case(230005, "The system is busy, please try again later", UNKNOWN_FATE),
    case(408000, "Network timeout, please try again later", UNKNOWN_FATE),
    case(126038, "Third-party service call failed (internal exception)", UNKNOWN_FATE),
    case(126039, "Third-party service call failed, reason: timeout", UNKNOWN_FATE),
    case(130202, "A timeout has occurred. The system is currently processing", UNKNOWN_FATE),
    case(135005, "Margin order query business abnormality", UNKNOWN_FATE),
    case(135018, "Margin order query service abnormality", UNKNOWN_FATE),
    case(400400, "Parameter error/service exception", UNKNOWN_FATE),
    case(102428, "User order is being processed and cannot be canceled", NOT_DONE, read=NO_READ),
    Case("503 temporarily offline for maintenance", "", ("maintenance", "ambiguous"), 503),
    case(200001, "Order creation for this pair suspended", MAINTENANCE, read=NO_READ),
    case(200002, "Order cancel for this pair suspended", MAINTENANCE, read=NO_READ),
    case(600203, "Symbol cannot be traded, such as downtime for upgrades", MAINTENANCE, read=NO_READ),
    case(126009, "Trading pair is suspended from creating orders", MAINTENANCE, read=NO_READ),
    case(429000, "Too many requests in a short period of time, please retry later", LIMITED, 429, headers=pool(1489),
         wait=1.489),
    case(429000, "Server overload, without headers", LIMITED, 429, wait=5.0),
    Case("403 access limit breached", "", LIMITED, 403, wait=30.0),
    case(400002, "KC-API-TIMESTAMP Invalid", CLOCK, 401, resync=True),
    case(126041, "clientTimestamp parameter error", CLOCK, resync=True),
    case(400001, "Any of KC-API-KEY, KC-API-SIGN, KC-API-TIMESTAMP, KC-API-PASSPHRASE is missing", AUTH, 401),
    case(400003, "KC-API-KEY not exists", AUTH, 401),
    case(400004, "KC-API-PASSPHRASE error", AUTH, 401),
    case(400005, "Signature error", AUTH, 401),
    case(400006, "The requested ip address is not in the api whitelist", AUTH, 401),
    case(400007, "Access denied --> Your API key does not have sufficient permissions", AUTH, 403),
    case(411100, "User is frozen", AUTH),
    case(400100, "Parameter Error", REJECTED, 400),
    case(400100, "account.available.amount -- Insufficient balance", REJECTED, read=NO_READ),
    case(400200, "Forbidden to place an order", REJECTED, read=NO_READ),
    case(400303, "Please complete the identity verification process", REJECTED),
    case(400500, "Your located country/region is currently not supported", REJECTED),
    case(400600, "validation.createOrder.symbolNotAvailable", REJECTED, read=NO_READ),
    case(400700, "Transaction restricted, there's a risk problem in your account", REJECTED),
    case(400800, "Leverage order failed", REJECTED, read=NO_READ),
    case(404000, "Url Not Found", ("bug", "bug"), 404),
    case(415000, "Unsupported Media Type", REJECTED, 415),
    case(200004, "Balance insufficient!", REJECTED, read=NO_READ, headers=pool(900)),
    case(200003, "Number of orders breached the limit", REJECTED, read=NO_READ),
    case(900001, "symbol does not exist", REJECTED),
    case(130203, "Insufficient account balance", REJECTED, read=NO_READ),
    case(126013, "Insufficient account balance", REJECTED, read=NO_READ),
    case(126003, "The commission amount is less than the minimum transaction amount", REJECTED, read=NO_READ),
    case(126044, "clientOid duplicate", REJECTED, read=NO_READ, duplicate=True),
    case(102426, "Duplicate user-defined unique order ID", REJECTED, read=NO_READ, duplicate=True),
    case(400100, "The clientOid already exists", REJECTED, read=NO_READ, duplicate=True),
    case(300018, "clientOid duplicated", REJECTED, read=NO_READ, duplicate=True),
    Case("Nothing of what was asked for", data(None), UNREADABLE, read=TICKER),
    Case("An answer without data", '{"code":"200000"}', UNREADABLE, read=TICKER),
    Case("An answer without the envelope", '{"foo": 1}', UNREADABLE),
    Case("No candles in that time", data([]), SUCCESS, read=CANDLES, order=False),
    Case("An order that was accepted", data({"orderId": "670fd33bf9406e0007ab3945", "clientOid": "abc"}), SUCCESS,
         headers=pool(9000), read=NO_READ),
]  # fmt: skip
