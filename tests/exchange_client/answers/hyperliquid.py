"""Documented answers of Hyperliquid, from https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api."""

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
    UNKNOWN_FATE,
    UNREADABLE,
    Case,
)

OPTIONS = {"builderFee": False, "approvedBuilderFee": True, "refSet": True, "enableUnifiedMargin": False}


def failed(words: str, outcomes: tuple[str, str] = REJECTED, **facts) -> Case:
    """Return a request that was refused as a whole."""
    return Case(words, json.dumps({"status": "err", "response": words}), outcomes, read=NO_READ, **facts)


def statuses(*found: object) -> str:
    """Return the answer to orders, one status each."""
    return json.dumps({"status": "ok", "response": {"type": "order", "data": {"statuses": list(found)}}})


def refused(words: str, outcomes: tuple[str, str] = REJECTED, **facts) -> Case:
    """Return an order that was refused."""
    return Case(words, statuses({"error": f"{words} asset=0"}), outcomes, read=NO_READ, **facts)


RESTING = {"resting": {"oid": 77738308, "cloid": "0x1234567890abcdef1234567890abcdef"}}

ANSWERS = [
    refused("Price must be divisible by tick size."),
    refused("Order must have minimum value of $10."),
    refused("Insufficient margin to place order."),
    refused("Reduce only order would increase position."),
    refused("Post only order would have immediately matched, bbo was 1@2."),
    refused("Order could not immediately match against any resting orders."),
    refused("Invalid TP/SL price."),
    refused("No liquidity available for market order."),
    refused("Order would increase open interest too quickly."),
    refused("Order would increase open interest while open interest is capped."),
    refused("Order rejected due to price more aggressive than oracle while at open interest cap."),
    refused("Order price cannot be more than 80% away from the reference price"),
    refused("Order has invalid size."),
    refused("Order has zero size."),
    refused("Order has invalid price."),
    refused("Insufficient spot balance"),
    refused("Order price too far from oracle"),
    refused("Order would cause position to exceed margin tier limit at current leverage"),
    refused("Order was never placed, already canceled, or filled."),
    refused("TWAP was never placed, already canceled, or filled."),
    refused("TWAP order value too small. Min is $1200, which is $10 per minute."),
    refused("Too many open orders: 1000"),
    refused("Trading is halted.", MAINTENANCE),
    refused("Only post-only orders allowed immediately after a network upgrade.", MAINTENANCE),
    refused("Duplicate cloid", duplicate=True),
    refused("Cloid already used by an open order", duplicate=True),
    failed("Invalid nonce: duplicate nonce 1700000000000", CLOCK),
    failed("Invalid nonce: nonce too low 1700000000000", CLOCK),
    failed("Invalid nonce", CLOCK),
    failed("User or API Wallet 0x0000000000000000000000000000000000000001 does not exist.", AUTH),
    failed("L1 error: User or API Wallet 0x0000000000000000000000000000000000000001 does not exist.", AUTH),
    failed("Must deposit before performing actions. User: 0x0000000000000000000000000000000000000002"),
    failed("Vault not registered: 0x0000000000000000000000000000000000000003"),
    failed("Too many cumulative requests sent (10001 > 10000) for cumulative volume traded $0.", LIMITED, wait=10.0),
    failed("Cannot switch leverage type with open position."),
    failed("Insufficient balance for withdrawal"),
    failed("Insufficient balance for token transfer"),
    failed("Internal error", UNKNOWN_FATE),
    failed("Request timed out", UNKNOWN_FATE),
    Case("422 a body that cannot be read", "Failed to deserialize the JSON body into the target type", REJECTED, 422,
         {"Content-Type": "text/plain"}),
    Case("429 1200 weight a minute", "null", LIMITED, 429, wait=5.0),
    Case("429 in words", "rate limited", LIMITED, 429, {"Content-Type": "text/plain", "Retry-After": "11"}, wait=11.0),
    Case("500", "Internal Server Error", UNKNOWN_FATE, 500, {"Content-Type": "text/plain"}),
    Case("An order that is not known", '{"status":"unknownOid"}', REJECTED, read=BALANCE),
    Case("An answer of another kind", '{"foo": 1}', UNREADABLE, read=NO_READ),
    Case("No status for the order", statuses(), UNREADABLE, read=NO_READ),
    Case("An empty account",
         '{"assetPositions":[],"crossMarginSummary":{},"marginSummary":{},"time":1,"withdrawable":"0.0"}', SUCCESS,
         read=BALANCE, order=False),
    Case("No candles in that time", "[]", SUCCESS, read=CANDLES, order=False),
    Case("An order that rests", statuses(RESTING), SUCCESS, read=NO_READ),
    Case("An order that was filled", statuses({"filled": {"totalSz": "0.1", "avgPx": "50000", "oid": 77747314}}),
         SUCCESS, read=NO_READ),
]  # fmt: skip
