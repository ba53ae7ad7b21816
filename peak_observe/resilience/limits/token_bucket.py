"""A token bucket as pure arithmetic: handed the time, it answers with a slot; it locks, waits and calls nothing.

It is the generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371, annex A), which keeps one moment
instead of a number of tokens: when the bucket will be full again. A slot is reserved before it is waited for, so
those that wait are let through in their order without any line of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

NOTHING = 1e-9
"""Seconds that are no wait: what adding up floats leaves of none."""


class Slot(NamedTuple):
    """A reserved turn: when the bucket would have been full without and with it, and the seconds until its time."""

    before: float
    after: float
    wait: float


class Bucket:
    """Gives out slots `interval` seconds apart, and up to `burst` at once after a pause.

    Args:
        interval: Seconds between two slots.
        burst: How many may be taken at once.
        now: The present second of a clock, which may step back: then no time has passed.
    """

    __slots__ = ("_cancelled", "_full_at", "_interval", "_seen", "_time", "_tolerance")

    def __init__(self, interval: float, burst: int, now: float) -> None:
        self._interval = interval
        self._tolerance = interval * (burst - 1)
        self._seen = now
        self._time: float = 0
        self._full_at: float = 0
        self._cancelled: dict[float, float] = {}

    def reserve(self, now: float, patience: float) -> Slot | float:
        """Return the next slot, or, if it is further away than `patience` seconds, how many it would take."""
        time = self._advance(now)
        start = max(self._full_at, time)
        wait = start - self._tolerance - time
        if wait <= NOTHING:
            wait = 0
        elif wait > patience:
            return wait
        slot = Slot(self._full_at, start + self._interval, wait)
        self._full_at = slot.after
        return slot

    def give_back(self, slot: Slot, now: float) -> None:
        """Take in that nobody uses the slot; it is free again once nobody has reserved a later one."""
        time = self._advance(now)
        self._cancelled[slot.after] = slot.before
        while self._full_at in self._cancelled:
            self._full_at = self._cancelled.pop(self._full_at)
        if self._cancelled:
            self._cancelled = {after: before for after, before in self._cancelled.items() if after > time}

    def waiting(self, now: float) -> int:
        """Return how many reserved slots are still to come."""
        time = self._advance(now)
        last = self._full_at - self._interval - self._tolerance  # the moment of the last slot
        ahead = math.ceil((last - time - NOTHING) / self._interval) if last - time > NOTHING else 0
        return max(0, ahead - len(self._cancelled))

    def _advance(self, now: float) -> float:
        if now > self._seen:
            self._time += now - self._seen
        self._seen = now
        return self._time
