"""The circuit as a pure state machine: handed the time and an outcome, it answers; it locks, waits and calls nothing.

The states and their order are those of `catalog.STATES`. Every change of state begins a new era, and a call is known
by the era in which it was let through, so an answer that comes late changes nothing. A probe holds a lease besides:
when it is over, or nobody holds the permit any more, another call may probe. After Nygard, "Release It!" (2007); the
windows are those of resilience4j.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from peak_observe import catalog
from peak_observe.measures import increased
from peak_observe.resilience.breaker import sliding_window
from peak_observe.resilience.breaker.sliding_window import FAILED, SLOW

if TYPE_CHECKING:
    from peak_observe.resilience.breaker.settings import Settings


CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED = range(len(catalog.STATES))
# What ends by itself, what follows, and the reason.
_FOLLOWS = {
    OPEN: (HALF_OPEN, "recovery timeout passed"),
    FORCED_OPEN: (HALF_OPEN, "the time for which it was forced open has passed"),
    DISABLED: (CLOSED, "the time for which it was disabled has passed"),
}


class Circuit:
    """Opens by failures in a row or by the shares of a window, probes, and closes.

    Args:
        settings: How it judges.
        now: The present second of a monotonic clock.
    """

    __slots__ = ("era", "failures", "reopened", "settings", "window")

    def __init__(self, settings: Settings, now: float) -> None:
        self.settings = settings
        self.window = sliding_window.made(settings)
        self.failures = self.reopened = 0
        states = len(catalog.STATES)
        self.era = Era(CLOSED, now, math.inf, [0.0] * states, [0] * states)
        self.era.quick = self._quick()

    @property
    def state(self) -> int:
        """The index of the state in `catalog.STATES`."""
        return self.era.state

    def adopt(self, settings: Settings, now: float) -> None:
        """Judge by other settings from now on; state, era and what the window holds stay."""
        self.window = sliding_window.remade(self.window, settings, now)
        self.settings = settings
        if self.window is not None:
            self.failures = 0
        self.era.quick = self._quick(self.state)

    def advance(self, now: float) -> Change | None:
        """Let time pass: what was due happens, dated when it was due."""
        era = self.era
        if era.state in _FOLLOWS:
            era.since = min(era.since, now)  # a clock that goes back makes no wait longer
            due = era.since + era.pause
            if now >= due:
                new, reason = _FOLLOWS[era.state]
                return self._enter(new, due, reason)
        return None

    def at(self, now: float) -> Circuit:
        """Return a copy that time has passed for; this circuit stays as it is."""
        view = Circuit.__new__(Circuit)  # by hand: every scrape does this for every breaker, and copy() is slow
        view.settings, view.window, view.era = self.settings, self.window, self.era
        view.failures, view.reopened = self.failures, self.reopened
        view.advance(now)
        return view

    def admit(self, now: float) -> Permit | None:
        """Return a permit for one call, or None: refused."""
        era = self.era
        if era.state == HALF_OPEN:
            probes = self.in_flight(now)
            if len(probes) >= self.settings.half_open_calls:
                return None
            permit = Permit(era, now + self.settings.probe_timeout)
            era.probes = [*probes, ref(permit)]
            return permit
        return Permit(era, math.inf) if era.state in (CLOSED, DISABLED) else None

    def in_flight(self, now: float) -> list[ref[Permit]]:
        """Return the probes whose permits are held and whose leases run."""
        return [probe for probe in self.era.probes if (permit := probe()) is not None and permit.until > now]

    def give_back(self, permit: Permit) -> None:
        """Take a permit back, so that another call may probe; once more does no harm."""
        self.era.probes = [probe for probe in self.era.probes if probe() is not permit]

    def retry_after(self, now: float) -> float:
        """Return seconds until a probe is due; 0.0 when that does not depend on time."""
        wait = self.era.since + self.era.pause - now if self.state in (OPEN, FORCED_OPEN) else 0.0
        return max(0.0, wait) if wait < math.inf else 0.0

    def counted(self, now: float) -> sliding_window.Totals:
        """Return what counts towards opening now: the window, or the failures in a row."""
        return self.window.totals(now) if self.window is not None else sliding_window.Totals(0, self.failures, 0)

    def is_slow(self, seconds: float) -> bool:
        """Return whether a call that took so many seconds was slow."""
        limit = self.settings.slow_call_seconds
        return limit is not None and seconds >= limit

    def succeed(self, era: Era, now: float, seconds: float, pause: float) -> Change | None:
        """Take in that a call of an era succeeded; if it was so slow that the circuit opens, then for `pause`."""
        if era is not self.era:
            return None
        slow = SLOW if self.is_slow(seconds) else 0
        if self.state == HALF_OPEN:
            if slow:
                return self._reopen(now, pause, f"probe took {seconds:.1f} s")
            era.successes += 1
            return self._close(now, "probe succeeded") if era.successes >= self.settings.success_threshold else None
        if slow and self.window is not None:
            self.window.add(now, slow)
            return self._judge(now, pause)
        self.succeed_quickly(now)
        return None

    def succeed_quickly(self, now: float) -> None:
        """Take in that a call of this era, of a circuit that is not half-open, succeeded and was not slow."""
        if self.window is not None:
            self.window.add(now, 0)
        else:
            self.failures = 0
            self.era.quick = self._quick(self.state)

    def fail(self, era: Era, now: float, seconds: float, pause: float) -> Change | None:
        """Take in that a call of an era failed; if the circuit opens by it, then for `pause` seconds."""
        if era is not self.era:
            return None
        if self.state == HALF_OPEN:
            self.failures += self.window is None
            return self._reopen(now, pause, "probe failed")
        if self.window is not None:
            self.window.add(now, FAILED | SLOW if self.is_slow(seconds) else FAILED)
        else:
            era.quick = -1.0
            self.failures += 1
        return self._judge(now, pause)

    def catch_up(self, now: float, times: int) -> None:
        """Take in quick successes of this era, so many, that nobody told of until now."""
        if self.window is not None and self.window.lazy and times and self.state == CLOSED:
            self.window.add(now, 0, times)

    def trip(self, now: float, reason: str, pause: float) -> Change | None:
        """Open the circuit at once, for `pause` seconds; one that is open or in a person's hand stays as it is."""
        return self._enter(OPEN, now, reason, pause) if self.state in (CLOSED, HALF_OPEN) else None

    def override(self, state: int, now: float, pause: float, reason: str) -> Change | None:
        """Force the circuit open or disable it, for `pause` seconds; again only begins the time anew."""
        if self.state != state:
            return self._enter(state, now, reason, pause)
        self._begin(state, now, pause, self.era.entered)
        return None

    def reset(self, now: float) -> Change | None:
        """Close the circuit and forget all failures; calls under way no longer count for it."""
        if self.state != CLOSED:
            return self._close(now, "reset")
        self._forget()
        self._begin(CLOSED, now, math.inf, self.era.entered)
        return None

    def _judge(self, now: float, pause: float) -> Change | None:
        reason = self._reason(now) if self.state == CLOSED else None
        return self._enter(OPEN, now, reason, pause) if reason else None

    def _reason(self, now: float) -> str | None:
        """Return why the circuit has to open, if it has."""
        settings, (calls, failures, slow) = self.settings, self.counted(now)
        if self.window is None:
            enough = failures >= settings.failure_threshold
            return ("1 failure" if failures == 1 else f"{failures} consecutive failures") if enough else None
        if calls < settings.calls_needed:
            return None
        if failures >= settings.failures_allowed * calls:
            return f"{failures} of {calls} calls failed"
        too_slow = settings.slow_call_seconds is not None and slow >= settings.slowness_allowed * calls
        return f"{slow} of {calls} calls were slow" if too_slow else None

    def _quick(self, state: int = CLOSED) -> float:
        if state != CLOSED or self.settings.failure_result is not None:
            return -1.0
        if self.window is None:
            return -1.0 if self.failures else math.inf
        slow = self.settings.slow_call_seconds
        return -1.0 if not self.window.lazy else math.inf if slow is None else slow

    def _reopen(self, now: float, pause: float, reason: str) -> Change:
        change = self._enter(OPEN, now, reason, pause)
        self.reopened += 1
        return change

    def _close(self, now: float, reason: str) -> Change:
        self._forget()
        return self._enter(CLOSED, now, reason)

    def _forget(self) -> None:
        self.failures = self.reopened = 0
        self.window = sliding_window.made(self.settings)

    def _enter(self, state: int, now: float, reason: str, pause: float = math.inf) -> Change:
        change = Change(self.state, state, now, reason)
        self._begin(state, now, pause, increased(self.era.entered, state))
        return change

    def _begin(self, state: int, now: float, pause: float, entered: list[int]) -> None:
        before, era = self.era, Era(state, now, pause, self.era.seconds_at(now), entered)
        era.quick = self._quick(state)
        before.quick = -1.0  # a call that is late has to ask
        self.era = era


