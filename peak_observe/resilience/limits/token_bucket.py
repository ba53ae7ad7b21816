"""Token bucket as pure arithmetic over explicit times: it reserves turns, and locks, waits and calls nothing.

The algorithm is the generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371, annex A): its only
state is the time at which the bucket will be full again. A turn is reserved before it is waited for, so callers pass
in the order in which they came without a queue.
"""

from __future__ import annotations

import math

NOTHING = 1e-9
"""Seconds that count as no wait: rounding errors of added floats."""


class Turn:
    """A reserved turn.

    Args:
        at: The time of the turn.
        before: What undoes the reservation: the state of the limiter before it.
        after: The state of the limiter after it.

    Attributes:
        passed: Whether the call has passed.
        given_back: Whether the call gave up before its turn came.
    """

    __slots__ = ("after", "at", "before", "given_back", "passed")

    def __init__(self, at: float, before: float, after: float) -> None:
        self.at = at
        self.before = before
        self.after = after
        self.passed = False
        self.given_back = False


class TokenBucket:
    """Reserves turns `interval` seconds apart, and up to `burst` at once after a pause.

    A call of weight 5 takes five tokens. One that is heavier than the bucket passes when the bucket is full, and the
    calls after it wait until its debt is paid, so the rate holds for calls of any weight.

    Args:
        interval: Seconds in which one token drips in.
        burst: How many tokens the bucket holds.
    """

    heaviest = math.inf
    """The largest weight that can ever pass."""

    def __init__(self, interval: float, burst: float) -> None:
        self._interval = interval
        self._burst = burst
        self._full_at: float = 0
        self._given_back: dict[float, float] = {}
        self._prune_at = 16

    def peek(self, time: float, weight: float = 1) -> float:
        """Return the seconds until a call of this weight would pass; 0 if it would pass at once."""
        tolerance = self._interval * (self._burst - min(weight, self._burst))
        wait = max(self._full_at, time) - tolerance - time
        return wait if wait > NOTHING else 0

    def reserve(self, time: float, weight: float = 1) -> Turn:
        """Reserve the next turn for a call of this weight."""
        at = time + self.peek(time, weight)
        turn = Turn(at, self._full_at, max(self._full_at, time) + self._interval * weight)
        self._full_at = turn.after
        return turn

    def give_back(self, turn: Turn, time: float) -> None:
        """Take a turn back that nobody uses; it is free again when no later one is reserved."""
        if turn.after != turn.before:
            self._given_back[turn.after] = turn.before
        while self._full_at in self._given_back:
            self._full_at = self._given_back.pop(self._full_at)
        if len(self._given_back) >= self._prune_at:  # in doubling steps, or 4,000 cancelled waiters cost seconds
            self._given_back = {after: before for after, before in self._given_back.items() if after > time}
            self._prune_at = 2 * len(self._given_back) + 16

    def grow_older(self, seconds: float) -> None:
        """Keep everything as it is: time stands still in a pause, and the bucket does not fill."""

    def inherit(self, other: TokenBucket, time: float) -> None:
        """Begin with as many tokens missing as in another bucket."""
        missing = max(0.0, other._full_at - time) / other._interval
        self._full_at = time + missing * self._interval
