"""Readings of websockets: of an exchange's connections, and of each stream and group of symbols."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from peak_observe import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

SEPARATOR = "\x00"
"""Stands between exchange, stream and group in a name of `STREAMS`; no label value has it."""


class ConnectionReading:
    """Reading of all websockets of an exchange.

    `dials` follows `catalog.DIAL_OUTCOMES`, `breaks` `catalog.CLOSE_CODES`; `connections` is how many are open, None
    when no object of the exchange lives.
    """

    __slots__ = ("backoff_seconds", "breaks", "connections", "dials", "malformed")

    def __init__(self) -> None:
        self.dials = [0] * len(catalog.DIAL_OUTCOMES)
        self.breaks = [0] * len(catalog.CLOSE_CODES)
        self.backoff_seconds = 0.0
        self.malformed = 0
        self.connections: int | None = None

    def add(self, other: ConnectionReading) -> None:
        """Take in another object of the same exchange."""
        self.dials = [a + b for a, b in zip(self.dials, other.dials, strict=True)]
        self.breaks = [a + b for a, b in zip(self.breaks, other.breaks, strict=True)]
        self.backoff_seconds += other.backoff_seconds
        self.malformed += other.malformed
        known = [count for count in (self.connections, other.connections) if count is not None]
        self.connections = sum(known) if known else None

    def since(self, other: ConnectionReading) -> tuple[bool, bool, bool]:
        """Return whether anything differs from an earlier reading."""
        changed = any(getattr(self, fact) != getattr(other, fact) for fact in self.__slots__)
        return changed, changed, False

    def retire(self) -> None:
        """Forget the connections, which are closed."""
        self.connections = None


class StreamReading:
    """Reading of one stream and group of symbols of an exchange; ages and limits are NaN where there is none.

    Gauges are None when no object of the exchange lives. `connected` is 1 if all connections that carry it are open,
    0 if one is not, NaN while nobody watches it.
    """

    __slots__ = ("connected", "gaps", "max_silence", "message_age", "messages", "ping_age", "silence", "subscriptions")

    def __init__(self) -> None:
        self.messages = self.gaps = 0
        self.subscriptions: int | None = 0
        self.connected: float | None = math.nan
        self.message_age: float | None = math.nan
        self.ping_age: float | None = math.nan
        self.silence: float | None = math.nan
        self.max_silence: float | None = math.nan

    def add(self, other: StreamReading) -> None:
        """Take in another object of the same exchange: of ages the older, of promises the shorter."""
        self.messages += other.messages
        self.gaps += other.gaps
        known = [count for count in (self.subscriptions, other.subscriptions) if count is not None]
        self.subscriptions = sum(known) if known else None
        for fact, worse in _WORSE.items():
            setattr(self, fact, _worst(worse, (getattr(self, fact), getattr(other, fact))))

    def since(self, other: StreamReading) -> tuple[bool, bool, bool]:
        """Return whether messages or gaps differ from an earlier reading; all else changes with time."""
        return (self.messages, self.gaps) != (other.messages, other.gaps), False, False

    def retire(self) -> None:
        """Forget the gauges."""
        self.subscriptions = None
        for fact in _WORSE:
            setattr(self, fact, None)


_WORSE = {"connected": min, "message_age": max, "ping_age": max, "silence": max, "max_silence": min}


def _worst(worse: object, values: Iterable[float | None]) -> float | None:
    living = [value for value in values if value is not None]
    told = [value for value in living if not math.isnan(value)]
    if not told:
        return math.nan if living else None
    return min(told) if worse is min else max(told)