class Change(NamedTuple):
    """A change of state: indices of the states, the monotonic second in which it happened, and why."""

    old: int
    new: int
    at: float
    reason: str


class Era:
    """One stay in one state, with all that ends with it: to enter a state is one store, which nothing can tear.

    Args:
        state: Which.
        since: The second in which it began.
        pause: Seconds after which what follows by itself follows.
        seconds: Seconds spent in each state before.
        entered: How often each state was entered.

    Attributes:
        quick: Seconds below which a success of this era changes nothing, so that nobody needs to tell the circuit.
        probes: The permits of probes.
        successes: Probes that succeeded.
    """

    __slots__ = ("entered", "pause", "probes", "quick", "seconds", "since", "state", "successes")

    def __init__(self, state: int, since: float, pause: float, seconds: list[float], entered: list[int]) -> None:
        self.state = state
        self.since = since
        self.pause = pause
        self.seconds = seconds
        self.entered = entered
        self.quick = -1.0
        self.probes: list[ref[Permit]] = []
        self.successes = 0

    def seconds_at(self, now: float) -> list[float]:
        """Return the seconds spent in each state until now."""
        seconds = self.seconds.copy()
        seconds[self.state] += max(0.0, now - self.since)
        return seconds


class Permit:
    """What lets one call through, held by the call alone; a probe's is good until a second of the monotonic clock."""

    __slots__ = ("__weakref__", "era", "until")

    def __init__(self, era: Era, until: float) -> None:
        self.era = era
        self.until = until
