"""One operation of a retry: what a failed attempt means, and what is counted, noted and told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.observers import emit
from peak_observe.resilience import nesting
from peak_observe.resilience.retries import (
    AFTER_RETRY,
    EXHAUSTED,
    FIRST_TRY,
    NOT_RETRYABLE,
    OUT_OF_BUDGET,
    OUT_OF_TIME,
    UNACCEPTED,
)
from peak_observe.telemetry.tracing.spans import CallSpan

if TYPE_CHECKING:
    from peak_observe.events import RetryScheduled
    from peak_observe.resilience.retries import RetryCore

_WORDS = {EXHAUSTED: "", OUT_OF_TIME: ", as its time was up", OUT_OF_BUDGET: ", as the budget for retries was spent"}


class Operation:
    """One operation on its way, and what came of its last attempt.

    Attributes:
        number: The attempt it is at, from 1; 0 before the first.
        delay: Seconds waited before this attempt.
        over: Whether there will be no other attempt.
    """

    __slots__ = ("_core", "_cut", "_knows", "_scheduled", "_span", "_started", "_until", "delay", "number", "over")

    def __init__(self, core: RetryCore, started: float, *, traced: bool = False, current: bool = True) -> None:
        timeout = core.settings.timeout
        self._core = core
        self._started = started
        self._until = None if timeout is None else started + timeout
        self.number = 0
        self.delay = 0.0
        self.over = self._knows = self._cut = False
        self._scheduled: RetryScheduled | None = None
        self._span: CallSpan | None = None
        if traced:
            self._span = CallSpan(f"call {core.name}", {"peak_observe.operation": core.name}, current=current)
            self._span.begin()

    def _failed(self, error: BaseException | None) -> bool:
        """Take in a failed attempt, or without an error a result that was not accepted; return whether to go on."""
        core = self._core
        self._pay()
        if error is None:
            core.count_error(UNACCEPTED)
        elif isinstance(error, Exception):
            core.count_error(type(error).__name__)
        outcome = self._reason_to_stop(error)
        if outcome is None:
            return True
        self._give_up(outcome, error)
        return False

    def _reason_to_stop(self, error: BaseException | None) -> int | None:
        """Return the outcome, or schedule another attempt and return None."""
        core, settings = self._core, self._core.settings
        if error is not None and not (self._cut or core.retryable(error)):
            return NOT_RETRYABLE
        if error is not None and settings.max_attempts > 1 and self._is_left_to_the_inner(error):
            return NOT_RETRYABLE
        if self.number >= settings.max_attempts:
            return EXHAUSTED
        failure = error if isinstance(error, Exception) else None
        delay = settings.schedule.after(self.number, failure, previous=self.delay, clock=core.clock)
        left = core.left(self._until)
        # The delay is not cut: the attempt after it would begin when nobody waits for it any more.
        if delay is None or (left is not None and delay >= left):
            return OUT_OF_TIME
        if settings.budget and not settings.budget.take():
            return OUT_OF_BUDGET
        self._schedule(delay, error)
        return None

    def _is_left_to_the_inner(self, error: BaseException) -> bool:
        """Return whether a retry inside has given up on this, and one of the two wants no more."""
        mark = nesting.mark_of(error, self._started)
        if mark is None:
            return False
        if mark.final or self._core.settings.inner_only:
            return True
        if not mark.known:
            nesting.tell(mark.operation, self._core)
        return False

    def _schedule(self, delay: float, error: BaseException | None) -> None:
        core = self._core
        outer = nesting.enclosing() if self.number == 1 else None
        only_one_retries = core.settings.inner_only or (outer and outer.settings.inner_only)
        if outer and outer.settings.max_attempts > 1 and not only_one_retries:
            self._knows = True
            nesting.tell(core.series.name, outer)
        self.delay = delay
        from peak_observe.events.retries import RetryScheduled  # late: a start makes no records

        self._scheduled = RetryScheduled(core.name, self.number, core.settings.max_attempts, delay, error)
        emit(self._scheduled)

    def _succeeded(self) -> None:
        if self.number > 1:
            self._end(AFTER_RETRY)
            from peak_observe.events.retries import Recovered

            emit(Recovered(self._core.name, self.number, self._elapsed()))
        elif self._span:
            self._pay()
            self._end(FIRST_TRY)
        else:
            self.over = True
            self._core.first_tries.tick()

    def _pay(self) -> None:
        """Pay into the budget for the call, with its first attempt; one that succeeds pays by being counted."""
        budget = self._core.settings.budget
        if budget and self.number == 1:
            budget.count()

    def _give_up(self, outcome: int, error: BaseException | None) -> None:
        core = self._core
        elapsed = self._elapsed()
        if isinstance(error, Exception) and core.settings.max_attempts > 1 and (outcome in _WORDS or self.number > 1):
            at, final = core.clock.monotonic(), core.settings.inner_only
            nesting.leave_mark(error, nesting.Mark(core.series.name, at, self._knows, final))
            attempts = "1 attempt" if self.number == 1 else f"{self.number} attempts"
            why = _WORDS.get(outcome, ", as this error is not retried")
            nesting.annotate(error, f"{core.name!r} gave up after {attempts} in {elapsed:.1f} s{why}")
        self._end(outcome, error)
        from peak_observe.events.retries import GaveUp

        emit(GaveUp(core.name, self.number, elapsed, catalog.RETRY_OUTCOMES[outcome], error))

    def _end(self, outcome: int, error: BaseException | None = None) -> None:
        core = self._core
        self.over = True
        core.count_end(outcome, self._span.exemplar(1.0, core.clock) if self._span else None)
        self._end_span(catalog.RETRY_OUTCOMES[outcome], error)

    def _end_span(self, outcome: str, error: BaseException | None = None) -> None:
        if self._span:
            self._span.end({"peak_observe.outcome": outcome, "peak_observe.attempts": self.number}, error)

    def _elapsed(self) -> float:
        return max(0.0, self._core.clock.monotonic() - self._started)
