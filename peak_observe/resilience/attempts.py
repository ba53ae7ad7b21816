"""One operation on its way through its attempts: what is counted, decided and told between two of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from peak_observe import catalog
from peak_observe.errors import CircuitOpenError
from peak_observe.events import GaveUp, Recovered, RetryScheduled, emit
from peak_observe.measures import RETRIES, Exemplar, RetryCounts, RetryReading, Ticker, increased
from peak_observe.resilience import backoff
from peak_observe.telemetry.tracing import CallSpan

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from peak_observe.clock import Clock
    from peak_observe.resilience.arguments import ExceptionTypes

FIRST_TRY, AFTER_RETRY, EXHAUSTED, NOT_RETRYABLE = range(4)


class RetryCore:
    """The settings of a retry and the counts of all its operations."""

    def __init__(
        self,
        *,
        name: str,
        max_attempts: int,
        base_delay: float,
        max_delay: float,
        exponential: bool,
        expected: ExceptionTypes,
        clock: Clock,
        retry_if: Callable[[Exception], bool] | None = None,
    ) -> None:
        self.name = name
        self.max_attempts = max_attempts
        self.clock = clock
        self.lock = threading.Lock()
        self.first_tries = Ticker()
        self.counts = RetryCounts()
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._exponential = exponential
        self._expected = expected
        self._retry_if = retry_if
        types = expected if isinstance(expected, tuple) else (expected,)
        self._open_circuits_too = any(issubclass(kind, CircuitOpenError) for kind in types)
        self.series = RETRIES.series(name)

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after failed attempt number `attempt`."""
        return backoff.delay(attempt, base=self._base_delay, cap=self._max_delay, exponential=self._exponential)

    def retryable(self, error: BaseException) -> bool:
        """Return whether another attempt could end differently.

        Cancellation, Ctrl-C and exit are orders, and an open circuit would only refuse again; the latter is retried
        by those who name CircuitOpenError itself.
        """
        if not isinstance(error, Exception) or not isinstance(error, self._expected):
            return False
        if self._retry_if is not None and not self._retry_if(error):
            return False
        return self._open_circuits_too or not isinstance(error, CircuitOpenError)

    def read(self) -> RetryReading:
        """Return the counts of one moment."""
        reading, counts = RetryReading(), self.counts
        with self.lock:
            reading.calls = increased(counts.calls, FIRST_TRY, self.first_tries.value())
            reading.retries = counts.retries
            reading.backoff_seconds = counts.backoff_seconds
            reading.errors = counts.errors
            reading.exemplars = counts.exemplars
        reading.max_attempts = self.max_attempts
        return reading


class Run:
    """One operation on its way: which attempt it is at, and what came of the last one.

    It is used as `with run:` around each attempt, and swallows an error that will be retried; `run.delay` is then how
    long to wait.
    """

    __slots__ = ("_attempt_span", "_core", "_span", "_started", "delay", "number")

    def __init__(self, core: RetryCore, started: float, *, traced: bool = False, current: bool = True) -> None:
        self._core = core
        self._started = started
        self.number = 0
        self.delay = 0.0
        self._attempt_span: CallSpan | None = None
        self._span = (
            CallSpan(f"call {core.name}", {"peak_observe.operation": core.name}, current=current) if traced else None
        )
        if self._span:
            self._span.begin()

    def failed_first(self, error: BaseException) -> bool:
        """Take in that the untraced first attempt failed; return whether to go on."""
        self.number = 1
        return self._failed(error)

    def __enter__(self) -> Self:
        self.number += 1
        if self._span:
            facts = {"peak_observe.attempt": self.number, "peak_observe.delay": self.delay}
            self._attempt_span = CallSpan(f"attempt {self._core.name}", facts, current=self._span.is_current)
            self._attempt_span.begin()
        if self.number > 1:
            with self._core.lock:
                self._core.counts.retries += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._attempt_span:
            self._attempt_span.end({}, error)
        if error is not None:
            return self._failed(error)
        if self.number > 1:
            self._end(AFTER_RETRY)
            emit(Recovered(self._core.name, self.number, self._elapsed()))
        else:
            self._end(FIRST_TRY)
        return False

    def wait(self) -> None:
        """Sleep until the next attempt."""
        with _Waiting(self, self._core):
            self._core.clock.sleep(self.delay)

    async def async_wait(self) -> None:
        """Sleep until the next attempt, letting other tasks run."""
        with _Waiting(self, self._core):
            await self._core.clock.async_sleep(self.delay)

    def abandon(self, error: BaseException) -> None:
        """Take in that the wait was interrupted."""
        self._end(NOT_RETRYABLE, error)

    def _failed(self, error: BaseException) -> bool:
        core = self._core
        if isinstance(error, Exception):
            label = core.series.exception_label(type(error).__name__)
            with core.lock:
                errors = core.counts.errors
                core.counts.errors = {**errors, label: errors.get(label, 0) + 1}
        if not core.retryable(error):
            self._give_up(NOT_RETRYABLE, error)
            return False
        if self.number >= core.max_attempts:
            self._give_up(EXHAUSTED, error)
            return False
        self.delay = core.delay(self.number)
        emit(RetryScheduled(core.name, self.number, core.max_attempts, self.delay, error))
        return True

    def _give_up(self, outcome: int, error: BaseException) -> None:
        self._end(outcome, error)
        emit(GaveUp(self._core.name, self.number, self._elapsed(), catalog.RETRY_OUTCOMES[outcome], error))

    def _end(self, outcome: int, error: BaseException | None = None) -> None:
        core = self._core
        exemplar: Exemplar | None = self._span.exemplar(1.0, core.clock) if self._span else None
        with core.lock:
            core.counts.calls[outcome] += 1
            if exemplar:
                core.counts.exemplars = {**core.counts.exemplars, outcome: exemplar}
        if self._span:
            name = catalog.RETRY_OUTCOMES[outcome]
            self._span.end({"peak_observe.outcome": name, "peak_observe.attempts": self.number}, error)

    def _elapsed(self) -> float:
        return self._core.clock.monotonic() - self._started


class _Waiting:
    """The time between two attempts: counted, and an interruption ends the operation."""

    __slots__ = ("_core", "_run", "_start")

    def __init__(self, run: Run, core: RetryCore) -> None:
        self._run = run
        self._core = core

    def __enter__(self) -> None:
        self._start = self._core.clock.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._core.lock:
            self._core.counts.backoff_seconds += max(0.0, self._core.clock.monotonic() - self._start)
        if error is not None:
            self._run.abandon(error)
