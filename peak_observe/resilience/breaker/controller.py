"""Thread-safe circuit controller: adds lock, clock, counters and transition events to the state machine."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.clock import stopwatch_of
from peak_observe.errors import CircuitOpenError
from peak_observe.measures import BATCH, BREAKERS, BreakerReading, CallCounts, Ticker, forks, increased
from peak_observe.observers import Observers, emit
from peak_observe.resilience.breaker import nested_calls
from peak_observe.resilience.breaker.circuit_view import CircuitView
from peak_observe.resilience.breaker.outcome import FAILURE, REJECTED, SUCCESS, WOULD_REFUSE, OutcomeClassifier
from peak_observe.resilience.breaker.state_machine import FORCED_OPEN, HALF_OPEN, OBSERVED, OPEN, Circuit
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.common.modes import ENFORCE, OBSERVE

if TYPE_CHECKING:
    from collections.abc import Callable
    from weakref import ref

    from opentelemetry.trace import SpanContext

    from peak_observe.clock import Clock
    from peak_observe.coordination.circuit import SharedCircuit
    from peak_observe.events import Transition
    from peak_observe.resilience.breaker.last_error import LastError
    from peak_observe.resilience.breaker.settings import Settings
    from peak_observe.resilience.breaker.state_machine import Change, Permit, StatePeriod
    from peak_observe.telemetry.tracing.spans import CallSpan


SHORTEST_WAIT = 0.1
"""Seconds after which to come again at the earliest while a probe is under way, so that callers do not spin."""
_REASONS = {FORCED_OPEN: "forced open", HALF_OPEN: "a probe is under way"}


def reading_locked(controller: BreakerController, view: CircuitView) -> BreakerReading:
    """Return the metrics reading of a view; the lock is held."""
    reading, counts, circuit = BreakerReading(), controller.counts, view.circuit
    due_meanwhile = circuit.period is not controller.circuit.period
    reading.last_transition = controller.wall(circuit.period.since) if due_meanwhile else controller.last_transition
    reading.calls = view.calls
    reading.buckets, reading.bounds = counts.buckets, counts.bounds
    reading.duration_sum = counts.duration_sum
    reading.exemplars, reading.bucket_exemplars = counts.exemplars, counts.bucket_exemplars
    reading.state = circuit.visible_state
    reading.state_seconds = circuit.period.seconds_at(view.now)
    reading.transitions = circuit.period.entered
    reading.window = None if circuit.window is None else view.counted
    reading.failure_threshold = circuit.settings.failure_threshold if circuit.window is None else None
    reading.recovery_timeout = controller.first_open_duration
    return reading


def _kept(error: BaseException | None) -> LastError | None:
    if error is None:
        return None
    from peak_observe.resilience.breaker.last_error import LastError  # late, as most programs hardly ever need it

    return LastError(error)


class BreakerController:
    """Circuit for any number of threads and tasks.

    It knows no wrapper and no breaker, so its counts outlive the breaker that it belongs to.

    Args:
        name: The breaker's name.
        settings: The rules.
        buckets: Upper bounds of the latency buckets in seconds.
        clock: Where the time comes from.
        listeners: The observers of this circuit alone; held weakly, as they may hold the breaker.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        buckets: tuple[float, ...],
        clock: Clock,
        listeners: ref[Observers],
    ) -> None:
        self.name = name
        self.clock = clock
        self.listeners = listeners
        self.series = BREAKERS.series(name, buckets)
        self.circuit = Circuit(settings, clock.monotonic())
        self.timeouts: set[str] = set()  # the names of those inside the same policy
        self.classifier = OutcomeClassifier(settings, name, self.timeouts)
        self._recovery_callback = self._callback_of(settings)
        self.first_open_duration = settings.first_open_duration
        self.observes = settings.mode == OBSERVE
        self.counts = CallCounts(self.series.bounds)
        self._observe_if_asked()
        self.rejected = Ticker()
        self._rejected_before = 0
        self.lock = threading.RLock()
        self.last_success: float | None = None
        self.last_quick: float | None = None  # of the fast path, by the stopwatch
        self.stopwatch = stopwatch_of(clock)
        self.last_failure: float | None = None
        self.last_transition = 0.0
        self.tripped_by: SpanContext | None = None
        self.announced: list[None] = []  # empty or not, as the fast path asks it
        self._await_judge()
        self._entrances = 0
        self.shared: SharedCircuit | None = None
        forks.renew(self)

    @property
    def settings(self) -> Settings:
        """The settings of this moment."""
        return self.circuit.settings

    def add_entrance(self, *, nests: bool = False) -> None:
        """Note one more function, block or generator of this circuit; `nests` where it may be inside of itself."""
        self._entrances += 1
        if (nests or self._entrances > 1) and not self.announced:
            self.announced.append(None)

    def is_inside(self) -> bool:
        """Return whether the present call belongs to one of this circuit; nothing does in one that is forced open."""
        return self.circuit.state != FORCED_OPEN and nested_calls.is_inside(self)

    def admit(self) -> Permit:
        """Return a permit, or count a rejection and raise CircuitOpenError."""
        if self.needs_claim():
            self.shared.claim()  # type: ignore[union-attr] # or it would not be needed
        permit, wait, reason, transitions = exclusively(self.lock, self._admit_locked)
        self._emit(transitions)
        if permit is None:
            raise self.rejection(wait, reason)
        return permit

    def needs_claim(self) -> bool:
        """Return whether the probe is due of a circuit that is shared, and this process has to ask for its lease."""
        return self.shared is not None and self.shared.needs_claim(self.clock.monotonic())

    def rejection(self, wait: float, reason: str = "") -> CircuitOpenError:
        """Return the error of a rejected call, whose cause is a copy of what opened the circuit."""
        error, opened_by = CircuitOpenError(self.name, wait, reason), self.circuit.period.opened_by
        if opened_by is not None:
            error.__cause__ = opened_by.build()
        return error

    def _admit_locked(self) -> tuple[Permit | None, float, str, list[Transition]]:
        now = self.clock.monotonic()
        transitions = self._transitions(self.circuit.advance(now), now)
        permit = self.circuit.admit(now, probes=self.shared is None or self.shared.admits_probe(now))
        state = self.circuit.state
        if permit is None:
            self.counts.add(REJECTED)
        wait = self._probe_wait_locked(now) if state == HALF_OPEN else self.circuit.retry_after(now)
        return permit, wait, _REASONS.get(state, ""), transitions

    def _probe_wait_locked(self, now: float) -> float:
        """Return the seconds until a probe probably ends: as many as a call takes, and at most what its lease has."""
        leases = [permit.until - now for probe in self.circuit.in_flight(now) if (permit := probe()) is not None]
        calls = sum(self.counts.outcomes) - self.counts.outcomes[REJECTED]
        usual = self.counts.duration_sum / calls if calls else 0.0
        return min([max(usual, SHORTEST_WAIT), *leases])

    def record_outcome(
        self,
        period: StatePeriod,
        start: float,
        error: BaseException | None,
        outcome: int | None = None,
        *,
        permit: Permit | None = None,
        span: CallSpan | None = None,
    ) -> str:
        """Record how an admitted call ended and return its outcome, which is classified if it is not given."""
        seconds = max(0.0, self.clock.monotonic() - start)
        if period is OBSERVED:
            outcome = WOULD_REFUSE
        # Here the user's own functions are asked, so the lock is not taken yet.
        outcome = self.classifier.classify(error) if outcome is None else outcome
        opens = outcome == FAILURE or self.circuit.is_slow(seconds)
        open_duration = self.open_duration(error) if opens else 0.0
        last_error = _kept(error) if opens else None
        transitions = exclusively(
            self.lock,
            self._record_outcome_locked,
            period,
            outcome,
            seconds,
            open_duration,
            error,
            last_error,
            permit,
            span,
        )
        self._emit(transitions)
        return catalog.OBSERVED_CALL_OUTCOMES[outcome]

    def counts_as_failure(self, error: Exception) -> bool:
        """Return whether the circuit counts an error as failure."""
        return self.classifier.classify(error) == FAILURE

    def record_success(self, period: StatePeriod, seconds: float, result: object) -> None:
        """Record that a call returned which a closed circuit admitted; quicker than `record_outcome`."""
        limit, now = self.circuit.settings.slow_call_seconds, self.clock.monotonic()
        quick = limit is None or seconds < limit
        outcome = self.classifier.classify(None, result)
        if period is self.circuit.period and quick and outcome == SUCCESS:
            exclusively(self.lock, self._record_success_locked, period, now, seconds)
        else:
            self.record_outcome(period, now - seconds, None, outcome)

    def _record_success_locked(self, period: StatePeriod, now: float, seconds: float) -> None:
        circuit = self.circuit
        self.last_success = now
        if period is not circuit.period:  # since a moment ago
            self.counts.add(SUCCESS, seconds)
            return
        if circuit.window is None or not circuit.window.lazy:
            circuit.record_quick_success(now)
        self.counts.pending.append(seconds)
        if len(self.counts.pending) >= BATCH:
            self._fold_locked(now)

    def _record_outcome_locked(  # noqa: PLR0917 - the two halves of one method, with the lock between them
        self,
        period: StatePeriod,
        outcome: int,
        seconds: float,
        open_duration: float,
        error: BaseException | None,
        last_error: LastError | None,
        permit: Permit | None,
        span: CallSpan | None,
    ) -> list[Transition]:
        now, circuit = self.clock.monotonic(), self.circuit
        transitions = self._transitions(circuit.advance(now), now)
        if circuit.window is not None:
            self._fold_locked(now)
        if self.shared is not None and period.state == HALF_OPEN and self.shared.is_fenced(now):
            period = OBSERVED  # another process probes by now
        change = None
        if outcome == SUCCESS:
            self.last_success = now
            change = circuit.record_success(period, now, seconds, open_duration)
        elif outcome == FAILURE:
            self.last_failure = now
            change = circuit.record_failure(period, now, seconds, open_duration)
        if permit is not None:
            circuit.release(permit)
        self.counts.add(outcome, seconds, span.exemplar(seconds, self.clock) if span else None)
        if change and change.new == OPEN:
            self.tripped_by = span.context if span else None
            circuit.period.opened_by = last_error
        return transitions + self._transitions(change, now, error)

    def release(self, permit: Permit) -> None:
        """Release a permit without an outcome."""
        exclusively(self.lock, self.circuit.release, permit)

    def fold(self) -> None:
        """Add the pending successes of the fast path to the counters."""
        exclusively(self.lock, self._fold_locked, self.clock.monotonic())

    def _fold_locked(self, now: float) -> None:
        self.circuit.record_quick_successes(now, self.counts.fold())
        rejected = self.rejected.value()
        if rejected != self._rejected_before:
            outcomes = increased(self.counts.outcomes, REJECTED, rejected - self._rejected_before)
            self.counts.outcomes, self._rejected_before = outcomes, rejected

    def change(
        self, action: Callable[[float], Change | None], error: BaseException | None = None, *, share: bool = True
    ) -> None:
        """Apply an action to the circuit and emit its state transitions, to other processes too if they `share` it."""
        last_error = _kept(error)
        self._emit(exclusively(self.lock, self._change_locked, action, error, last_error), share=share)

    def override(self, state: int, seconds: float, reason: str, action: Callable[[float], Change | None]) -> None:
        """Apply what sets the state by hand, here and in all processes that share the circuit."""
        self.change(action, share=False)
        if self.shared is not None:
            self.shared.override(state, seconds, reason)

    def _change_locked(
        self, action: Callable[[float], Change | None], error: BaseException | None, last_error: LastError | None
    ) -> list[Transition]:
        now = self.clock.monotonic()
        due = self._transitions(self.circuit.advance(now), now)
        self._fold_locked(now)
        change = action(now)
        if change and change.new == OPEN:
            self.circuit.period.opened_by = last_error
        return due + self._transitions(change, now, error)

    def reconfigure(self, settings: Settings) -> None:
        """Replace the settings."""
        self.change(lambda now: self.circuit.reconfigure(settings, now))
        self.classifier = OutcomeClassifier(settings, self.name, self.timeouts)
        self._recovery_callback = self._callback_of(settings)
        self.first_open_duration = settings.first_open_duration
        self.observes = settings.mode == OBSERVE
        exclusively(self.lock, self._observe_if_asked)
        self._await_judge()

    def _await_judge(self) -> None:
        if self.classifier.judge is not None:
            self.announced.append(None)  # which the fast path cannot do

    def _observe_if_asked(self) -> None:
        """Count one more outcome from the first time on that the circuit only observes."""
        if self.observes and len(self.counts.outcomes) == WOULD_REFUSE:
            self.counts.outcomes = [*self.counts.outcomes, 0]

    def open_duration(self, error: BaseException | None = None) -> float:
        """Return the seconds for which the circuit would open now."""
        from peak_observe.resilience.breaker.open_duration import (
            open_duration,
        )  # late, as most programs hardly ever need it

        circuit = self.circuit
        reopened = circuit.reopened + (circuit.state == HALF_OPEN)
        return open_duration(circuit.settings, reopened, error, self._recovery_callback)

    def _callback_of(self, settings: Settings) -> SafeCallback | None:
        timeout = settings.recovery_timeout
        return (
            SafeCallback("recovery_timeout", timeout, owner=self.name, logger="breaker") if callable(timeout) else None
        )

    def view(self) -> CircuitView:
        """Return the circuit of this moment, without changing it."""
        return exclusively(self.lock, self._view_locked)

    def _view_locked(self) -> CircuitView:
        now = self.clock.monotonic()
        self._fold_locked(now)
        circuit = self.circuit.at(now)
        return CircuitView(circuit, circuit.counted(now), len(circuit.in_flight(now)), self.counts.outcomes, now)

    def read(self) -> BreakerReading:
        """Return state and counts of one moment."""
        return exclusively(self.lock, lambda: reading_locked(self, self._view_locked()))

    def last_success_at(self) -> float | None:
        """Return the Unix time of the last success, or None."""
        now, quick, slow = self.clock.monotonic(), self.last_quick, self.last_success
        ages = [] if quick is None else [self.stopwatch() - quick]
        ages += [] if slow is None else [now - slow]
        return self.wall(now - min(ages)) if ages else None

    def last_called(self) -> float | None:
        """Return the second of the clock at which a call last succeeded or failed, or None."""
        quick = [] if self.last_quick is None else [self.clock.monotonic() - self.stopwatch() + self.last_quick]
        slow = [moment for moment in (self.last_success, self.last_failure) if moment is not None]
        return max(quick + slow, default=None)

    def wall(self, moment: float) -> float:
        """Return the Unix time of a second of the monotonic clock."""
        return self.clock.now().timestamp() - (self.clock.monotonic() - moment)

    def after_fork(self) -> None:
        """Renew the lock in a forked child and drop the probes of the parent's threads."""
        self.lock = threading.RLock()
        self.circuit.period.probes = []
        if self.circuit.window is not None:
            self.circuit.window.recount()

    def _transitions(self, change: Change | None, now: float, error: BaseException | None = None) -> list[Transition]:
        if change is None:
            return []
        from datetime import timedelta

        from peak_observe.events.transitions import Transition  # late: a start makes no records

        at = self.clock.now() - timedelta(seconds=now - change.at)
        self.last_transition = at.timestamp()
        open_duration = self.circuit.period.duration
        wait = open_duration if change.new in (OPEN, FORCED_OPEN) and open_duration < math.inf else 0.0
        old, new = catalog.STATES[change.old], catalog.STATES[change.new]
        mode = ENFORCE if change.new == FORCED_OPEN else self.settings.mode  # by hand calls are refused in any mode
        return [Transition(self.name, old, new, at, change.reason, wait, error, mode)]

    def _emit(self, transitions: list[Transition], *, share: bool = True) -> None:
        for event in transitions:
            if share and self.shared is not None:
                self.shared.tell(event)
            listeners = self.listeners()
            if listeners is not None:
                listeners.tell(event)
            emit(event)
