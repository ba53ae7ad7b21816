"""Decide after each attempt of an operation whether to retry, and emit the matching events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from peak_observe import catalog
from peak_observe.observers import emit
from peak_observe.resilience.common import deadlines
from peak_observe.resilience.common.flow import Awaited
from peak_observe.resilience.retry import nesting, switch
from peak_observe.resilience.retry.controller import (
    AFTER_RETRY,
    EXHAUSTED,
    FIRST_TRY,
    NOT_RETRYABLE,
    OUT_OF_BUDGET,
    OUT_OF_TIME,
    UNACCEPTED,
    WOULD_RETRY,
)
from peak_observe.telemetry.tracing.spans import CallSpan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from types import FrameType, TracebackType

    from peak_observe.events import GaveUp, RetryScheduled
    from peak_observe.resilience.common.deadlines import Limit
    from peak_observe.resilience.common.scopes import Scope
    from peak_observe.resilience.common.unknown_outcome import HandledBefore
    from peak_observe.resilience.retry.controller import RetryController


delays_off = 0
"""How many blocks of `testing.no_delays` are entered: above 0 nobody waits."""

_SPENT = (EXHAUSTED, OUT_OF_TIME, OUT_OF_BUDGET)


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
        error: The exception of the attempt before this one, or the last one.
        over: Whether there will be no other attempt.
        left_open: Whether the present attempt sent an order whose fate is unknown.
        falls_back: Whether the fallback stands in for what it ended with.
        block: The identity of the frame that has the block of the attempt, if one has; 0 where none has.
        handled_before: Whether an exception was handled when that block began; None where there is no block.
    """

    __slots__ = (
        "_attempt_span",
        "_farewell",
        "_scheduled",
        "_scopes",
        "_span",
        "_started",
        "_timed_out",
        "block",
        "controller",
        "delay",
        "error",
        "falls_back",
        "handled_before",
        "left_open",
        "number",
        "over",
    )

    def __init__(
        self, controller: RetryController, started: float, *, traced: bool = False, current: bool = True
    ) -> None:
        self.controller = controller
        self._started = started
        self._scopes: tuple[Scope[nesting.Attempted], Scope[Limit] | None]
        self.number = self.block = 0
        self.delay = 0.0
        self.error: BaseException | None = None
        self.handled_before: HandledBefore | None = None
        self.over = self.falls_back = self.left_open = self._timed_out = False
        self._scheduled: RetryScheduled | None = None
        self._farewell: GaveUp | None = None
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
        controller, until, seconds = self.controller, self._until(), self.controller.settings.attempt_timeout
        if controller.settings.observes:
            until = seconds = None
        if seconds is not None:
            left = controller.left(until)
            seconds = seconds if left is None else max(0.0, min(seconds, left))
            until = controller.clock.monotonic() + seconds
        self.number += 1
        self.left_open = False
        if self._span:
            facts = {"peak_observe.attempt": self.number, "peak_observe.delay": self.delay}
            self._attempt_span = CallSpan(f"attempt {controller.name}", facts, parent=self._span)
            self._attempt_span.begin()
        if self.number > 1:
            controller.count_retry()
        limit = None if until is None else deadlines.impose(until, controller.clock, generator)
        self._scopes = nesting.enter(self, generator), limit
        return seconds

    def end(self, error: BaseException | None = None, *, accepted: bool = True, timed_out: bool = False) -> bool:
        """Record how an attempt ended and return whether there is another one.

        Args:
            error: The exception.
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
        unacceptable = self.controller.settings.retry_result
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
        controller = self.controller
        self.error = error
        self._pay()
        if error is None:
            controller.count_error(UNACCEPTED)
        elif isinstance(error, Exception):
            controller.count_error(type(error).__name__)
        outcome = self._reason_to_stop(error)
        if outcome is None:
            return True
        if outcome == WOULD_RETRY:
            self._end(outcome, error)
            return False
        self._give_up(outcome, error)
        return False

    def _reason_to_stop(self, error: BaseException | None) -> int | None:
        """Return the outcome, or schedule another attempt and return None."""
        controller, settings = self.controller, self.controller.settings
        timed_out = self._timed_out and error is not None and not controller.leaves_open(error, self.handled_before)
        if error is not None and not (timed_out or controller.retryable(error, self.handled_before)):
            return NOT_RETRYABLE
        if self.left_open and not controller.repeats_unknown_outcomes:
            return NOT_RETRYABLE
        if error is not None and settings.repeats and self._is_left_to_the_inner(error):
            return NOT_RETRYABLE
        if self.number >= controller.max_attempts:
            return EXHAUSTED
        failure = error if isinstance(error, Exception) else None
        delay = settings.schedule.delay_after(self.number, failure, previous=self.delay, clock=controller.clock)
        left = controller.left(self._until())
        # The delay is not cut: the attempt after it would begin when nobody waits for it any more.
        if delay is None or (left is not None and delay >= left):
            return OUT_OF_TIME
        refused = None
        if settings.observes:
            refused = WOULD_RETRY  # without asking the budget, which others use
        elif settings.budget and not settings.budget.take():
            refused = OUT_OF_BUDGET
        else:
            self._schedule(delay, error)
        return refused

    def _is_left_to_the_inner(self, error: BaseException) -> bool:
        """Return whether an inner retry has given up on this error, and one of the two says `inner_only`."""
        mark = nesting.mark_of(error, self._started)
        if mark is None:
            return False
        if mark.final or self.controller.settings.inner_only:
            return True
        nesting.report(mark.operation, self.controller)
        return False

    def _schedule(self, delay: float, error: BaseException | None) -> None:
        controller = self.controller
        self.delay = delay
        from peak_observe.events.retries import RetryScheduled  # late: a start makes no records

        self._scheduled = RetryScheduled(controller.name, self.number, controller.settings.max_attempts, delay, error)
        emit(self._scheduled)

    def _succeeded(self) -> None:
        self.error = None
        if self.number > 1:
            self._end(AFTER_RETRY)
            outer = nesting.enclosing()
            if outer and outer.multiplies and not self.controller.settings.inner_only:
                nesting.report(self.controller.label, outer)
            from peak_observe.events.retries import Recovered

            emit(Recovered(self.controller.name, self.number, self.elapsed()))
        elif self._span:
            self._pay()
            self._end(FIRST_TRY)
        else:
            self.over = True
            self.controller.first_tries.tick()

    def _pay(self) -> None:
        """Add the call to the retry budget at its first attempt; a first try that succeeds does so by being counted."""
        budget = self.controller.settings.budget
        if budget and self.number == 1:
            budget.count()

    def _give_up(self, outcome: int, error: BaseException | None) -> None:
        controller = self.controller
        elapsed = self.elapsed()
        suppressed = outcome == EXHAUSTED and self.number < controller.settings.most_attempts and switch.are_off()
        if suppressed:
            switch.log_once()
        if isinstance(error, Exception) and controller.settings.repeats and (outcome in _SPENT or self.number > 1):
            mark = nesting.Mark(controller.label, controller.clock.monotonic(), controller.settings.inner_only)
            nesting.annotate(error, mark)
        self._end(outcome, error)
        from peak_observe.events.retries import GaveUp

        event = GaveUp(controller.name, self.number, elapsed, catalog.RETRY_OUTCOMES[outcome], error)
        emit(event)
        self._take_leave(event)

    def _take_leave(self, event: GaveUp) -> None:
        """Call the user's hook, or leave it to `farewell`; cancellation, Ctrl-C and exit are no failures."""
        if event.error is not None and not isinstance(event.error, Exception):
            return
        self.falls_back = not self.left_open and self.controller.falls_back(event.error, timed_out=self._timed_out)
        hook = self.controller.settings.on_give_up
        if hook is not None and hook.awaits:
            self._farewell = event
        elif hook is not None:
            hook.call(event)

    @property
    def unfinished(self) -> bool:
        """Whether there is something left to do when it is over: a hook to await, or a fallback."""
        return self.falls_back or self._farewell is not None

    def farewell(self) -> Awaitable[Any] | None:
        """Return what to await of a hook that is a coroutine function, now that it gave up."""
        event, self._farewell = self._farewell, None
        hook = self.controller.settings.on_give_up
        return None if event is None or hook is None or not hook.awaits else hook.async_call(event)

    def take_error(self) -> BaseException | None:
        """Return what the last attempt raised; the execution holds it no longer."""
        error, self.error = self.error, None
        return error

    def raise_error(self) -> None:
        """Raise what the last attempt raised, if it did."""
        error = self.take_error()
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the error, by its traceback, would hold itself

    def _end(self, outcome: int, error: BaseException | None = None) -> None:
        controller = self.controller
        self.over = True
        controller.count_end(outcome, self._span.exemplar(1.0, controller.clock) if self._span else None)
        self._end_span(catalog.OBSERVED_RETRY_OUTCOMES[outcome], error)

    def _end_span(self, outcome: str, error: BaseException | None = None) -> None:
        if self._span:
            self._span.end({"peak_observe.outcome": outcome, "peak_observe.attempts": self.number}, error)

    def elapsed(self) -> float:
        """Return the seconds since it began."""
        return max(0.0, self.controller.clock.monotonic() - self._started)

    def _until(self) -> float | None:
        # Asked anew each time, as the settings may change meanwhile.
        timeout = self.controller.settings.timeout
        return None if timeout is None else self._started + timeout

    def pause(self) -> Pause:
        """Return the context manager for the sleep before the next attempt."""
        return Pause(self, self.controller)

    def notify(self) -> Awaitable[Any] | None:
        """Call the user's hook with the retry to come; return what to await of a coroutine function."""
        hook = self.controller.settings.on_retry
        if hook is None:
            return None
        if hook.awaits:
            return hook.async_call(self._scheduled)
        hook.call(self._scheduled)
        return None

    def abandon(self, error: BaseException) -> None:
        """End the execution, as the sleep was interrupted; what went wrong with it has the last error as its cause."""
        self._scheduled, last = None, self.take_error()
        if isinstance(error, Exception) and error.__cause__ is None and last is not None:
            BaseException.__cause__.__set__(error, last)  # type: ignore[union-attr] # a frozen one refuses `=`
        self._end(NOT_RETRYABLE, error)

    def is_late(self) -> bool:
        """Give up, and return True, if it has become too late for the next attempt.

        A machine that slept, or a busy one, wakes up later than it was asked to; and retries may have been turned off.
        """
        self._scheduled = None
        left = self.controller.left(self._until())
        if switch.are_off():
            self._give_up(EXHAUSTED, self.error)
        elif left is not None and left <= 0:
            self._give_up(OUT_OF_TIME, self.error)
        return self.over


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
