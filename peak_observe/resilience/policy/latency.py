"""Latency histogram of a function, without any protection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock, stopwatch_of
from peak_observe.measures import BATCH, TIMED, CallCounts, TimedReading
from peak_observe.measures.forks import renew
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.common.context import SyncAsyncContext
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.locking import exclusively
from peak_observe.telemetry.tracing import spans

if TYPE_CHECKING:
    from collections.abc import Awaitable

F = TypeVar("F", bound=Callable[..., Any])


class LatencyRecorder:
    """Buckets of the time that calls took, each with an exemplar where the call was inside a sampled span."""

    def __init__(self, name: str, bounds: tuple[float, ...], clock: Clock) -> None:
        self.name = name
        self.stopwatch = stopwatch_of(clock)
        self.series = TIMED.series(name, bounds)
        self._clock = clock
        self._counts = CallCounts(bounds, outcomes=1)
        self._lock = threading.RLock()  # the collector may end a generator, which is recorded, while we are inside
        renew(self)

    def record(self, seconds: float) -> None:
        """Record one call."""
        exemplar = spans.current_exemplar(seconds, self._clock)
        if exemplar is not None:
            exclusively(self._lock, self._counts.add, 0, max(0.0, seconds), exemplar)
            return
        pending = self._counts.pending  # which bears to be appended to without the lock
        pending.append(seconds)
        if len(pending) >= BATCH:
            exclusively(self._lock, self._counts.fold)

    def read(self) -> TimedReading:
        """Return the buckets of one moment."""
        return exclusively(self._lock, self._read)

    def _read(self) -> TimedReading:
        self._counts.fold()
        reading, counts = TimedReading(), self._counts
        reading.bounds, reading.buckets, reading.duration_sum = counts.bounds, counts.buckets, counts.duration_sum
        reading.bucket_exemplars = counts.bucket_exemplars
        return reading

    def after_fork(self) -> None:
        """Make the lock anew: a thread of the parent may have held it."""
        self._lock = threading.RLock()


class TimedStream(SyncAsyncContext):
    """Time inside one generator, step by step; recorded when it has ended, however that comes."""

    __slots__ = ("_recorder", "_seconds")

    def __init__(self, recorder: LatencyRecorder) -> None:
        self._recorder = recorder
        self._seconds = 0.0

    def step(self, resume: Callable[[Any], Any], value: Any) -> Any:
        """Return the generator's next item."""
        started = self._recorder.stopwatch()
        try:
            return resume(value)
        finally:
            self._seconds += self._recorder.stopwatch() - started

    async def async_step(self, resume: Callable[[Any], Awaitable[Any]], value: Any) -> Any:
        """Return the async generator's next item."""
        started = self._recorder.stopwatch()
        try:
            return await resume(value)
        finally:
            self._seconds += self._recorder.stopwatch() - started

    def _exit(self, error: BaseException | None) -> None:  # noqa: ARG002 - recorded however it ends
        self._recorder.record(self._seconds)


class LatencyStrategy:
    """Latency histogram of one decorated function; see `timed`."""

    def __init__(self, name: str, bounds: tuple[float, ...], clock: Clock) -> None:
        self._recorder = LatencyRecorder(name, bounds, clock)
        self._recorder.series.join(self, self._recorder.read)

    @property
    def name(self) -> str:
        """The name by which its metrics are known."""
        return self._recorder.name

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with its time recorded; every kind of function stays what it is."""
        wrapper = self._wrapper(func)
        vars(wrapper)["_peak_timed"] = self  # the histogram lives as long as the decorated function
        return wrapper

    def _wrapper(self, func: Callable[..., Any]) -> Callable[..., Any]:
        kind = wrapping.kind(func)
        if kind == wrapping.GENERATOR:
            return wrapping.wrap_generator_steps(func, self._stream, TimedStream.step)
        if kind == wrapping.ASYNC_GENERATOR:
            return wrapping.wrap_async_generator_steps(func, self._stream, TimedStream.async_step)
        return self._coroutine(func) if kind == wrapping.COROUTINE else self._function(func)

    def _stream(self) -> TimedStream:
        return TimedStream(self._recorder)

    def _function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        stopwatch, record = self._recorder.stopwatch, self._recorder.record

        async def finish(deferred: Any, started: float) -> Any:
            try:
                return await deferred
            finally:
                record(stopwatch() - started)

        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            started, ended = stopwatch(), True
            try:
                result = func(*args, **kwargs)
                if wrapping.is_deferred(result):
                    ended = False
                    return wrapping.finished_by(result, finish(result, started))
                return result
            finally:
                if ended:
                    record(stopwatch() - started)

        return wrapper

    def _coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        stopwatch, record = self._recorder.stopwatch, self._recorder.record

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = stopwatch()
            try:
                return await func(*args, **kwargs)
            finally:
                record(stopwatch() - started)

        return wrapper


@check_keywords({"metric label operation": "name", "bounds bucket": "buckets"})
def timed(
    name: str | None = None,
    *,
    buckets: tuple[float, ...] = catalog.BUCKETS,
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[F], F]:
    """Record how long calls take in `peak_timed_call_duration_seconds`, and change nothing else.

    A decorator for every kind of function, and a part of a policy. Calls count whatever their outcome. Of generators
    the time inside them counts, without that of their consumer, when they have ended. A call inside a sampled span
    leaves its trace as exemplar.

    Args:
        name: The label value of the metric; the function's qualified name by default. Functions of one name add up.
        buckets: Upper bounds in seconds of the histogram.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: The decorated object cannot be called.
    """
    if validation.is_function(name):
        raise ValueError("timed needs parentheses: write @timed() or @timed('name')")
    validation.check_name(name)
    bounds = validation.check_buckets(buckets)
    return strategy.Strategy(strategy.TIMED, lambda name: LatencyStrategy(name, bounds, clock), name)
