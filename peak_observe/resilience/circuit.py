"""The circuit as a pure state machine: handed the time and an outcome, it answers; it locks, waits and calls nothing.

The states and their order are those of `catalog.STATES`. A permit is the number of the era in which it was given;
every change of state begins a new era, so an answer that comes late changes nothing. After Nygard, "Release It!"
(2007), as in resilience4j, with one probe at a time.
"""

from __future__ import annotations

from typing import NamedTuple

from peak_observe import catalog
from peak_observe.measures import increased

CLOSED, OPEN, HALF_OPEN = (catalog.STATES.index(state) for state in ("closed", "open", "half_open"))


class Change(NamedTuple):
    """A change of state: indices of the states, the monotonic second in which it happened, and why."""

    old: int
    new: int
    at: float
    reason: str


class Circuit:
    """Counts consecutive failures, and opens, probes and closes by them.

    Args:
        failure_threshold: Consecutive failures that open the circuit.
        recovery_timeout: Seconds an open circuit waits before it lets a probe through.
        now: The present second of a monotonic clock.
    """

    __slots__ = (
        "entered",
        "era",
        "failure_threshold",
        "failures",
        "pause",
        "probing",
        "recovery_timeout",
        "seconds",
        "since",
        "state",
    )

    def __init__(self, failure_threshold: int, recovery_timeout: float, now: float) -> None:
        self.failure_threshold = failure_threshold
        self.recovery_timeout = recovery_timeout
        self.pause = recovery_timeout
        self.state = CLOSED
        self.era = 0
        self.failures = 0
        self.probing = False
        self.since = now
        self.seconds = [0.0] * len(catalog.STATES)
        self.entered = [0] * len(catalog.STATES)

    def advance(self, now: float) -> Change | None:
        """Let time pass: an open circuit that is due becomes half-open, dated when it was due."""
        due = self.since + self.pause
        if self.state == OPEN and now >= due:
            return self._enter(HALF_OPEN, due, "recovery timeout passed")
        return None

    def at(self, now: float) -> Circuit:
        """Return a copy that time has passed for; this circuit stays as it is."""
        view = Circuit.__new__(Circuit)  # by hand: every scrape does this for every breaker, and copy() is slow
        view.failure_threshold = self.failure_threshold
        view.recovery_timeout = self.recovery_timeout
        view.pause = self.pause
        view.state = self.state
        view.era = self.era
        view.failures = self.failures
        view.probing = self.probing
        view.since = self.since
        view.seconds = self.seconds.copy()
        view.entered = self.entered
        view.advance(now)
        view.seconds[view.state] += max(0.0, now - view.since)
        return view

    def admit(self) -> int | None:
        """Return a permit for one call, or None: refused."""
        if self.state == CLOSED:
            return self.era
        if self.state == HALF_OPEN and not self.probing:
            self.probing = True
            return self.era
        return None

    def retry_after(self, now: float) -> float:
        """Return seconds until a probe is due; 0.0 when that does not depend on time."""
        return max(0.0, self.since + self.pause - now) if self.state == OPEN else 0.0

    def succeed(self, permit: int, now: float) -> Change | None:
        """Take in that the call of `permit` succeeded."""
        if permit != self.era:
            return None
        if self.state == HALF_OPEN:
            return self._close(now, "probe succeeded")
        if self.state == CLOSED:
            self.failures = 0
        return None

    def fail(self, permit: int, now: float) -> Change | None:
        """Take in that the call of `permit` failed."""
        if permit != self.era:
            return None
        self.failures += 1
        if self.state == HALF_OPEN:
            return self._enter(OPEN, now, "probe failed")
        if self.failures >= self.failure_threshold:
            reason = "1 failure" if self.failures == 1 else f"{self.failures} consecutive failures"
            return self._enter(OPEN, now, reason)
        return None

    def ignore(self, permit: int) -> None:
        """Take in that the call of `permit` ended in a way that says nothing; a probe may be made again."""
        if permit == self.era:
            self.probing = False

    def trip(self, now: float, reason: str, pause: float | None = None) -> Change | None:
        """Open the circuit at once, for `pause` seconds or the recovery timeout; an open one stays as it is."""
        if self.state == OPEN:
            return None
        change = self._enter(OPEN, now, reason)
        self.pause = self.recovery_timeout if pause is None else pause
        return change

    def reset(self, now: float) -> Change | None:
        """Close the circuit and forget all failures; calls under way no longer count for it."""
        if self.state == CLOSED:
            self.failures = 0
            self.era += 1
            return None
        return self._close(now, "reset")

    def _close(self, now: float, reason: str) -> Change:
        self.failures = 0
        return self._enter(CLOSED, now, reason)

    def _enter(self, state: int, now: float, reason: str) -> Change:
        change = Change(self.state, state, now, reason)
        self.seconds[self.state] += max(0.0, now - self.since)
        self.since = now
        self.state = state
        self.pause = self.recovery_timeout
        self.entered = increased(self.entered, state)
        self.era += 1
        self.probing = False
        return change
