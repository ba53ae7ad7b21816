"""Steps of an intent as the store takes them: from what was sent, answered or found to facts on the disk."""

from __future__ import annotations

import os
import sys
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.order_journal.intent import CLOSED, INTENDED, OPEN, SENT, UNKNOWN, OrderIntent
from peak_observe.exchange_client.order_journal.state_machine import Moment, allowed, state_of_order
from peak_observe.support.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock
    from peak_observe.exchange_client.order_journal.store import Store

_ORDER = (
    "id", "clientOrderId", "timestamp", "datetime", "lastTradeTimestamp", "lastUpdateTimestamp", "status", "symbol",
    "type", "timeInForce", "postOnly", "reduceOnly", "side", "price", "triggerPrice", "average", "amount", "filled",
    "remaining", "cost", "fee",
)  # fmt: skip
_PROCESS = uuid.uuid4().hex
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot() -> str:
    """Return a name of the start of the machine within which the monotonic clock counts; of the process elsewhere."""
    if sys.platform == "linux":
        with suppress(OSError):
            return _BOOT_ID.read_text(encoding="ascii").strip()
    return f"{os.getpid()}-{_PROCESS}"


def moment(clock: Clock) -> Moment:
    """Return the present."""
    return Moment(clock.now().timestamp(), clock.monotonic(), boot())


def sent_moment(intent: OrderIntent) -> Moment:
    """Return when the last request for an intent went out."""
    return Moment(intent.sent_at or intent.created_at, intent.sent_monotonic or 0.0, intent.boot)


def kept(order: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of ccxt's order structure: all of the order, nothing of the account."""
    return {name: order.get(name) for name in _ORDER}


def shown_order(intent: OrderIntent) -> dict[str, Any]:
    """Return ccxt's order structure of an intent, as last seen."""
    return {**(intent.order or {}), "info": {}, "trades": [], "fees": []}


def utc(timestamp: float) -> datetime:
    """Return a Unix time as a date in UTC."""
    return datetime.fromtimestamp(timestamp, UTC)


class Records:
    """Writer of the steps of one client.

    Args:
        store: Where they are kept.
        clock: Where time comes from.
        counted: Called with each state that an intent comes into.
    """

    def __init__(self, store: Store, clock: Clock, counted: Callable[[str], None]) -> None:
        self.store = store
        self._clock = clock
        self._counted = counted

    def intend(self, intent: OrderIntent) -> OrderIntent:
        """Return the intent of a key, kept if it is new."""
        found = self.store.add(intent)
        if found.client_order_id == intent.client_order_id and found.state == INTENDED and not found.sends:
            self._counted(INTENDED)
        return found

    def to(self, intent: OrderIntent, state: str, **facts: Any) -> OrderIntent:
        """Return an intent in another state, which is on the disk."""
        return self.all_to([intent], state, **facts)[0]

    def all_to(self, intents: list[OrderIntent], state: str, **facts: Any) -> list[OrderIntent]:
        """Return intents in another state, which is on the disk for all of them together."""
        for intent in intents:
            if not allowed(intent.state, state) and state != intent.state:
                raise AssertionError(f"{intent.key!r} cannot go from {intent.state} to {state}")
        facts = {"state": state, "updated_at": self._clock.now().timestamp(), **facts}
        sends = state == SENT
        found = self.store.change(
            (intent, {**facts, "sends": intent.sends + (sends and intent.state != SENT)}) for intent in intents
        )
        for intent in intents:
            if intent.state != state:
                self._counted(state)
        return found

    def sent(self, intents: list[OrderIntent], deadline: float) -> list[OrderIntent]:
        """Return intents whose request goes out now; of several requests of one call the last one counts."""
        now = moment(self._clock)
        facts = {"sent_at": now.wall, "sent_monotonic": now.monotonic, "boot": now.boot, "deadline": deadline}
        return self.all_to(intents, SENT, **facts, reason="")

    def seen(self, intent: OrderIntent, order: dict[str, Any]) -> OrderIntent:
        """Return an intent whose order the exchange has shown."""
        state = state_of_order(order.get("status"), order.get("filled"))
        state = state if allowed(intent.state, state) else CLOSED if intent.state in (OPEN, CLOSED) else state
        return self.to(intent, state, order=kept(order), stands=True, reason="")

    def unknown(self, intent: OrderIntent, reason: str, **facts: Any) -> OrderIntent:
        """Return an intent whose order may or may not stand."""
        return self.to(intent, UNKNOWN, reason=redact(reason), **facts)

    def absent(self, intent: OrderIntent, reason: str) -> OrderIntent:
        """Return an intent whose order is known not to stand, and may be sent."""
        return self.to(intent, INTENDED, reason=redact(reason))
