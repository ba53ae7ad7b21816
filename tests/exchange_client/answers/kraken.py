"""Documented answers of Kraken, from https://docs.kraken.com/api/docs/guides/spot-errors."""

import json

from tests.exchange_client.answers.answer import (
    AUTH,
    BALANCE,
    CANDLES,
    CLOCK,
    LIMITED,
    MAINTENANCE,
    NO_READ,
    NOW,
    REJECTED,
    SUCCESS,
    TICKER,
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS: dict = {}


def case(error: str, outcomes: tuple[str, str], status: int = 200, **facts) -> Case:
    """Return an error in Kraken's envelope."""
    return Case(error, json.dumps({"error": [error]}), outcomes, status, **facts)


def result(found: object) -> str:
    """Return a success in the envelope."""
    return json.dumps({"error": [], "result": found})


ANSWERS = [
    case("EGeneral:Internal error", UNKNOWN_FATE),
    case("EGeneral:Internal error[:5]", UNKNOWN_FATE),
    case("EService:Timeout", UNKNOWN_FATE),
    case("EService:Busy", UNKNOWN_FATE),
    case("EDatabase:Internal error", UNKNOWN_FATE),
    case("EService:Unavailable", MAINTENANCE),
    case("EService:Market in cancel_only mode", MAINTENANCE),
    case("EService:Market in post_only mode", MAINTENANCE),
    case("EService:Market in limit_only mode", MAINTENANCE),
    case("EService:Deadline elapsed", REJECTED),
    case("EAPI:Invalid key", AUTH),
    case("EAPI:Invalid signature", AUTH),
    case("ESession:Invalid session", AUTH),
    case("EGeneral:Permission denied", AUTH),
    case("EAuth:Account temporary disabled", AUTH),
    case("EAuth:Account unconfirmed", AUTH),
    case("ETrade:User Locked", AUTH),
    case("EAPI:Invalid nonce", CLOCK),
    case("EAPI:Rate limit exceeded", LIMITED, wait=5.0),
    case("EAuth:Rate limit exceeded", LIMITED, wait=5.0),
    case("EAuth:Too many requests", LIMITED, wait=5.0),
    case("EGeneral:Too many requests", LIMITED, wait=5.0),
    case("EGeneral:Temporary lockout", LIMITED, wait=900.0),
    case(f"EService:Throttled: {NOW + 30:.0f}", LIMITED, wait=30.0),
    case("EOrder:Rate limit exceeded", LIMITED, read=NO_READ, wait=5.0),
    case("EOrder:Domain rate limit exceeded", LIMITED, read=NO_READ, wait=5.0),
    case("EGeneral:Invalid arguments", REJECTED),
    case("EGeneral:Invalid arguments:volume", REJECTED),
    case("EGeneral:Unknown method", REJECTED),
    case("EQuery:Unknown asset pair", REJECTED),
    case("EAPI:Bad request", REJECTED),
    case("EAPI:Feature disabled", REJECTED),
    case("EAccount:Invalid permissions:BTC trading restricted", REJECTED, read=NO_READ),
    case("EFunding:Unknown withdraw key", REJECTED),
    case("EOrder:Insufficient funds", REJECTED, read=NO_READ),
    case("EOrder:Order minimum not met", REJECTED, read=NO_READ),
    case("EOrder:Cost minimum not met", REJECTED, read=NO_READ),
    case("EOrder:Tick size check failed", REJECTED, read=NO_READ),
    case("EOrder:Post only order", REJECTED, read=NO_READ),
    case("EOrder:Orders limit exceeded", REJECTED, read=NO_READ),
    case("EOrder:Positions limit exceeded", REJECTED, read=NO_READ),
    case("EOrder:Margin allowance exceeded", REJECTED, read=NO_READ),
    case("EOrder:Unknown order", REJECTED, read=NO_READ),
    case("EOrder:Duplicate client order id", REJECTED, read=NO_READ, duplicate=True),
    case("EOrder:Reduce only:No position exists", REJECTED, read=NO_READ),
    Case("520: the order may have reached the engine", "", UNKNOWN_FATE, 520),
    Case("Nothing of what was asked for", result({}), UNREADABLE, read=TICKER),
    Case("No series of candles", result({}), UNREADABLE, read=CANDLES, order=False),
    Case("An answer without a result", '{"error":[]}', UNREADABLE, read=BALANCE),
    Case("An empty account", result({}), ("success", "ambiguous"), read=BALANCE),
    Case("No candles in that time", result({"XXBTZUSD": [], "last": 1}), SUCCESS, read=CANDLES, order=False),
    Case("An order that was accepted",
         result({"descr": {"order": "buy 0.1 XBTUSD @ limit 50000.0"}, "txid": ["OUF4EM-FRGI2-MQMWZD"]}), SUCCESS,
         read=NO_READ),
]  # fmt: skip
