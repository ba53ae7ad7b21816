"""Retries for a block of code instead of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.retry.controller import RetryCore
from peak_observe.resilience.retry.execution import Run
from peak_observe.resilience.retry.settings import Options, build_settings
from peak_observe.telemetry.tracing.spans import API, TracingMode, switch

if TYPE_CHECKING:
    from typing import Unpack

    from peak_observe.resilience.common.predicates import Expected


class Loop:
    """The attempts of one operation, for `for` and `async for`."""

    __slots__ = ("_begun", "_owner", "_run")

    def __init__(self, owner: retrying, run: Run) -> None:
        self._owner = owner  # whose counts would be those of the dead otherwise
        self._run = run
        self._begun = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Run:
        if self._goes_on():
            self._run.wait()
        if self._run.over:
            raise StopIteration
        self._begun += 1
        return self._run

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Run:
        if self._goes_on():
            await self._run.async_wait()
        if self._run.over:
            raise StopAsyncIteration
        self._begun += 1
        return self._run

    def _goes_on(self) -> bool:
        if self._run.number != self._begun:
            raise RuntimeError("a loop over retrying() needs `with attempt:` around what is to be tried")
        return self._begun > 0


class retrying:  # noqa: N801 - it reads as the verb that it is, like `contextlib.suppress`
    """Try a block again when it fails: `for attempt in retrying(…):` and in it `with attempt:`, or `async for`.

    Each loop is an operation of its own, so one object can serve any number of loops, threads and tasks; make it once
    and not in each call. The block may be left by `return`, `break` or `continue`, which is a success. With
    `attempt_timeout` it is `async for` and `async with attempt:`. `attempt.number` is the number of the attempt.

    Args:
        max_attempts: How often the block is run at most, at least 1.
        base_delay: Seconds before the second attempt.
        max_delay: Upper limit of the growing delay in seconds.
        exponential: Whether the delay doubles.
        expected_exception: What is retried.
        name: The label value of the metrics.
        tracing: `auto`, `always` or `off`, as for `retry_with_backoff`.
        clock: Where time and sleep come from; for tests.
        more: The other options of `retry_with_backoff`, without `retry_result`.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: There is no such option.
    """

    def __init__(
        self,
        max_attempts: int = 3,
        base_delay: float = 1.0,
        max_delay: float = 60.0,
        exponential: bool = True,
        expected_exception: Expected = Exception,
        *,
        name: str = "retrying",
        tracing: TracingMode = "auto",
        clock: Clock = SYSTEM_CLOCK,
        **more: Unpack[Options],
    ) -> None:
        settings = build_settings(max_attempts, base_delay, max_delay, exponential, expected_exception, more)
        if settings.retry_result:
            raise ValueError("retry_result needs a function: in a loop, raise an exception where a result is no good")
        self._watched, self._recording = switch(tracing)
        self._core = RetryCore(name, settings, clock)
        self._core.series.join(self, self._core.read)

    def __iter__(self) -> Loop:
        if self._core.settings.attempt_timeout is not None:
            raise ValueError("attempt_timeout needs `async for`, as nothing can interrupt a plain block")
        return self._loop()

    def __aiter__(self) -> Loop:
        return self._loop()

    def _loop(self) -> Loop:
        traced = API in self._watched and self._recording()
        # A span that is current would stay so in the caller's context if the loop were left between two attempts.
        return Loop(self, Run(self._core, self._core.clock.monotonic(), traced=traced, current=False))
