"""Intents: what the journal knows of one order, and what makes two orders of one key the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from peak_observe.catalog import ORDER_STATES
from peak_observe.support.secret_names import is_secret
from peak_observe.support.shown import shown

INTENDED, SENT, OPEN, CLOSED, REFUSED, UNKNOWN = ORDER_STATES
PENDING = (INTENDED, SENT, UNKNOWN)
"""States of orders that are not settled."""

UNSETTLED = (SENT, UNKNOWN)
"""States of orders that may or may not stand."""

LONGEST_KEY = 200

_CONDITIONAL = frozenset(
    ("triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice", "trailingPercent", "trailingAmount")
)
# What decides where ccxt looks for an order; other parameters are not kept.
_LOOKED_UP_BY = frozenset(
    (
        "trigger", "stop", "trailing", "marginMode", "portfolioMargin", "uta", "type", "subType", "category", "settle",
        "settleCoin", "user", "subAccountAddress",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OrderArguments:
    """Arguments of an order, as ccxt's `create_order` takes them.

    Args:
        symbol: The market.
        type: ccxt's type, such as `limit` or `market`.
        side: `buy` or `sell`.
        amount: The amount; with a cost in `params`, what ccxt wants there.
        price: The price, if the type has one.
        params: Further parameters of ccxt and the exchange.
    """

    symbol: str
    type: str
    side: str
    amount: float | str | None
    price: float | str | None
    params: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The order in words, such as `limit buy 0.1 BTC/USD at 50000`."""
        at = "" if self.price is None else f" at {self.price}"
        amount = "" if self.amount is None else f" {self.amount}"
        return f"{self.type} {self.side}{amount} {self.symbol}{at}"

    @property
    def conditional(self) -> bool:
        """Whether it waits for a trigger, so that some exchanges keep it in a place of its own."""
        return bool(_CONDITIONAL & self.params.keys()) or any(
            self.params.get(name) for name in ("trigger", "stop", "trailing")
        )

    def look_up(self) -> dict[str, Any]:
        """Return the parameters by which an order of this kind is looked up."""
        return {name: value for name, value in self.params.items() if name in _LOOKED_UP_BY}

    def fingerprint(self, exchange: str) -> str:
        """Return a digest that equal orders at one exchange share; what may be a secret has no part in it."""
        plain = [exchange, self.symbol, self.type, self.side, _number(self.amount), _number(self.price)]
        text = json.dumps([*plain, _without_secrets(self.params)], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """One order as the journal knows it.

    Attributes:
        key: The caller's name for it.
        exchange: The name of the exchange client.
        exchange_id: ccxt's id of the exchange.
        symbol: The market.
        type: ccxt's type.
        side: `buy` or `sell`.
        text: The order in words.
        client_order_id: The id that the exchange knows it by.
        state: `intended`, `sent`, `open`, `closed`, `refused` or `unknown`.
        created_at: Unix time of the intention.
        updated_at: Unix time of the last step.
        sends: How many requests for it went out.
        sent_at: Unix time of the last one, None before.
        reason: Why it was refused, or why its fate is unknown.
        order: ccxt's order structure as last seen, without `info`; None before there was one.
    """

    id: int
    key: str
    exchange: str
    exchange_id: str
    symbol: str
    type: str
    side: str
    text: str
    fingerprint: str
    client_order_id: str
    look_up: dict[str, Any]
    conditional: bool
    state: str
    created_at: float
    updated_at: float
    sends: int = 0
    sent_at: float | None = None
    sent_monotonic: float | None = None
    boot: str = ""
    deadline: float = 0.0
    stands: bool = False
    reason: str = ""
    order: dict[str, Any] | None = None

    @property
    def pending(self) -> bool:
        """Whether the order is not settled."""
        return self.state in PENDING


def check_key(key: object) -> str:
    """Return the key of an order.

    Raises:
        ValueError: It is no text of 1 to 200 printable characters.
    """
    if not isinstance(key, str) or not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
        raise ValueError(
            f"the key of an order must be a text of 1 to {LONGEST_KEY} printable characters, not {shown(key)}"
        )
    return key


def check_amount(name: str, value: Any) -> None:
    """Raise ValueError unless an amount or a price is a finite number, a text of one, or None."""
    try:
        fits = value is None or (not isinstance(value, bool | bytes | bytearray) and math.isfinite(float(value)))
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(f"{name} must be a number, or a text of one, not {shown(value)}")


def _number(value: Any) -> Any:
    """Return a number in one form, however it was written: 1, 1.0 and "1.00" are the same amount."""
    try:
        return repr(float(value))
    except (TypeError, ValueError, OverflowError):
        return value


def _without_secrets(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(name): _without_secrets(value) if isinstance(value, Mapping) else value
        for name, value in params.items()
        if not is_secret(str(name))
    }
