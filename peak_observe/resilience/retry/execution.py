"""Decide after each attempt of an operation whether to retry, and emit the matching events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from peak_observe import catalog
from peak_observe.observers import emit
from peak_observe.resilience.common import deadlines
from peak_observe.resilience.common.flow import Awaited
from peak_observe.resilience.retry import nesting
from peak_observe.resilience.retry.controller import (
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
    from collections.abc import Awaitable, Generator
    from types import FrameType, TracebackType

    from peak_observe.events import RetryScheduled
    from peak_observe.resilience.common.deadlines import Limit
    from peak_observe.resilience.common.scopes import Scope
    from peak_observe.resilience.retry.controller import RetryController


delays_off = 0
"""How many blocks of `testing.no_delays` are entered: above 0 nobody waits."""

_WORDS = {EXHAUSTED: "", OUT_OF_TIME: ", as its time was up", OUT_OF_BUDGET: ", as the budget for retries was spent"}


class Execution:
    """Execution of one retried operation, attempt by attempt.

    Each attempt is `begin()` and `end()`; where `end()` says so, `pause()` is the block for the sleep before the next.

    Args:
        controller: The retry.
        started: When, by its clock.
        traced: Whether the operation and its attempts are spans.
        current: Whether the span of the operation becomes the current one; a generator's may not, as it is left.

    Attributes:
        number: The attempt it is at, from 1; 0 before the first.
        delay: Seconds waited before this attempt.
        over: Whether there will be no other attempt.
    """

    __slots__ = (
        "_attempt_span",
        "_controller",
        "_scheduled",
        "_scopes",
        "_span",
        "_started",
        "_timed_out",
        "_until",
        "delay",
        "number",
        "over",
    )

    def __init__(
        self, controller: RetryController, started: float, *, traced: bool = False, current: bool = True
    ) -> None:
        timeout = controller.settings.timeout
        self._controller = controller
        self._started = started
        self._until = None if timeout is None else started + timeout
        self._scopes: tuple[Scope[nesting.Enclosing], Scope[Limit] | None]
        self.number = 0
        self.delay = 0.0
        self.over = self._timed_out = False
        self._scheduled: RetryScheduled | None = None
        self._span: CallSpan | None = None
        self._attempt_span: CallSpan | None = None
        if traced:
            self._span = CallSpan(
                f"call {controller.name}", {"peak_observe.operation": controller.name}, current=current
            )
            self._span.begin()

    def begin(self, generator: FrameType | None = None) -> float | None:
        """Begin an attempt; return the seconds after which it has to be cancelled, if there are any.

        Args:
            generator: The frame of the generator that has the block of the attempt, if one has.
        """
        controller, until, seconds = self._controller, self._until, self._controller.settings.attempt_timeout
        if seconds is not None:
            left = controller.left(until)
            seconds = seconds if left is None else max(0.0, min(seconds, left))
            until = controller.clock.monotonic() + seconds
        self.number += 1
        if self._span:
            facts = {"peak_observe.attempt": self.number, "peak_observe.delay": self.delay}
            self._attempt_span = CallSpan(f"attempt {controller.name}", facts, parent=self._span)
            self._attempt_span.begin()
        if self.number > 1:
            controller.count_retry()
        limit = None if until is None else deadlines.impose(until, controller.clock, generator)
        self._scopes = nesting.enter(controller, generator), limit
        return seconds

    def end(self, error: BaseException | None = None, *, accepted: bool = True, timed_out: bool = False) -> bool:
        """Record how an attempt ended and return whether there is another one.

        Args:
            error: What it raised.
            accepted: Whether its result was accepted.
            timed_out: Whether the error says that it was cancelled by the timeout of attempts.
        """
        self._leave(error)
        if error is None and accepted:
            self._succeeded()
            return False
        self._timed_out = timed_out
        return self._failed(error)

    def defer(self) -> None:
        """End an attempt that returned a coroutine, which becomes an execution of its own when it is awaited."""
        self._leave(None)
        self._end_span("deferred")

    def accepts(self, result: object) -> Generator[Awaited, bool, bool]:
        """Return whether a result is accepted, as a flow; called within its attempt."""
        unacceptable = self._controller.settings.retry_result
        if unacceptable is None:
            return True
        if unacceptable.awaits:
            return not (yield Awaited(unacceptable.async_is_true(result)))
        return not unacceptable.is_true(result)

    def _leave(self, error: BaseException | None) -> None:
        inside, limit = self._scopes
        nesting.leave(inside)
        if limit:
            deadlines.lift(limit)
        if self._attempt_span:
            self._attempt_span.end({}, error)

    def failed_first(self, error: BaseException) -> bool:
        """Record that a first attempt failed that was made without `begin()`; return whether there is another one."""
        self.number = 1
        return self._failed(error)

    def _failed(self, error: BaseException | None) -> bool:
        """Record a failed attempt, or without an error a result that was not accepted; return whether to retry."""
        controller = self._controller
        self._pay()
        if error is None:
            controller.count_error(UNACCEPTED)
        elif isinstance(error, Exception):
            controller.count_error(type(error).__name__)
        outcome = self._reason_to_stop(error)
        if outcome is None:
            return True
        self._give_up(outcome, error)
        return False

    def _reason_to_stop(self, error: BaseException | None) -> int | None:
        """Return the outcome, or schedule another attempt and return None."""
        controller, settings = self._controller, self._controller.settings
        if error is not None and not (self._timed_out or controller.retryable(error)):
            return NOT_RETRYABLE
        if error is not None and settings.max_attempts > 1 and self._is_left_to_the_inner(error):
            return NOT_RETRYABLE
        if self.number >= settings.max_attempts:
            return EXHAUSTED
        failure = error if isinstance(error, Exception) else None
        delay = settings.schedule.delay_after(self.number, failure, previous=self.delay, clock=controller.clock)
        left = controller.left(self._until)
        # The delay is not cut: the attempt after it would begin when nobody waits for it any more.
        if delay is None or (left is not None and delay >= left):
            return OUT_OF_TIME
        if settings.budget and not settings.budget.take():
            return OUT_OF_BUDGET
        self._schedule(delay, error)
        return None

    def _is_left_to_the_inner(self, error: BaseException) -> bool:
        """Return whether an inner retry has given up on this error, and one of the two says `inner_only`."""
        mark = nesting.mark_of(error, self._started)
        if mark is None:
            return False
        if mark.final or self._controller.settings.inner_only:
            return True
        nesting.report(mark.operation, self._controller)
        return False

    def _schedule(self, delay: float, error: BaseException | None) -> None:
        controller = self._controller
        self.delay = delay
        from peak_observe.events.retries import RetryScheduled  # late: a start makes no records

        self._scheduled = RetryScheduled(controller.name, self.number, controller.settings.max_attempts, delay, error)
        emit(self._scheduled)

    def _succeeded(self) -> None:
        if self.number > 1:
            self._end(AFTER_RETRY)
            outer = nesting.enclosing()
            if outer and outer.multiplies and not self._controller.settings.inner_only:
                nesting.report(self._controller.label, outer)
            from peak_observe.events.retries import Recovered

            emit(Recovered(self._controller.name, self.number, self._elapsed()))
        elif self._span:
            self._pay()
            self._end(FIRST_TRY)
        else:
            self.over = True
            self._controller.first_tries.tick()

    def _pay(self) -> None:
        """Add the call to the retry budget at its first attempt; a first try that succeeds does so by being counted."""
        budget = self._controller.settings.budget
        if budget and self.number == 1:
            budget.count()

    def _give_up(self, outcome: int, error: BaseException | None) -> None:
        controller = self._controller
        elapsed = self._elapsed()
        if (
            isinstance(error, Exception)
            and controller.settings.max_attempts > 1
            and (outcome in _WORDS or self.number > 1)
        ):
            mark = nesting.Mark(controller.label, controller.clock.monotonic(), controller.settings.inner_only)
            attempts = "1 attempt" if self.number == 1 else f"{self.number} attempts"
            why = _WORDS.get(outcome, ", as this error is not retried")
            nesting.annotate(error, f"{controller.name!r} gave up after {attempts} in {elapsed:.1f} s{why}", mark)
        self._end(outcome, error)
        from peak_observe.events.retries import GaveUp

        emit(GaveUp(controller.name, self.number, elapsed, catalog.RETRY_OUTCOMES[outcome], error))

    def _end(self, outcome: int, error: BaseException | None = None) -> None:
        controller = self._controller
        self.over = True
        controller.count_end(outcome, self._span.exemplar(1.0, controller.clock) if self._span else None)
        self._end_span(catalog.RETRY_OUTCOMES[outcome], error)

    def _end_span(self, outcome: str, error: BaseException | None = None) -> None:
        if self._span:
            self._span.end({"peak_observe.outcome": outcome, "peak_observe.attempts": self.number}, error)

    def _elapsed(self) -> float:
        return max(0.0, self._controller.clock.monotonic() - self._started)

    def pause(self) -> Pause:
        """Return the context manager for the sleep before the next attempt."""
        return Pause(self, self._controller)

    def notify(self) -> Awaitable[Any] | None:
        """Call the user's hook with the retry to come; return what to await of a coroutine function."""
        hook = self._controller.settings.on_retry
        if hook is None:
            return None
        if hook.awaits:
            return hook.async_call(self._scheduled)
        hook.call(self._scheduled)
        return None

    def abandon(self, error: BaseException) -> None:
        """End the execution, as the sleep was interrupted; what went wrong with it has the last error as its cause."""
        scheduled, self._scheduled = self._scheduled, None
        if isinstance(error, Exception) and error.__cause__ is None and scheduled is not None:
            BaseException.__cause__.__set__(error, scheduled.error)  # type: ignore[union-attr] # a frozen one refuses `=`
        self._end(NOT_RETRYABLE, error)

    def check_time(self) -> None:
        """Raise the last error if it has become too late for the next attempt.

        A machine that slept, or a busy one, wakes up later than it was asked to.
        """
        scheduled, self._scheduled = self._scheduled, None
        left = self._controller.left(self._until)
        if scheduled is None or left is None or left > 0:
            return
        self._give_up(OUT_OF_TIME, scheduled.error)
        if scheduled.error is not None:
            try:
                raise scheduled.error
            finally:
                del scheduled  # or the error, by its traceback, would hold itself


class Pause:
    """Context manager around the sleep between two attempts: counts its seconds; an interruption ends the execution."""

    __slots__ = ("_controller", "_execution", "_start")

    def __init__(self, execution: Execution, controller: RetryController) -> None:
        self._execution = execution
        self._controller = controller

    def __enter__(self) -> Self:
        self._start = self._controller.clock.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._controller.count_wait(self._controller.clock.monotonic() - self._start)
        if error is not None:
            self._execution.abandon(error)
