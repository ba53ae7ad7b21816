"""What stands around the pure circuit: its lock, its clock, its counts and the news of its changes."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from peak_observe import catalog
from peak_observe.errors import CircuitOpenError
from peak_observe.events import Transition, emit
from peak_observe.measures import BATCH, BREAKERS, BreakerReading, CallCounts
from peak_observe.refusals import RefusedError
from peak_observe.resilience.circuit import OPEN, Change, Circuit
from peak_observe.telemetry import tracing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry.trace import SpanContext

    from peak_observe.clock import Clock

SUCCESS, FAILURE, IGNORED, REJECTED = range(len(catalog.CALL_OUTCOMES))


class BreakerCore:
    """A circuit that many threads and tasks may use at once.

    It knows no wrapper and no breaker, so its counts outlive the breaker that it belongs to.
    """

    def __init__(
        self,
        *,
        name: str,
        failure_threshold: int,
        recovery_timeout: float,
        expected: type[BaseException] | tuple[type[BaseException], ...],
        buckets: tuple[float, ...],
        clock: Clock,
        failure_if: Callable[[Exception], bool] | None = None,
    ) -> None:
        self.name = name
        self.expected = expected
        self.failure_if = failure_if
        self.clock = clock
        self.series = BREAKERS.series(name, buckets)
        self.circuit = Circuit(failure_threshold, recovery_timeout, clock.monotonic())
        self.counts = CallCounts(self.series.bounds)
        self.lock = threading.Lock()
        self.last_success: float | None = None
        self.last_failure: float | None = None
        self.last_transition = 0.0
        self.tripped_by: SpanContext | None = None

    def admit(self) -> int:
        """Return a permit, or raise CircuitOpenError and count the refusal."""
        with self.lock:
            now = self.clock.monotonic()
            change = self.circuit.advance(now)
            permit = self.circuit.admit()
            if permit is None:
                self.counts.add(REJECTED)
            retry_after = self.circuit.retry_after(now)
            news = self._news(change, now)
        _tell(news)
        if permit is None:
            raise CircuitOpenError(self.name, retry_after)
        return permit

    def settle(
        self,
        permit: int,
        start: float,
        error: BaseException | None,
        span: tracing.CallSpan | None = None,
    ) -> str:
        """Count the end of an admitted call and return its outcome."""
        exemplar = span.exemplar if span else None
        with self.lock:
            now = self.clock.monotonic()
            change = self.circuit.advance(now)
            outcome = self._outcome(error)
            if outcome == SUCCESS:
                self.last_success = now
                change = self.circuit.succeed(permit, now) or change
            elif outcome == FAILURE:
                self.last_failure = now
                change = self.circuit.fail(permit, now) or change
            else:
                self.circuit.ignore(permit)
            seconds = max(0.0, now - start)
            self.counts.add(outcome, seconds, exemplar(seconds, self.clock) if exemplar else None)
            if change and change.new == OPEN:
                self.tripped_by = span.context if span else None
            news = self._news(change, now, error)
        _tell(news)
        return catalog.CALL_OUTCOMES[outcome]

    def release(self, permit: int) -> None:
        """Take a permit back as if it had not been given."""
        with self.lock:
            self.circuit.ignore(permit)

    def fold(self) -> None:
        """Sort the successes that the fast path left into the buckets."""
        with self.lock:
            if len(self.counts.pending) >= BATCH:
                self.counts.fold()

    def reset(self) -> None:
        """Close the circuit by hand."""
        with self.lock:
            now = self.clock.monotonic()
            due = self._news(self.circuit.advance(now), now)
            news = self._news(self.circuit.reset(now), now)
        _tell(due)
        _tell(news)

    def trip(self, reason: str, pause: float | None, error: BaseException | None) -> None:
        """Open the circuit at once."""
        with self.lock:
            now = self.clock.monotonic()
            due = self._news(self.circuit.advance(now), now)
            news = self._news(self.circuit.trip(now, reason, pause), now, error)
        _tell(due)
        _tell(news)

    def view(self) -> Circuit:
        """Return the circuit as it is at this moment; nothing changes by looking."""
        with self.lock:
            return self.circuit.at(self.clock.monotonic())

    def read(self) -> BreakerReading:
        """Return state and counts of one moment."""
        reading = BreakerReading()
        with self.lock:
            counts = self.counts
            counts.fold()
            circuit = self.circuit.at(self.clock.monotonic())
            due_meanwhile = circuit.era != self.circuit.era
            reading.last_transition = self.wall(circuit.since) if due_meanwhile else self.last_transition
            reading.calls = counts.outcomes
            reading.buckets = counts.buckets
            reading.duration_sum = counts.duration_sum
            reading.exemplars = counts.exemplars
            reading.bucket_exemplars = counts.bucket_exemplars
        reading.bounds = counts.bounds
        reading.state = circuit.state
        reading.state_seconds = circuit.seconds
        reading.transitions = circuit.entered
        reading.failure_threshold = circuit.failure_threshold
        reading.recovery_timeout = circuit.recovery_timeout
        return reading

    def wall(self, moment: float) -> float:
        """Return the Unix time of a second of the monotonic clock."""
        return self.clock.now().timestamp() - (self.clock.monotonic() - moment)

    def _outcome(self, error: BaseException | None) -> int:
        if error is None:
            return SUCCESS
        # Cancellation, Ctrl-C, exit and our own limits say nothing about the service, even where `expected` has them.
        if isinstance(error, Exception) and isinstance(error, self.expected) and not isinstance(error, RefusedError):
            return FAILURE if self.failure_if is None or self.failure_if(error) else IGNORED
        return IGNORED

    def _news(self, change: Change | None, now: float, error: BaseException | None = None) -> Transition | None:
        if change is None:
            return None
        at = self.clock.now() - timedelta(seconds=now - change.at)
        self.last_transition = at.timestamp()
        return Transition(
            name=self.name,
            old=catalog.STATES[change.old],
            new=catalog.STATES[change.new],
            at=at,
            reason=change.reason,
            retry_after=self.circuit.pause if change.new == OPEN else 0.0,
            error=error,
        )


def _tell(news: Transition | None) -> None:
    if news is not None:
        emit(news)


class Guard:
    """One call on the careful path, as a context manager: admitted on entry, settled however the block is left.

    Args:
        core: The circuit to ask.
        current: Whether the call's span becomes the current one; a generator's may not, as it is left and re-entered.
    """

    __slots__ = ("_core", "_deferred", "_permit", "_span", "_start")

    def __init__(self, core: BreakerCore, *, traced: bool, current: bool = True) -> None:
        self._core = core
        self._deferred = False
        facts = {"peak_observe.breaker": core.name}
        self._span = tracing.CallSpan(f"call {core.name}", facts, current=current) if traced else None

    def __enter__(self) -> Self:
        core = self._core
        if self._span:
            self._span.begin()
        try:
            self._permit = core.admit()
        except CircuitOpenError as refusal:
            if self._span:
                self._span.refuse(refusal, core.tripped_by)
            raise
        self._start = core.clock.monotonic()
        return self

    def defer(self) -> None:
        """Give the permit back uncounted: the call will be made, and judged, later."""
        self._deferred = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._deferred and error is None:
            self._core.release(self._permit)
            outcome = "deferred"
        else:
            outcome = self._core.settle(self._permit, self._start, error, self._span)
        if self._span:
            self._span.end({"peak_observe.outcome": outcome}, error)
