"""Pure circuit-breaker state machine driven by explicit timestamps and outcomes.

The states are those of `catalog.STATES`, in their order. Every state transition begins a new period; a call is known
by the period in which it was admitted, so results from earlier periods are ignored. A probe holds a lease besides: when
it is over, or nobody holds the permit any more, another call may probe. After Nygard, "Release It!" (2007); the windows
are those of resilience4j.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from peak_observe import catalog
from peak_observe.measures import increased
from peak_observe.resilience.breaker import sliding_window
from peak_observe.resilience.breaker.sliding_window import FAILED, SLOW
from peak_observe.resilience.common.modes import OBSERVE

if TYPE_CHECKING:
    from peak_observe.resilience.breaker.last_error import LastError
    from peak_observe.resilience.breaker.settings import Settings


CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED = range(len(catalog.STATES))
# What ends by itself, what follows, and the reason.
_FOLLOWS = {
    OPEN: (HALF_OPEN, "recovery timeout passed"),
    FORCED_OPEN: (HALF_OPEN, "the time for which it was forced open has passed"),
    DISABLED: (CLOSED, "the time for which it was disabled has passed"),
}


class Circuit:
    """State machine that opens by consecutive failures or by the ratios of a window, probes, and closes.

    Args:
        settings: The rules.
        now: The present second of a monotonic clock.
    """

    __slots__ = ("failures", "period", "reopened", "settings", "window")

    def __init__(self, settings: Settings, now: float) -> None:
        self.settings = settings
        self.window = sliding_window.build_window(settings)
        self.failures = self.reopened = 0
        states = len(catalog.STATES)
        self.period = StatePeriod(CLOSED, now, math.inf, [0.0] * states, [0] * states)
        self.period.quick_limit = self._quick_limit()

    @property
    def state(self) -> int:
        """The index of the state in `catalog.STATES`."""
        return self.period.state

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Replace the settings; state, period and the calls of the window stay."""
        self.window = sliding_window.resize_window(self.window, settings, now)
        self.settings = settings
        if self.window is not None:
            self.failures = 0
        self.period.quick_limit = self._quick_limit(self.state)

    def advance(self, now: float) -> Change | None:
        """Make the transition that is due by now, dated when it was due."""
        period = self.period
        if period.state in _FOLLOWS:
            period.since = min(period.since, now)  # a clock that goes back makes no wait longer
            due = period.since + period.duration
            if now >= due:
                new, reason = _FOLLOWS[period.state]
                return self._enter(new, due, reason)
        return None

    def at(self, now: float) -> Circuit:
        """Return a copy advanced to `now`; this circuit stays as it is."""
        view = Circuit.__new__(Circuit)  # by hand: every scrape does this for every breaker, and copy() is slow
        view.settings, view.window, view.period = self.settings, self.window, self.period
        view.failures, view.reopened = self.failures, self.reopened
        view.advance(now)
        return view

    @property
    def visible_state(self) -> int:
        """The index of the state for callers: a circuit that only observes is disabled, unless it is forced open."""
        observes = self.settings.mode == OBSERVE and self.state != FORCED_OPEN
        return DISABLED if observes else self.state

    def admit(self, now: float, *, probes: bool = True) -> Permit | None:
        """Return a permit for one call, or None for a rejection; in mode `observe` one of no period instead.

        Args:
            now: The present second.
            probes: Whether this process may probe a half-open circuit.
        """
        permit = self._admit(now) if probes or self.state != HALF_OPEN else None
        if permit is None and self.settings.mode == OBSERVE and self.state != FORCED_OPEN:
            return Permit(OBSERVED, math.inf)
        return permit

    def _admit(self, now: float) -> Permit | None:
        period = self.period
        if period.state == HALF_OPEN:
            probes = self.in_flight(now)
            if len(probes) >= self.settings.half_open_calls:
                return None
            permit = Permit(period, now + self.settings.probe_timeout)
            period.probes = [*probes, ref(permit)]
            return permit
        return Permit(period, math.inf) if period.state in (CLOSED, DISABLED) else None

    def in_flight(self, now: float) -> list[ref[Permit]]:
        """Return the probes in flight: permit held, lease not over."""
        return [probe for probe in self.period.probes if (permit := probe()) is not None and permit.until > now]

    def release(self, permit: Permit) -> None:
        """Release a permit, so that another call may probe; a second time does nothing."""
        self.period.probes = [probe for probe in self.period.probes if probe() is not permit]

    def retry_after(self, now: float) -> float:
        """Return seconds until a probe is due; 0.0 when that does not depend on time."""
        wait = self.period.since + self.period.duration - now if self.state in (OPEN, FORCED_OPEN) else 0.0
        return max(0.0, wait) if wait < math.inf else 0.0

    def counted(self, now: float) -> sliding_window.Totals:
        """Return the calls that count towards opening now: the window, or the consecutive failures."""
        return self.window.totals(now) if self.window is not None else sliding_window.Totals(0, self.failures, 0)

    def is_slow(self, seconds: float) -> bool:
        """Return whether a call that took so many seconds was slow."""
        limit = self.settings.slow_call_seconds
        return limit is not None and seconds >= limit

    def record_success(self, period: StatePeriod, now: float, seconds: float, open_duration: float) -> Change | None:
        """Record a success of a period; if the circuit opens as it was slow, then for `open_duration` seconds."""
        if period is not self.period:
            return None
        slow = SLOW if self.is_slow(seconds) else 0
        if self.state == HALF_OPEN:
            if slow:
                return self._reopen(now, open_duration, f"probe took {seconds:.1f} s")
            period.successes += 1
            return self._close(now, "probe succeeded") if period.successes >= self.settings.success_threshold else None
        if slow and self.window is not None:
            self.window.add(now, slow)
            return self._evaluate(now, open_duration)
        self.record_quick_success(now)
        return None

    def record_quick_success(self, now: float) -> None:
        """Record a success of this period that was not slow, of a circuit that is not half-open."""
        if self.window is not None:
            self.window.add(now, 0)
        else:
            self.failures = 0
            self.period.quick_limit = self._quick_limit(self.state)

    def record_failure(self, period: StatePeriod, now: float, seconds: float, open_duration: float) -> Change | None:
        """Record a failure of a period; if the circuit opens by it, then for `open_duration` seconds."""
        if period is not self.period:
            return None
        if self.state == HALF_OPEN:
            self.failures += self.window is None
            return self._reopen(now, open_duration, "probe failed")
        if self.window is not None:
            self.window.add(now, FAILED | SLOW if self.is_slow(seconds) else FAILED)
        else:
            period.quick_limit = -1.0
            self.failures += 1
        return self._evaluate(now, open_duration)

    def record_quick_successes(self, now: float, times: int) -> None:
        """Record pending quick successes of this period, so many."""
        if self.window is not None and self.window.lazy and times and self.state == CLOSED:
            self.window.add(now, 0, times)

    def trip(self, now: float, reason: str, open_duration: float) -> Change | None:
        """Open the circuit for `open_duration` seconds, if it is closed or half-open."""
        return self._enter(OPEN, now, reason, open_duration) if self.state in (CLOSED, HALF_OPEN) else None

    def override(self, state: int, now: float, open_duration: float, reason: str) -> Change | None:
        """Force the circuit open or disable it, for `open_duration` seconds from now."""
        if self.state != state:
            return self._enter(state, now, reason, open_duration)
        self._begin(state, now, open_duration, self.period.entered)
        return None

    def adopt(self, state: int, now: float, open_duration: float, reason: str) -> Change | None:
        """Enter the state of a circuit that other processes share, for `open_duration` seconds from now."""
        if state == CLOSED:
            return self._close(now, reason) if self.state != CLOSED else None
        if state == OPEN and self.state == HALF_OPEN:
            return self._reopen(now, open_duration, reason)
        return self.override(state, now, open_duration, reason)

    def reset(self, now: float) -> Change | None:
        """Close the circuit and clear all failures; results of calls under way are ignored."""
        if self.state != CLOSED:
            return self._close(now, "reset")
        self._clear()
        self._begin(CLOSED, now, math.inf, self.period.entered)
        return None

    def _evaluate(self, now: float, open_duration: float) -> Change | None:
        reason = self._reason(now) if self.state == CLOSED else None
        return self._enter(OPEN, now, reason, open_duration) if reason else None

    def _reason(self, now: float) -> str | None:
        """Return the reason to open the circuit, or None."""
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

    def _quick_limit(self, state: int = CLOSED) -> float:
        if state != CLOSED or self.settings.failure_result is not None:
            return -1.0
        if self.window is None:
            return -1.0 if self.failures else math.inf
        slow = self.settings.slow_call_seconds
        return -1.0 if not self.window.lazy else math.inf if slow is None else slow

    def _reopen(self, now: float, open_duration: float, reason: str) -> Change:
        change = self._enter(OPEN, now, reason, open_duration)
        self.reopened += 1
        return change

    def _close(self, now: float, reason: str) -> Change:
        self._clear()
        return self._enter(CLOSED, now, reason)

    def _clear(self) -> None:
        self.failures = self.reopened = 0
        self.window = sliding_window.build_window(self.settings)

    def _enter(self, state: int, now: float, reason: str, open_duration: float = math.inf) -> Change:
        change = Change(self.state, state, now, reason)
        self._begin(state, now, open_duration, increased(self.period.entered, state))
        return change

    def _begin(self, state: int, now: float, open_duration: float, entered: list[int]) -> None:
        before, period = self.period, StatePeriod(state, now, open_duration, self.period.seconds_at(now), entered)
        period.quick_limit = self._quick_limit(state)
        period.opened_by = before.opened_by if state == HALF_OPEN else None
        before.quick_limit = -1.0  # a call that is late has to ask
        self.period = period


