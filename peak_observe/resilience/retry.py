"""Retry with backoff: the same operation again, after a growing delay, a bounded number of times."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import CircuitOpenError
from peak_observe.events import GaveUp, Recovered, RetryScheduled, emit
from peak_observe.measures import RETRIES, Exemplar, RetryCounts, RetryReading, Ticker, increased
from peak_observe.resilience import arguments, backoff, wrap
from peak_observe.telemetry.tracing import API, CallSpan, TracingMode, switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

F = TypeVar("F", bound="Callable[..., Any]")

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
        expected: arguments.ExceptionTypes,
        clock: Clock,
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

    def protect(func: Callable[..., Any]) -> Callable[..., Any]:
        core = RetryCore(
            name=wrap.name_of(func) if name is None else name,
            max_attempts=max_attempts,
            base_delay=float(base_delay),
            max_delay=float(max_delay),
            exponential=exponential,
            expected=expected_exception,
            clock=clock,
        )
        return Retry(core, tracing).wrap(func)

    return lambda func: wrap.decorate(func, protect)
