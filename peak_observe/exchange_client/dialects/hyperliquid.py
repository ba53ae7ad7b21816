"""Error vocabulary of Hyperliquid: sentences instead of codes."""

from __future__ import annotations

import re

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    DUPLICATE,
    LIMITED,
    MAINTENANCE,
    NONCE,
    REJECTED,
    UNSURE,
    Dialect,
    Rule,
    json_codes,
    phrase,
)

_ONE_IN_TEN_SECONDS = Rule("rate_limited", wait=10.0)
"""An address that has used up its requests may make one every ten seconds."""

DIALECT = Dialect(
    sources=(
        "https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/error-responses",
        "https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/nonces-and-api-wallets",
        "https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/rate-limits-and-user-limits",
    ),
    patterns=(json_codes("error", "response"),),
    phrases=(
        phrase(r"invalid nonce|duplicate nonce|nonce too (?:low|high|old)", NONCE),
        phrase(r"too many cumulative requests", _ONE_IN_TEN_SECONDS),
        phrase(r"too many requests|rate limit(?:ed)?", LIMITED),
        phrase(r"duplicate cloid|cloid (?:is )?already", DUPLICATE),
        # The wallet is computed from the signature: a wrong key or a wrong payload gives one that does not exist.
        phrase(r"User or API Wallet|L1 error: User or API", AUTH),
        phrase(r"trading is halted|only post-only orders allowed", MAINTENANCE),
        phrase(r"internal (?:server )?error|timed? ?out", UNSURE),
        phrase(r"was never placed, already canceled, or filled|unknownOid", REJECTED),
    ),
    partial=re.compile(r'"statuses"\s*:.*"(?:resting|filled)"', re.DOTALL),
)
