"""Retries of a block of code instead of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import scopes
from peak_observe.resilience.common.fallback import NO_FALLBACK
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.predicates import Expected
from peak_observe.resilience.common.unknown_outcome import handled_now
from peak_observe.resilience.retry.backoff import Delays, Jitter, RetryAfter
from peak_observe.resilience.retry.budget import RetryBudget
from peak_observe.resilience.retry.control import RetryControl
from peak_observe.resilience.retry.controller import RetryController
from peak_observe.resilience.retry.settings import BLOCK_FOREIGN_NAMES, Nested, OnGiveUp, OnRetry, build_settings
from peak_observe.resilience.retry.wrappers import RetryWrappers
from peak_observe.support.async_library import time_limit
from peak_observe.telemetry.tracing.spans import TracingMode

if TYPE_CHECKING:
    from asyncio import Timeout
    from types import FrameType, TracebackType

    from peak_observe.resilience.retry.execution import Execution
    from peak_observe.resilience.retry.settings import Settings


class Attempt:
    """One attempt of a loop over `retrying()`: `with attempt:`, or `async with attempt:`.

    An error that will be retried ends in the block.
    """

    __slots__ = ("_execution", "_settings", "_timer")

    def __init__(self, execution: Execution, settings: Settings) -> None:
        self._execution = execution
        self._settings = settings
        self._timer: Timeout | None = None

    @property
    def number(self) -> int:
        """The number of the attempt, from 1."""
        return self._execution.number

    @property
    def delay(self) -> float:
        """Seconds waited before this attempt."""
        return self._execution.delay

    def __enter__(self) -> Self:
        if self._settings.attempt_timeout is not None:
            raise TypeError("attempt_timeout needs `async with attempt:`, as nothing can interrupt a plain block")
        hook = self._settings.on_give_up
        if hook is not None and hook.awaits:
            raise TypeError("on_give_up needs `async with attempt:` if it is a coroutine function, which is awaited")
        self._begin(scopes.caller(1))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return self._execution.end(error) or self._forget()

    async def __aenter__(self) -> Self:
        seconds = self._begin(scopes.caller(1))
        if seconds is not None:
            self._timer = time_limit(seconds)
            await self._timer.__aenter__()
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
                if self._execution.end(late, timed_out=True):
                    return True
                await self._take_leave()
                raise
        if self._execution.end(error):
            return True
        await self._take_leave()
        return False

    def _begin(self, frame: FrameType) -> float | None:
        self._execution.block = id(frame)
        self._execution.handled_before = handled_now()
        return self._execution.begin(scopes.generator_of(frame))

    def _forget(self) -> bool:
        self._execution.take_error()  # which is raised
        return False

    async def _take_leave(self) -> None:
        self._forget()
        hook = self._execution.farewell()
        if hook is not None:
            await hook


class Attempts:
    """The attempts of one operation, for `for` and `async for`."""

    __slots__ = ("_begun", "_execution", "_owner", "_wrappers")

    def __init__(self, owner: retrying, execution: Execution, wrappers: RetryWrappers) -> None:
        self._owner = owner  # whose counts would be those of the dead otherwise
        self._execution = execution
        self._wrappers = wrappers
        self._begun = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        if self._has_failed():
            with self._execution.pause():
                self._execution.notify()
                self._wrappers.sleep(self._execution.delay)
            if self._execution.is_late():
                self._execution.raise_error()
        return self._next(StopIteration)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if self._has_failed():
            with self._execution.pause():
                hook = self._execution.notify()
                if hook is not None:
                    await hook
                await self._wrappers.async_sleep(self._execution.delay)
            if self._execution.is_late():
                hook = self._execution.farewell()
                if hook is not None:
                    await hook
                self._execution.raise_error()
        return self._next(StopAsyncIteration)

    def _has_failed(self) -> bool:
        if self._execution.number != self._begun:
            raise RuntimeError("a loop over retrying() needs `with attempt:` around what is to be tried")
        return self._begun > 0 and not self._execution.over

    def _next(self, end: type[Exception]) -> Attempt:
        if self._execution.over:
            raise end
        self._begun += 1
        return Attempt(self._execution, self._owner._controller.settings)  # noqa: SLF001 - the loop belongs to it


class retrying(RetryControl):  # noqa: N801 - it reads as the verb that it is, like `contextlib.suppress`
    """Retry a block when it fails: `for attempt in retrying(…):` and in it `with attempt:`, or `async for`.

    Each loop is an operation of its own, so one object can serve any number of loops, threads and tasks; make it once
    and not in each call. The block may be left by `return`, `break` or `continue`, which is a success. With
    `attempt_timeout` it is `async for` and `async with attempt:`. `attempt.number` is the number of the attempt.

    Args:
        max_attempts: How often the block is run at most, at least 1; None, beside a `timeout`, for as often as time
            allows.
        base_delay: Seconds before the second attempt.
        max_delay: Upper limit of the growing delay in seconds.
        exponential: Whether the delay grows.
        expected_exception: Exceptions that are retried.
        name: The label value of the metrics.
        tracing: `auto`, `always` or `off`, as for `retry_with_backoff`.
        clock: Where time and sleep come from; for tests.
        multiplier: By how much each delay is longer than the one before, more than 1.
        delays: The delays in seconds, of which the last repeats, or a function of attempt and exception.
        jitter: The share of a delay that is left to chance: `full`, `equal`, `decorrelated`, or a number from 0 to 1.
        retry_after: Whether an exception's `retry_after` or `Retry-After` is waited for, or a function of the exception
            that returns the seconds; one that asks for more than `max_delay` is not retried.
        timeout: Seconds from the first attempt within which the last one begins; below it is the deadline.
        attempt_timeout: Seconds after which an attempt is cancelled, with `async for`, and counts as failed.
        budget: A `RetryBudget`, or its name, that limits the retries of several operations together.
        on_retry: A function that is called with each `RetryScheduled`; with `async for` also a coroutine function.
        on_give_up: The same with each `GaveUp`; a coroutine function needs `async with attempt:` as well.
        nested: Where a retry stands inside this one, `warn`, or `inner_only` to leave alone what it has given up on.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: There is no such option.
    """

    @check_keywords(BLOCK_FOREIGN_NAMES)
    def __init__(
        self,
        max_attempts: int | None = 3,
        base_delay: float = 1.0,
        max_delay: float = 60.0,
        exponential: bool = True,
        expected_exception: Expected = Exception,
        *,
        name: str = "retrying",
        tracing: TracingMode = "auto",
        clock: Clock = SYSTEM_CLOCK,
        multiplier: float = 2.0,
        delays: Delays | None = None,
        jitter: Jitter | None = None,
        retry_after: RetryAfter = True,
        timeout: float | None = None,
        attempt_timeout: float | None = None,
        budget: RetryBudget | str | None = None,
        on_retry: OnRetry | None = None,
        on_give_up: OnGiveUp | None = None,
        nested: Nested = "warn",
    ) -> None:
        settings = build_settings(
            max_attempts=max_attempts,
            base_delay=base_delay,
            max_delay=max_delay,
            exponential=exponential,
            multiplier=multiplier,
            expected_exception=expected_exception,
            delays=delays,
            jitter=jitter,
            retry_after=retry_after,
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            budget=budget,
            on_retry=on_retry,
            on_give_up=on_give_up,
            fallback=NO_FALLBACK,
            nested=nested,
            retry_result=None,
        )
        super().__init__(RetryController(name, settings, clock))
        # A span that is current would stay so in the caller's context if the loop were left between two attempts.
        self._wrappers = RetryWrappers(self._controller, tracing, current=False)

    def _check_use(self, settings: Settings) -> None:
        if settings.retry_result is not None or settings.fallback is not NO_FALLBACK:
            name = "fallback" if settings.retry_result is None else "retry_result"
            raise ValueError(f"{name} needs a function, as a block has no result")

    def __iter__(self) -> Attempts:
        if self._controller.settings.attempt_timeout is not None:
            raise ValueError("attempt_timeout needs `async for`, as nothing can interrupt a plain block")
        settings = self._controller.settings
        for name, hook in (("on_retry", settings.on_retry), ("on_give_up", settings.on_give_up)):
            if hook is not None and hook.awaits:
                raise ValueError(f"{name} needs `async for` if it is a coroutine function: a plain loop awaits nothing")
        return self._loop()

    def __aiter__(self) -> Attempts:
        return self._loop()

    def _loop(self) -> Attempts:
        return Attempts(self, self._wrappers.begin(), self._wrappers)
