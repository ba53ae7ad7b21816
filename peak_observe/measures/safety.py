"""Readings of trading switches, of their guards and of accounts."""

from __future__ import annotations

import math

from peak_observe import catalog
from peak_observe.measures.series import OTHER

REASON_LIMIT, LONGEST_REASON = 20, 100
"""Reasons of a switch that have series of their own, and the characters of each: a label is no place for a story."""


class TradingReading:
    """Reading of a trading switch, or of all of a name, which read the same file.

    `state` is None when no switch of the name lives; `reasons` has 1 for the one that holds, 0 for those before it;
    `changed` is a Unix time.
    """

    __slots__ = ("changed", "reasons", "refused", "state")

    def __init__(self, state: str | None, reasons: dict[str, int], refused: int, changed: float) -> None:
        self.state = state
        self.reasons = reasons
        self.refused = refused
        self.changed = changed

    def add(self, other: TradingReading) -> None:
        """Add another reading of the same name; the strictest state shows."""
        self.refused += other.refused
        self.changed = max(self.changed, other.changed)
        states = [state for state in (self.state, other.state) if state is not None]
        self.state = max(states, key=catalog.TRADING_STATES.index, default=None)
        both = (*self.reasons, *other.reasons)
        self.reasons = {key: max(self.reasons.get(key, 0), other.reasons.get(key, 0)) for key in both}

    def since(self, other: TradingReading) -> tuple[bool, bool, bool]:
        """Return whether refusals and state differ from an earlier reading."""
        state = (self.state, self.reasons, self.changed) != (other.state, other.reasons, other.changed)
        return self.refused != other.refused, state, False

    def retire(self) -> None:
        """Forget what only the living have."""
        self.state = None
        self.reasons = dict.fromkeys(self.reasons, 0)


class TradingTally:
    """Counts of one trading switch, which outlive it.

    Attributes:
        refused: Calls that were not made.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._state, self._changed = catalog.TRADING_STATES[0], 0.0
        self._reasons: dict[str, int] = {}

    def now(self, state: str, reason: str, changed: float) -> None:
        """Take in what holds now."""
        reasons = dict.fromkeys(self._reasons, 0)
        if state != catalog.TRADING_STATES[0]:
            label = f"{state}: {reason}"[:LONGEST_REASON]
            # As with classes of exceptions they only grow in number: whoever scrapes keeps the labels of lines.
            full = label not in reasons and len(reasons) >= REASON_LIMIT
            reasons[f"{state}: {OTHER}" if full else label] = 1
        self._state, self._changed, self._reasons = state, changed, reasons

    def read(self) -> TradingReading:
        """Return how things stand."""
        return TradingReading(self._state, self._reasons, self.refused, self._changed)


class GuardReading:
    """Reading of a guard, or of all of a name; the least headroom shows, and None when none lives."""

    __slots__ = ("headroom", "trips")

    def __init__(self, trips: dict[str, int], headroom: float | None) -> None:
        self.trips = trips
        self.headroom = headroom

    def add(self, other: GuardReading) -> None:
        """Add another reading of the same name."""
        both = (*self.trips, *other.trips)
        self.trips = {key: self.trips.get(key, 0) + other.trips.get(key, 0) for key in both}
        known = [headroom for headroom in (self.headroom, other.headroom) if headroom is not None]
        self.headroom = min(known, default=None)

    def since(self, other: GuardReading) -> tuple[bool, bool, bool]:
        """Return whether trips and headroom differ from an earlier reading."""
        return self.trips != other.trips, self.headroom != other.headroom, False

    def retire(self) -> None:
        """Forget what only the living have."""
        self.headroom = None


class GuardTally:
    """Counts of one guard, which outlive it.

    Args:
        limits: The labels of its limits.

    Attributes:
        trips: By limit how often it was exceeded.
        headroom: Share of the tightest limit that is left.
    """

    def __init__(self, limits: tuple[str, ...]) -> None:
        self.trips = dict.fromkeys(limits, 0)
        self.headroom = 1.0

    def read(self) -> GuardReading:
        """Return how things stand."""
        return GuardReading(dict(self.trips), self.headroom)


class AccountReading:
    """Reading of an account's equity and drawdown; both are None when nobody watches it."""

    __slots__ = ("drawdown", "equity")

    def __init__(self, equity: float | None = math.nan, drawdown: float | None = math.nan) -> None:
        self.equity = equity
        self.drawdown = drawdown

    def add(self, other: AccountReading) -> None:
        """Take in another reading of the same account; the later one shows."""
        if other.equity is not None:
            self.equity, self.drawdown = other.equity, other.drawdown

    def since(self, other: AccountReading) -> tuple[bool, bool, bool]:
        """Return whether the account differs from an earlier reading."""
        changed = repr((self.equity, self.drawdown)) != repr((other.equity, other.drawdown))  # NaN differs from itself
        return changed, changed, changed

    def retire(self) -> None:
        """Forget what only the living have."""
        self.equity = self.drawdown = None


class AccountTally:
    """Equity and drawdown of an account as one guard was told."""

    def __init__(self) -> None:
        self._equity = self._drawdown = math.nan

    def now(self, equity: float, drawdown: float) -> None:
        """Take in what the account is worth."""
        self._equity, self._drawdown = equity, drawdown

    def read(self) -> AccountReading:
        """Return how things stand."""
        return AccountReading(self._equity, self._drawdown)