class Change(NamedTuple):
    """State transition: indices of the states, the monotonic second in which it happened, and the reason."""

    old: int
    new: int
    at: float
    reason: str


class StatePeriod:
    """The current state period of a circuit and the permits issued in it; to enter a state is one atomic store.

    Args:
        state: Which.
        since: The second in which it began.
        duration: Seconds after which what follows by itself follows.
        seconds: Seconds spent in each state before.
        entered: How often each state was entered.

    Attributes:
        quick_limit: Seconds below which a success changes nothing in the circuit and needs no lock.
        opened_by: What opened the circuit, until it is closed.
        probes: The permits of probes.
        successes: Probes that succeeded.
    """

    __slots__ = ("duration", "entered", "opened_by", "probes", "quick_limit", "seconds", "since", "state", "successes")

    def __init__(self, state: int, since: float, duration: float, seconds: list[float], entered: list[int]) -> None:
        self.state = state
        self.since = since
        self.duration = duration
        self.seconds = seconds
        self.entered = entered
        self.quick_limit = -1.0
        self.opened_by: LastError | None = None
        self.probes: list[ref[Permit]] = []
        self.successes = 0

    def seconds_at(self, now: float) -> list[float]:
        """Return the seconds spent in each state until now."""
        seconds = self.seconds.copy()
        seconds[self.state] += max(0.0, now - self.since)
        return seconds


OBSERVED = StatePeriod(CLOSED, 0.0, math.inf, [], [])
"""The period of calls that would have been refused and that mode `observe` lets pass: it is never the present one."""


class Permit:
    """Permit of one admitted call, held by the call alone; a probe's is valid until a second of the monotonic clock."""

    __slots__ = ("__weakref__", "period", "until")

    def __init__(self, period: StatePeriod, until: float) -> None:
        self.period = period
        self.until = until
