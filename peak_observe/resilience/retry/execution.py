"""The attempts of an operation, each a `with` block, and the waits between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from peak_observe import catalog
from peak_observe.observers import emit
from peak_observe.resilience.common import deadlines
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
    from asyncio import Timeout
    from contextvars import Token
    from types import TracebackType

    from peak_observe.events import RetryScheduled
    from peak_observe.resilience.retry.controller import RetryCore


haste = 0
"""How many blocks of `testing.no_delays` are entered: above 0 nobody waits."""

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


class Run(Operation):
    """One operation on its way through its attempts.

    It is used as `with run:` (`async with` where attempts have a timeout) around each attempt, and swallows an error
    that will be retried; `run.wait()` or `run.async_wait()` is then the way to the next attempt.

    Attributes:
        deferred: Whether the attempt turned out to be a coroutine that somebody else awaits.
    """

    __slots__ = ("_attempt_span", "_timer", "_tokens", "_unaccepted", "deferred")

    def __init__(self, core: RetryCore, started: float, *, traced: bool = False, current: bool = True) -> None:
        super().__init__(core, started, traced=traced, current=current)
        self.deferred = self._unaccepted = False
        self._timer: Timeout | None = None
        self._tokens: tuple[Token[Any], Token[Any] | None]
        self._attempt_span: CallSpan | None = None

    def failed_first(self, error: BaseException | None) -> bool:
        """Take in that the simple first attempt failed; return whether to go on."""
        self.number = 1
        return self._failed(error)

    def takes(self, result: object) -> bool:
        """Return whether a result is accepted, within the attempt that gave it."""
        judge = self._core.settings.retry_result
        self._unaccepted = judge is not None and judge.says(result)
        return not self._unaccepted

    def __enter__(self) -> Self:
        if self._core.settings.attempt_timeout is not None:
            raise TypeError("attempt_timeout needs `async with attempt:`, as nothing can interrupt a plain block")
        self._begin(self._until)
        return self

    def _begin(self, until: float | None) -> None:
        core = self._core
        self.number += 1
        if self._span:
            facts = {"peak_observe.attempt": self.number, "peak_observe.delay": self.delay}
            self._attempt_span = CallSpan(f"attempt {core.name}", facts, parent=self._span)
            self._attempt_span.begin()
        if self.number > 1:
            core.count_retry()
        limit = None if until is None else deadlines.impose(until, core.clock)
        self._tokens = nesting.enter(core), limit

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        inside, limit = self._tokens
        nesting.leave(inside)
        if limit:
            deadlines.lift(limit)
        if self._attempt_span:
            self._attempt_span.end({}, error)
        if error is not None:
            return self._failed(error)
        if self._unaccepted:
            self._failed(None)
        elif self.deferred:
            self._end_span("deferred")
        else:
            self._succeeded()
        return False

    async def __aenter__(self) -> Self:
        core, until, seconds = self._core, self._until, self._core.settings.attempt_timeout
        if seconds is not None:
            import asyncio

            left = core.left(until)
            allowed = seconds if left is None else max(0.0, min(seconds, left))
            until = core.clock.monotonic() + allowed
            self._timer = asyncio.timeout(allowed)
            await self._timer.__aenter__()
        self._begin(until)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._timer is not None:
            try:
                await self._timer.__aexit__(kind, error, traceback)
            except TimeoutError as late:
                self._cut = True
                if self.__exit__(type(late), late, late.__traceback__):
                    return True
                raise
        self._cut = False
        return self.__exit__(kind, error, traceback)

    def wait(self) -> None:
        """Sleep until the next attempt, if there is one; raise the last error if it has become too late for it."""
        if not self.over:
            with _Waiting(self, self._core) as waiting:
                waiting.prepare(self._scheduled)
                if not haste:
                    self._core.clock.sleep(self.delay)
            self._check_time()

    async def async_wait(self) -> None:
        """Sleep until the next attempt, letting other tasks run; otherwise as `wait`."""
        if not self.over:
            with _Waiting(self, self._core) as waiting:
                waiting.prepare(self._scheduled)
                await self._core.clock.async_sleep(0.0 if haste else self.delay)
            self._check_time()

    def abandon(self, error: BaseException) -> None:
        """Take in that the wait was interrupted."""
        self._scheduled = None
        self._end(NOT_RETRYABLE, error)

    def _check_time(self) -> None:
        # A machine that slept, or a busy one, wakes up later than it was asked to.
        scheduled, self._scheduled = self._scheduled, None
        left = self._core.left(self._until)
        if scheduled is None or left is None or left > 0:
            return
        self._give_up(OUT_OF_TIME, scheduled.error)
        if scheduled.error is not None:
            try:
                raise scheduled.error
            finally:
                del scheduled  # or the error, by its traceback, would hold itself


class _Waiting:
    """The time between two attempts: counted, and an interruption ends the operation."""

    __slots__ = ("_core", "_run", "_start")

    def __init__(self, run: Run, core: RetryCore) -> None:
        self._run = run
        self._core = core

    def __enter__(self) -> Self:
        self._start = self._core.clock.monotonic()
        return self

    def prepare(self, scheduled: object) -> None:
        """Tell the user's hook what will happen."""
        hook = self._core.settings.on_retry
        if hook:
            hook.ask(scheduled)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._core.count_wait(self._core.clock.monotonic() - self._start)
        if error is not None:
            self._run.abandon(error)
