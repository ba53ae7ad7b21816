"""Documented answers of Bitget, from https://www.bitget.com/api-doc/spot/error-code/restapi and its siblings."""

import json

from tests.exchange_client.answers.answer import (
    AUTH,
    BALANCE,
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

OPTIONS = {"uta": False}


def said(code: str, words: str, data: object = None) -> str:
    """Return Bitget's envelope."""
    return json.dumps({"code": code, "msg": words, "requestTime": 1627293504612, "data": data})


def case(code: str, words: str, outcomes: tuple[str, str], status: int = 400, **facts) -> Case:
    """Return an error in the envelope."""
    return Case(f"{code} {words}", said(code, words), outcomes, status, **facts)


ANSWERS = [
    case("40010", "Request timed out", UNKNOWN_FATE),
    case("40015", "System is abnormal, please try again later", UNKNOWN_FATE),
    case("40604", "Server is busy, please try again later", UNKNOWN_FATE),
    case("40725", "service return an error", UNKNOWN_FATE),
    case("40908", "Concurrent operation failed", UNKNOWN_FATE),
    case("40909", "Transfer processing", UNKNOWN_FATE),
    case("40910", "Operation timed out", UNKNOWN_FATE),
    case("43059", "Request failed, please try again", UNKNOWN_FATE),
    case("45001", "Unknown error", UNKNOWN_FATE),
    case("49040", "Unknown Error", UNKNOWN_FATE),
    case("50008", "network timeout", UNKNOWN_FATE),
    case("50031", "System error", UNKNOWN_FATE),
    case("25000", "System error, please try again later", UNKNOWN_FATE),
    case("25001", "Operation timed out", UNKNOWN_FATE),
    case("500", "System busy", UNKNOWN_FATE, 500),
    Case("An exception of the first version", '{"status":"fail","err_code":"01001","err_msg":"系统异常"}',
         UNKNOWN_FATE),
    Case("No peer behind the gateway", '{"message":"failure to get a peer from the ring-balancer"}', UNKNOWN_FATE, 503),
    case("40200", "Server upgrade, please try again later", MAINTENANCE),
    case("40308", "The contract is being temporarily maintained", MAINTENANCE),
    case("40844", "This contract is under temporary maintenance", MAINTENANCE),
    case("45043", "Due to settlement or maintenance reasons, the trade is suspended", MAINTENANCE),
    case("50027", "The trading pair is suspended for maintenance", MAINTENANCE),
    case("41114", "The current trading pair is under maintenance", MAINTENANCE),
    case("429", "Too Many Requests", LIMITED, 429, wait=5.0),
    case("1001", "The request is too frequent and has been throttled", LIMITED, 429, wait=5.0),
    case("50009", "The operation is too frequent, please try again later", LIMITED, wait=5.0),
    case("45129", "Cancel order is too frequent", LIMITED, wait=5.0),
    case("40004", "Request timestamp expired", CLOCK, resync=True),
    case("40005", "Invalid ACCESS_TIMESTAMP", CLOCK, resync=True),
    case("40008", "Request timestamp expired", CLOCK, resync=True),
    case("40078", "Timestamp for this request is outside of the ME receiveWindow.", CLOCK, resync=True),
    case("30008", "timestamp request expired", CLOCK, resync=True),
    case("40006", "Invalid ACCESS_KEY", AUTH),
    case("40009", "sign signature error", AUTH),
    case("40011", "The request header ACCESS_PASSPHRASE cannot be empty", AUTH),
    case("40012", "apikey/password is incorrect", AUTH),
    case("40014", "Incorrect permissions, need spot order write permissions", AUTH),
    case("40018", "Invalid IP", AUTH, 403),
    case("40024", "Account has been frozen", AUTH),
    case("40037", "Apikey does not exist", AUTH),
    case("40038", "The current ip is not in the apikey ip whitelist", AUTH, 403),
    case("40017", "Parameter verification failed symbol", REJECTED),
    case("40034", "Parameter BTCUSD does not exist", REJECTED),
    case("43012", "Insufficient balance", REJECTED, read=NO_READ),
    case("40762", "The order size is greater than the max open size", REJECTED, read=NO_READ),
    case("43001", "The order does not exist", REJECTED, read=NO_READ),
    case("45110", "less than the minimum amount 1 USDT", REJECTED, read=NO_READ),
    case("43008", "The current order price cannot be less than 1 USDT", REJECTED, read=NO_READ),
    case("45023", "Error creating order", REJECTED, read=NO_READ),
    case("40786", "Duplicate clientOid", REJECTED, read=NO_READ, duplicate=True),
    case("43118", "clientOrderId duplicate", REJECTED, read=NO_READ, duplicate=True),
    case("45034", "clientOid duplicate", REJECTED, read=NO_READ, duplicate=True),
    case("40708", "client_oid duplicate", REJECTED, read=NO_READ, duplicate=True),
    case("25212", "Duplicate clientOid", REJECTED, read=NO_READ, duplicate=True),
    Case("A ticker that is not there", said("00000", "success", []), UNREADABLE, read=TICKER, order=False),
    Case("An answer without data", '{"code":"00000","msg":"success"}', UNREADABLE, read=TICKER),
    Case("An answer without the envelope", '{"foo": 1}', UNREADABLE),
    Case("An empty account", said("00000", "success", []), SUCCESS, read=BALANCE, order=False),
    Case("No candles in that time", said("00000", "success", []), SUCCESS, read=CANDLES, order=False),
    Case("An order that was accepted", said("00000", "success", {"orderId": "1001", "clientOid": "abc"}), SUCCESS,
         read=NO_READ),
]  # fmt: skip
