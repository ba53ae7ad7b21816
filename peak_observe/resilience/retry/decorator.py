"""Retry with backoff: the same operation again, after a growing delay, a bounded number of times."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.retry import idempotency, nesting
from peak_observe.resilience.retry.controller import RetryCore
from peak_observe.resilience.retry.execution import Run
from peak_observe.resilience.retry.settings import Options, build_settings
from peak_observe.telemetry.tracing.spans import API, TracingMode, attached, switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from peak_observe.resilience.common.predicates import Expected

F = TypeVar("F", bound="Callable[..., Any]")
Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class Retry:
    """Owns the counts of one decorated function; see `retry_with_backoff` for the arguments."""

    def __init__(self, core: RetryCore, tracing: TracingMode) -> None:
        self._core = core
        self._watched, self._recording = switch(tracing)
        self._around = attached(tracing)
        core.series.join(self, core.read)

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with retries, of the same kind.

        Raises:
            ValueError: An option is of no use for a function of this kind.
            TypeError: The function must not be repeated.
        """
        kind = wrapping.kind(func)
        self._core.settings.check_use(func, kind)
        wrapper = self._wrapped(func, kind)
        idempotency.note_retried(wrapper, self._core.name)
        return wrapper

    def _wrapped(self, func: Callable[..., Any], kind: str) -> Callable[..., Any]:
        if kind == wrapping.GENERATOR:
            return wrapping.wrap_generator(func, nullcontext, self._begin(func))
        if kind == wrapping.ASYNC_GENERATOR:
            return wrapping.wrap_async_generator(func, nullcontext, self._begin_async(func))
        return self._wrap_coroutine(func) if kind == wrapping.COROUTINE else self._wrap_function(func)

    __call__ = wrap

    def _run(self, *, current: bool = True) -> Run:
        traced = API in self._watched and self._recording()
        return Run(self._core, self._core.clock.monotonic(), traced=traced, current=current)

    def _wrap_function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        core, monotonic, tick = self._core, self._core.clock.monotonic, self._core.first_tries.tick
        watched, around, recording, api = self._watched, self._around, self._recording, API
        simple = core.settings.simple

        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if (api in watched and around[0]() and recording()) or not simple:
                return self._attempts(self._run(), func, args, kwargs)
            started = monotonic()
            try:
                result = func(*args, **kwargs) if kwargs else func(*args)
            except BaseException:
                # The error has no name here: `nesting` looks at the locals of this frame, which would hold it then.
                run = Run(core, started)
                if not run.failed_first(sys.exception()):
                    raise
            else:
                if type(result) is CoroutineType:
                    return self._await_attempts(result, func, args, kwargs)
                tick()
                return result
            run.wait()
            return self._attempts(run, func, args, kwargs)

        nesting.runs_first_attempts(wrapper)
        return wrapper

    def _attempts(self, run: Run, func: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        while True:
            with run:
                result = func(*args, **kwargs)
                run.deferred = type(result) is CoroutineType
                if not run.deferred and run.takes(result):
                    return result
            if run.deferred:
                return self._await_attempts(result, func, args, kwargs)
            run.wait()
            if run.over:
                return result

    def _wrap_coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        core, monotonic, tick = self._core, self._core.clock.monotonic, self._core.first_tries.tick
        watched, around, recording, api = self._watched, self._around, self._recording, API
        simple = core.settings.simple

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            if (api in watched and around[0]() and recording()) or not simple:
                return await self._async_attempts(self._run(), func, args, kwargs)
            started = monotonic()
            try:
                result = await func(*args, **kwargs)
            except BaseException:
                run = Run(core, started)
                if not run.failed_first(sys.exception()):
                    raise
            else:
                tick()
                return result
            await run.async_wait()
            return await self._async_attempts(run, func, args, kwargs)

        nesting.runs_first_attempts(wrapper)
        return wrapper

    async def _async_attempts(self, run: Run, func: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        while True:
            async with run:
                result = await func(*args, **kwargs)
                if run.takes(result):
                    return result
            await run.async_wait()
            if run.over:
                return result

    async def _await_attempts(self, first: Any, func: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        # A plain function that returns a coroutine: the one it made is the first attempt, later ones are made anew.
        run = self._run()
        async with run:
            result = await first
            if run.takes(result):
                return result
        await run.async_wait()
        return result if run.over else await self._async_attempts(run, func, args, kwargs)

    def _begin(self, func: Callable[..., Any]) -> Callable[[Args, Kwargs], tuple[Any, Any]]:
        def begin(args: Args, kwargs: Kwargs) -> tuple[Any, Any]:
            run = self._run(current=False)
            while True:
                with run:
                    generator = func(*args, **kwargs)
                    try:
                        return generator, next(generator)
                    except StopIteration as stop:
                        end = stop
                    break
                run.wait()
            raise end

        return begin

    def _begin_async(self, func: Callable[..., Any]) -> Callable[[Args, Kwargs], Any]:
        async def begin(args: Args, kwargs: Kwargs) -> tuple[Any, Any]:
            run = self._run(current=False)
            while True:
                async with run:
                    generator = func(*args, **kwargs)
                    try:
                        return generator, await anext(generator)
                    except StopAsyncIteration as stop:
                        end = stop
                    break
                await run.async_wait()
            raise end

        return begin


@overload
def retry_with_backoff(max_attempts: F, /) -> F: ...


@overload
def retry_with_backoff(
    max_attempts: int = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exponential: bool = True,
    expected_exception: Expected = Exception,
    *,
    name: str | None = None,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    **more: Unpack[Options],
) -> Callable[[F], F]: ...


def retry_with_backoff(
    max_attempts: Any = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exponential: bool = True,
    expected_exception: Expected = Exception,
    *,
    name: str | None = None,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    **more: Unpack[Options],
) -> Any:
    """Call a function again when it fails, after 1, 2, 4, 8 … times `base_delay`; with or without parentheses.

    The last exception comes through unchanged, with a note that says how many attempts were made and how long they
    took. An open circuit is not retried: put the breaker outside, the retry inside. Generators are retried until their
    first item. A function marked `@idempotent(False)` is refused.

    Args:
        max_attempts: How often the function is called at most, at least 1.
        base_delay: Seconds before the second attempt.
        max_delay: Upper limit in seconds of the growing delay, and of what a service may ask for.
        exponential: Whether the delay doubles; otherwise it is always `base_delay`.
        expected_exception: What is retried: a type, a function of the exception, or a tuple of them. Cancellation,
            Ctrl-C and exit never are, and `CircuitOpenError` only if it is named itself.
        name: The label value of the metrics; the function's qualified name by default.
        tracing: `auto` traces inside a recording span, `always` begins a trace if there is none, `off` never traces.
        clock: Where time and sleep come from; for tests.
        more: `delays`, the delays themselves (the last one repeats), or a function of attempt and exception.
            `jitter`, what of a delay is left to chance: `"full"`, `"equal"`, `"decorrelated"` or a share from 0 to 1.
            `retry_after`, whether an exception's `retry_after` or `Retry-After` is waited for, or a function of the
            exception that finds the seconds; who asks for more than `max_delay` is not asked again. `timeout`, seconds
            from the first attempt within which the last one begins; below it is the deadline. `attempt_timeout`,
            seconds after which the attempt of a coroutine is cancelled and counts as failed. `retry_result`, a function
            that says of a result whether it is retried; the last one is returned as it is. `budget`, a `RetryBudget` or
            its name. `on_retry`, a function that is told of each `RetryScheduled`. `nested`, what is done about a retry
            inside: `"warn"`, or `"inner_only"` to retry nothing on which it has given up.

    Raises:
        ValueError: An argument makes no sense, or not for this kind of function; the message names it.
        TypeError: What is decorated cannot be called or must not be repeated, or there is no such option.
    """
    if validation.is_function(max_attempts):
        return retry_with_backoff()(max_attempts)
    settings = build_settings(max_attempts, base_delay, max_delay, exponential, expected_exception, more)
    switch(tracing)

    def build(name: str) -> Retry:
        return Retry(RetryCore(name, settings, clock), tracing)

    return strategy.Part(strategy.RETRY, build, name)
