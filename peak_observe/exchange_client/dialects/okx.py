"""Error vocabulary of OKX, with its houses in the USA and in Europe."""

from __future__ import annotations

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    CLOCK,
    DUPLICATE,
    LIMITED,
    MAINTENANCE,
    REJECTED,
    UNSURE,
    Dialect,
    codes,
    json_codes,
)

DIALECT = Dialect(
    sources=("https://www.okx.com/docs-v5/en/#error-code",),
    # A refused order has code 1, and its reason in `sCode`.
    patterns=(json_codes("sCode"), json_codes("code")),
    fine=frozenset(("0", "1", "2")),
    rules={
        # 50004: "does not mean that the request was successful or failed"; 51149: "order timed out".
        **codes(UNSURE, "500 50004 50013 50026 51054 51149 58007 63999"),
        **codes(LIMITED, "50011 50040 50061 51113 58102"),
        **codes(MAINTENANCE, "50001 50005 50046 50062 51767 51774"),
        **codes(CLOCK, "50102 50112 60004 60006"),
        **codes(AUTH, "50035 50100 50101 50103 50104 50105 50106 50107 50110 50111 50113 50114"),
        # Frozen positions and accounts, an order that came after its `expTime`, a repeated request, a failed transfer.
        **codes(REJECTED, "50017 50018 50019 50020 50021 50022 50023 50028 50036 50037 50042 51410 58111 58112"),
        **codes(DUPLICATE, "51011 51016 51065"),
    },
    container="data",
)
