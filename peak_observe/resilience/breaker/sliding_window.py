"""Sliding windows of a circuit: a ring of the last calls, or ten buckets of the last seconds; O(1) a call.

No call and no jump stands between the stores of a change, so that Ctrl-C, which Python heeds only there, tears nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TypeAlias

    from peak_observe.resilience.breaker.settings import Settings

    Window: TypeAlias = "CountWindow | TimeWindow"

# What a call came to, as a window keeps it: 0 for a quick success, else one of these or both.
FAILED, SLOW = 1, 2
BUCKETS = 10


class Totals(NamedTuple):
    """Calls, failures and slow calls of a window at one moment."""

    calls: int
    failures: int
    slow: int

    @property
    def failure_ratio(self) -> float:
        """Failures as a share of the calls; 0.0 of none."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def slow_ratio(self) -> float:
        """Slow calls as a share of the calls; 0.0 of none."""
        return self.slow / self.calls if self.calls else 0.0


class CountWindow:
    """Window of the last calls.

    Args:
        size: How many.

    Attributes:
        lazy: Whether quick successes may come in later, in a heap.
    """

    __slots__ = ("_at", "_calls", "_failures", "_ring", "_slow")
    lazy = True

    def __init__(self, size: int) -> None:
        self._ring = bytearray(size)
        self._at = self._calls = self._failures = self._slow = 0

    def add(self, now: float, code: int, times: int = 1) -> None:  # noqa: ARG002 - the other kind asks for the time
        """Add calls that ended alike."""
        if times > 1:
            self._add_many(code, min(times, len(self._ring)))
            return
        ring, at = self._ring, self._at
        size, old = len(ring), ring[at]
        following = at + 1 if at + 1 < size else 0
        calls = self._calls + (self._calls < size)
        failures = self._failures + (code & FAILED) - (old & FAILED)
        slow = self._slow + (code & SLOW) // SLOW - (old & SLOW) // SLOW
        ring[at] = code
        self._at, self._calls, self._failures, self._slow = following, calls, failures, slow

    def _add_many(self, code: int, times: int) -> None:
        ring, at = bytearray(self._ring), self._at
        first = min(times, len(ring) - at)
        ring[at : at + first] = bytes((code,)) * first
        ring[: times - first] = bytes((code,)) * (times - first)
        calls, following = min(len(ring), self._calls + times), (at + times) % len(ring)
        failures = ring.count(FAILED) + ring.count(FAILED | SLOW)
        slow = ring.count(SLOW) + ring.count(FAILED | SLOW)
        self._ring, self._at, self._calls, self._failures, self._slow = ring, following, calls, failures, slow

    def totals(self, now: float) -> Totals:  # noqa: ARG002 - see add()
        """Return the sums of its calls."""
        return Totals(self._calls, self._failures, self._slow)

    def transfer(self, now: float, into: Window) -> None:
        """Add all its calls to another window, oldest first."""
        ring, at = self._ring, self._at
        held = (ring[at:] + ring[:at])[len(ring) - self._calls :]
        if isinstance(into, CountWindow):
            into.replace(held)
            return
        for code in range((FAILED | SLOW) + 1):
            into.add(now, code, held.count(code))

    def replace(self, codes: bytes | bytearray) -> None:
        """Replace all calls, with the newest as far as there is room."""
        size = len(self._ring)
        newest = codes[-size:]
        self._ring[: len(newest)] = newest
        self._at, self._calls = len(newest) % size, len(newest)
        self.recount()

    def recount(self) -> None:
        """Recompute the sums."""
        self._add_many(0, 0)


class TimeWindow:
    """Window of the calls of the last seconds, in ten buckets.

    Args:
        seconds: How many.
    """

    __slots__ = ("_calls", "_failures", "_from", "_past", "_slow", "_until", "_width")
    lazy = False

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._past: list[tuple[int, int, int]] = []
        self._calls = self._failures = self._slow = 0
        self._from = self._until = -math.inf
        self._clear(-math.inf)

    def add(self, now: float, code: int, times: int = 1) -> None:
        """Add calls that ended alike."""
        if not self._from <= now < self._until:
            self._turn(now)
        self._calls += times
        if code:
            self._failures += times * (code & FAILED)
            self._slow += times * (code & SLOW) // SLOW

    def totals(self, now: float) -> Totals:
        """Return the sums of its calls."""
        if not self._from <= now < self._until:
            self._turn(now)
        return Totals(*map(sum, zip(*self._past, (self._calls, self._failures, self._slow), strict=True)))

    def transfer(self, now: float, into: Window) -> None:
        """Add all its calls to another window, oldest first."""
        self.totals(now)
        buckets = [*self._past, (self._calls, self._failures, self._slow)]
        for age, (calls, failures, slow) in zip(reversed(range(BUCKETS)), buckets, strict=True):
            moment = now - age * self._width
            both = min(failures, slow)
            parts = ((0, calls - failures - slow + both), (FAILED, failures - both), (SLOW, slow - both))
            for code, times in (*parts, (FAILED | SLOW, both)):
                if times > 0:
                    into.add(moment, code, times)

    def recount(self) -> None:
        """Do nothing, as the sums are computed when they are read."""

    def _turn(self, now: float) -> None:
        if now < self._from - self._width * BUCKETS:
            self._clear(now)  # a clock that went back that far would keep old failures for as long
        elif now >= self._until:
            passed = max(1, int(min((now - self._from) / self._width, BUCKETS)))
            filled = [*self._past, (self._calls, self._failures, self._slow), *[(0, 0, 0)] * (passed - 1)]
            # Whatever rounding does, this moment is within the bucket: else the next look would turn once more.
            start = min(now, self._from + passed * self._width) if passed < BUCKETS else now
            until = max(start + self._width, math.nextafter(now, math.inf))
            self._past = filled[passed:]
            self._calls = self._failures = self._slow = 0
            self._from, self._until = start, until

    def _clear(self, now: float) -> None:
        self._past = [(0, 0, 0)] * (BUCKETS - 1)
        self._calls = self._failures = self._slow = 0
        self._from, self._until = now, now + self._width


def build_window(settings: Settings) -> Window | None:
    """Return an empty window as configured; None where consecutive failures open the circuit."""
    if settings.window is not None:
        return CountWindow(settings.window)
    return None if settings.window_seconds is None else TimeWindow(settings.window_seconds)


def resize_window(before: Window | None, settings: Settings, now: float) -> Window | None:
    """Return a window as configured, filled with the calls of another one."""
    window = build_window(settings)
    if before is not None and window is not None:
        before.transfer(now, window)
    return window
