"""Sliding-window log: at most so much weight in any stretch of a window's length, for several windows at once."""

from __future__ import annotations

from bisect import bisect_left
from copy import copy
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.resilience.limits.token_bucket import NOTHING, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDING = 1e-6
"""Weight by which sums of fractions may be wrong."""
END = attrgetter("after")


class Window(NamedTuple):
    """At most `limit` of weight in any `per` seconds."""

    limit: float
    per: float


class SlidingLog:
    """Reserves turns so that no window ever holds more than its limit.

    Each reserved turn stays in the log until the longest window has passed over it. Turns are in the order of their
    times, with the weight of all turns up to each, so the turn that has to leave a window first is found by bisection.

    Args:
        windows: The limits, all of which hold.
    """

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = tuple(windows)
        self.heaviest = min(window.limit for window in self._windows)
        self._longest = max(window.per for window in self._windows)
        self._log: list[Turn] = []
        self._first = 0
        self._total: float = 0

    def peek(self, time: float, weight: float = 1) -> float:
        """Return the seconds until a call of this weight would pass; 0 if it would pass at once."""
        if self._first == len(self._log):
            return 0
        at = max(time, self._log[-1].at)
        for limit, per in self._windows:
            leave = self._total + weight - limit - ROUNDING  # the weight that has to leave the window before
            if leave > self._log[self._first].before:
                at = max(at, self._log[bisect_left(self._log, leave, lo=self._first, key=END)].at + per)
        return at - time if at - time > NOTHING else 0

    def reserve(self, time: float, weight: float = 1) -> Turn:
        """Reserve the next turn for a call of this weight."""
        self._prune(time)
        turn = Turn(time + self.peek(time, weight), self._total, self._total + weight)
        self._log.append(turn)
        self._total = turn.after
        return turn

    def give_back(self, turn: Turn, time: float) -> None:  # noqa: ARG002 - one signature for both algorithms
        """Take a turn back that nobody uses; it is free again when no later one is reserved."""
        turn.given_back = True
        while self._log and self._log[-1].given_back:
            self._total = self._log.pop().before
        self._first = min(self._first, len(self._log))

    def grow_older(self, seconds: float) -> None:
        """Let the turns that have passed grow older although time stands still, as it does in a pause."""
        for turn in self._log:
            if turn.passed:
                turn.at -= seconds

    def inherit(self, other: SlidingLog, time: float) -> None:  # noqa: ARG002 - one signature for both algorithms
        """Begin with all turns of another log."""
        self._log = [copy(turn) for turn in other._log[other._first :]]
        self._total = other._total

    def _prune(self, time: float) -> None:
        while self._first < len(self._log) and self._log[self._first].at + self._longest <= time:
            self._first += 1
        if 2 * self._first > len(self._log):  # in halves, so that a call costs the same however long the log is
            del self._log[: self._first]
            self._first = 0
