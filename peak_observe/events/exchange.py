"""Events of exchange clients."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from peak_observe.support.shown import record_repr


class RateLimited(NamedTuple):
    """An exchange announced a rate limit or ban that lasts longer than the one before.

    Args:
        name: The exchange client's name.
        endpoint: The endpoint.
        until: The Unix time before which it does not want to be asked again.
        reason: The exchange's words, in short.
        error: The exception of ccxt, if there was one.
    """

    name: str
    endpoint: str
    until: float
    reason: str
    error: BaseException | None = None

    def __repr__(self) -> str:
        return record_repr(self)


class KeyRefused(NamedTuple):
    """An exchange rejected the API key, its signature or its permissions; emitted once until a call succeeds.

    Args:
        name: The exchange client's name.
        endpoint: The endpoint.
        reason: The exchange's words, in short.
        error: The exception of ccxt, if there was one.
    """

    name: str
    endpoint: str
    reason: str
    error: BaseException | None = None

    def __repr__(self) -> str:
        return record_repr(self)


class WriteUnanswered(NamedTuple):
    """A request that changes something was sent and its outcome is unknown.

    Args:
        name: The exchange client's name.
        endpoint: The endpoint.
        client_order_ids: By which the orders can be asked for.
        at: When it was sent, in UTC.
        reason: How it ended, in short.
        error: The exception, if any.
        method: The method of ccxt that was called, such as `create_order`; empty if none with known arguments was.
        order: Summary of its arguments, such as `limit buy 0.1 BTC/USD at 50000`; of a batch, of each order.
        symbol: The market, if it was about one.
        side: `buy` or `sell`, if it was an order.
        amount: The amount, if it was given.
        price: The price, if it was given.
        repeatable: Whether the program may send it again, as nobody prevents that outside of a client.
    """

    name: str
    endpoint: str
    client_order_ids: tuple[str, ...]
    at: datetime
    reason: str
    error: BaseException | None = None
    method: str = ""
    order: str = ""
    symbol: str | None = None
    side: str | None = None
    amount: float | str | None = None
    price: float | str | None = None
    repeatable: bool = False

    def __repr__(self) -> str:
        return record_repr(self)
