"""Events of the order journal."""

from __future__ import annotations

from typing import NamedTuple

from peak_observe.support.shown import record_repr


class OrderSettled(NamedTuple):
    """An order whose fate was open is known: it stands, or it does not.

    Args:
        name: The exchange client's name.
        key: The order's key in the journal.
        client_order_id: The id that the exchange knows it by.
        order: The order in words, such as `limit buy 0.1 BTC/USD at 50000`.
        outcome: `open`, `closed`, `refused` or `absent`.
    """

    name: str
    key: str
    client_order_id: str
    order: str
    outcome: str

    def __repr__(self) -> str:
        return record_repr(self)


class OrderUnresolved(NamedTuple):
    """An order may or may not stand, and the exchange could not be asked, or its answers prove nothing.

    Args:
        name: The exchange client's name.
        key: The order's key in the journal.
        client_order_id: The id that the exchange knows it by.
        order: The order in words.
        sent_at: Unix time at which the last request for it went out.
        reason: Why nothing is known.
    """

    name: str
    key: str
    client_order_id: str
    order: str
    sent_at: float
    reason: str

    def __repr__(self) -> str:
        return record_repr(self)
