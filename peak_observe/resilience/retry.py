"""Retry with backoff: the same operation again, after a growing delay, a bounded number of times."""

from __future__ import annotations

from contextlib import nullcontext
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience import arguments, parts, wrap
from peak_observe.resilience.attempts import RetryCore, Run
from peak_observe.telemetry.tracing import API, TracingMode, switch

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


class Retry:
    """Owns the counts of one decorated function; see `retry_with_backoff` for the arguments."""

    def __init__(self, core: RetryCore, tracing: TracingMode) -> None:
        self._core = core
        self._watched, self._recording = switch(tracing)
        core.series.join(self, core.read)

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with retries, of the same kind."""
        kind = wrap.kind(func)
        if kind == wrap.GENERATOR:
            return wrap.wrap_generator(func, nullcontext, self._begin(func))
        if kind == wrap.ASYNC_GENERATOR:
            return wrap.wrap_async_generator(func, nullcontext, self._begin_async(func))
        return self._wrap_coroutine(func) if kind == wrap.COROUTINE else self._wrap_function(func)

    __call__ = wrap

    def _run(self, *, current: bool = True) -> Run:
        traced = API in self._watched and self._recording()
        return Run(self._core, self._core.clock.monotonic(), traced=traced, current=current)

    def _wrap_function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        core, monotonic, tick = self._core, self._core.clock.monotonic, self._core.first_tries.tick
        watched, recording, api = self._watched, self._recording, API

        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if api in watched and recording():
                return self._attempts(self._run(), func, args, kwargs)
            started = monotonic()
            try:
                result = func(*args, **kwargs) if kwargs else func(*args)
            except BaseException as error:
                run = Run(core, started)
                if not run.failed_first(error):
                    raise
            else:
                if type(result) is CoroutineType:
                    return self._await_attempts(result, func, args, kwargs)
                tick()
                return result
            run.wait()
            return self._attempts(run, func, args, kwargs)

        return wrapper

    def _attempts(self, run: Run, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        while True:
            with run:
                return func(*args, **kwargs)
            run.wait()

    def _wrap_coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        core, monotonic, tick = self._core, self._core.clock.monotonic, self._core.first_tries.tick
        watched, recording, api = self._watched, self._recording, API

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            if api in watched and recording():
                return await self._async_attempts(self._run(), func, args, kwargs)
            started = monotonic()
            try:
                result = await func(*args, **kwargs)
            except BaseException as error:
                run = Run(core, started)
                if not run.failed_first(error):
                    raise
            else:
                tick()
                return result
            await run.async_wait()
            return await self._async_attempts(run, func, args, kwargs)

        return wrapper

    async def _async_attempts(
        self,
        run: Run,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        while True:
            with run:
                return await func(*args, **kwargs)
            await run.async_wait()

    async def _await_attempts(
        self,
        first: Any,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        # A plain function that returns a coroutine: the one it made is the first attempt, later ones are made anew.
        run = self._run()
        with run:
            return await first
        await run.async_wait()
        return await self._async_attempts(run, func, args, kwargs)

    def _begin(self, func: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, Any]]:
        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
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

    def _begin_async(self, func: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
        async def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
            run = self._run(current=False)
            while True:
                with run:
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
    expected_exception: arguments.ExceptionTypes = Exception,
    *,
    name: str | None = None,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    retry_if: Callable[[Exception], bool] | None = None,
) -> Callable[[F], F]: ...


def retry_with_backoff(
    max_attempts: Any = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exponential: bool = True,
    expected_exception: arguments.ExceptionTypes = Exception,
    *,
    name: str | None = None,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    retry_if: Callable[[Exception], bool] | None = None,
) -> Any:
    """Call a function again when it fails, after 1, 2, 4, 8 … times `base_delay`; with or without parentheses.

    The last exception comes through unchanged. An open circuit is not retried: put the breaker outside, the retry
    inside. Generators are retried until their first item.

    Args:
        max_attempts: How often the function is called at most, at least 1.
        base_delay: Seconds before the second attempt.
        max_delay: Upper limit of the growing delay in seconds.
        exponential: Whether the delay doubles; otherwise it is always `base_delay`.
        expected_exception: What is retried, a type or a tuple of types. Cancellation, Ctrl-C and exit never are, and
            `CircuitOpenError` only if it is named itself.
        name: The label value of the metrics; the function's qualified name by default.
        tracing: `auto` traces inside a recording span, `always` begins a trace if there is none, `off` never traces.
        clock: Where time and sleep come from; for tests.
        retry_if: Says of an expected exception whether it is retried, where its type does not tell.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: What is decorated cannot be called.
    """
    if arguments.is_function(max_attempts):
        return retry_with_backoff()(max_attempts)
    arguments.check_count("max_attempts", max_attempts)
    arguments.check_seconds("base_delay", base_delay)
    arguments.check_seconds("max_delay", max_delay)
    arguments.check_exceptions("expected_exception", expected_exception)
    switch(tracing)

    def build(name: str) -> Retry:
        core = RetryCore(
            name=name,
            max_attempts=max_attempts,
            base_delay=float(base_delay),
            max_delay=float(max_delay),
            exponential=exponential,
            expected=expected_exception,
            clock=clock,
            retry_if=retry_if,
        )
        return Retry(core, tracing)

    return parts.Part(parts.RETRY, build, name)
