"""The attempts of an operation, each a `with` block, and the waits between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from peak_observe.resilience import deadlines, nesting
from peak_observe.resilience.operations import Operation
from peak_observe.resilience.retries import NOT_RETRYABLE, OUT_OF_TIME
from peak_observe.telemetry.tracing.spans import CallSpan

if TYPE_CHECKING:
    from asyncio import Timeout
    from contextvars import Token
    from types import TracebackType

    from peak_observe.resilience.retries import RetryCore

haste = 0
"""How many blocks of `testing.no_delays` are entered: above 0 nobody waits."""


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
