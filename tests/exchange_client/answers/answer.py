"""One documented answer of an exchange, and the outcome of a read and of an order that get it."""

from collections.abc import Mapping
from typing import NamedTuple

from peak_observe.testing.clock import EPOCH

NOW = EPOCH.timestamp()
"""Time at which each answer comes, so that headers can name a moment after it."""

# The outcome of a read and of an order.
UNKNOWN_FATE = ("transient", "ambiguous")
NOT_DONE = ("transient", "transient")
UNREADABLE = ("bad_response", "ambiguous")
REJECTED = ("rejected", "rejected")
LIMITED = ("rate_limited", "rate_limited")
AUTH = ("auth", "auth")
CLOCK = ("clock", "clock")
MAINTENANCE = ("maintenance", "maintenance")
SUCCESS = ("success", "success")

BALANCE, TICKER, CANDLES, NO_READ, NO_ORDER = "fetch_balance", "fetch_ticker", "fetch_ohlcv", "", "-"


class Case(NamedTuple):
    """A documented answer.

    Args:
        meaning: The words with which the exchange, or a gateway, publishes it.
        body: The text.
        outcomes: Of the read and of the order.
        status: The HTTP status.
        headers: The response headers.
        wait: Seconds after which the exchange may be asked again; None where it asks for nothing.
        duplicate: Whether it proves that an earlier order with the same client order id stands.
        resync: Whether the clock is to be set.
        read: The read that gets it, `NO_READ` where only an order can.
        order: Whether an order can get it.
    """

    meaning: str
    body: str
    outcomes: tuple[str, str]
    status: int = 200
    headers: Mapping[str, str] = {}
    wait: float | None = None
    duplicate: bool = False
    resync: bool = False
    read: str = BALANCE
    order: bool = True
