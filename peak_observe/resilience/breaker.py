"""The circuit breaker as people use it: decorator, wrapper of functions, context manager, and the registry of all."""

from __future__ import annotations

from contextvars import ContextVar
from enum import Enum
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, overload

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import BATCH
from peak_observe.resilience import arguments, parts, wrap
from peak_observe.resilience.core import BreakerCore, Guard
from peak_observe.telemetry.tracing import API, TracingMode, switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

F = TypeVar("F", bound="Callable[..., Any]")

# The guards of the `with breaker:` blocks that this thread or task is inside of, the innermost last.
_entered: ContextVar[tuple[tuple[CircuitBreaker, Guard], ...]] = ContextVar("peak_observe_entered", default=())


class CircuitState(Enum):
    """The states of a circuit."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class CircuitBreakerStats(NamedTuple):
    """What a breaker has counted, at one moment.

    Args:
        failure_count: Consecutive failures that count towards the threshold now.
        success_count: Calls that succeeded since the breaker was made.
        last_failure_time: Unix time in seconds of the last failure, or None.
        last_success_time: Unix time in seconds of the last success, or None.
        state_changes: How often the state changed.
    """

    failure_count: int
    success_count: int
    last_failure_time: float | None
    last_success_time: float | None
    state_changes: int


class CircuitBreaker:
    """Stops calling what keeps failing, and tries again after a while with one call.

    CLOSED lets all calls through until `failure_threshold` of them failed in a row; OPEN refuses all with
    `CircuitOpenError`; after `recovery_timeout` it is HALF_OPEN and lets one call through, which closes or reopens it.
    Safe for any number of threads and tasks. Breakers of one name share their metrics, not their state.

    Args:
        failure_threshold: Consecutive failures that open the circuit, at least 1.
        recovery_timeout: Seconds from opening to the probe.
        expected_exception: What counts as failure, a type or a tuple of types; other exceptions pass through and count
            as ignored. Cancellation, Ctrl-C and exit never count.
        name: The label value of its metrics.
        buckets: Upper bounds in seconds of the latency histogram.
        tracing: `auto` traces inside a recording span, `always` begins a trace if there is none, `off` never traces.
        clock: Where the time comes from; for tests.
        failure_if: Says of an expected exception whether it counts, where its type does not tell; has to be quick.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_timeout: float = 60.0,
        expected_exception: arguments.ExceptionTypes = Exception,
        name: str = "circuit_breaker",
        *,
        buckets: tuple[float, ...] = catalog.BUCKETS,
        tracing: TracingMode = "auto",
        clock: Clock = SYSTEM_CLOCK,
        failure_if: Callable[[Exception], bool] | None = None,
    ) -> None:
        _check(failure_threshold, recovery_timeout, expected_exception)
        self._watched, self._recording = switch(tracing)
        self._core = BreakerCore(
            name=name,
            failure_threshold=failure_threshold,
            recovery_timeout=float(recovery_timeout),
            expected=expected_exception,
            buckets=arguments.check_buckets(buckets),
            clock=clock,
            failure_if=failure_if,
        )
        self._core.series.join(self, self._core.read)

    @property
    def name(self) -> str:
        """The name by which it is known."""
        return self._core.name

    @property
    def state(self) -> CircuitState:
        """The state at this moment; an open circuit that is due for a probe is HALF_OPEN."""
        return CircuitState(catalog.STATES[self._core.view().state])

    @property
    def stats(self) -> CircuitBreakerStats:
        """What this breaker has counted so far, as a frozen record."""
        core, circuit = self._core, self._core.view()
        return CircuitBreakerStats(
            failure_count=circuit.failures,
            success_count=core.read().calls[0],
            last_failure_time=None if core.last_failure is None else core.wall(core.last_failure),
            last_success_time=None if core.last_success is None else core.wall(core.last_success),
            state_changes=sum(circuit.entered),
        )

    def reset(self) -> None:
        """Close the circuit and forget its failures; the counts stay, and calls under way no longer matter to it."""
        self._core.reset()

    def trip(self, reason: str, *, pause: float | None = None, error: BaseException | None = None) -> None:
        """Open the circuit at once, as one failure said enough; one that is open stays as it is.

        Args:
            reason: Why, in words, for the event.
            pause: Seconds until the probe; `recovery_timeout` if not given.
            error: What was raised, for the event.
        """
        self._core.trip(reason, pause, error)

    def call(self, func: F) -> F:
        """Return `func` protected by this breaker: use it as decorator or as `breaker.call(func)(args)`.

        Plain functions, coroutine functions, generators of both kinds, methods, partials and callable objects stay
        what they are. A method's breaker is shared by all instances of the class.
        """
        protected: F = wrap.decorate(func, self._wrap)
        return protected

    __call__ = call

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        kind = wrap.kind(func)
        if kind == wrap.GENERATOR:
            return wrap.wrap_generator(func, lambda: self._guard(current=False), _begin(func))
        if kind == wrap.ASYNC_GENERATOR:
            return wrap.wrap_async_generator(func, lambda: self._guard(current=False), _begin_async(func))
        return self._wrap_coroutine(func) if kind == wrap.COROUTINE else self._wrap_function(func)

    def _wrap_function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        # What every call needs is a local of the closure: this wrapper is the one that nobody may notice.
        core, circuit, monotonic = self._core, self._core.circuit, self._core.clock.monotonic
        pending = core.counts.pending
        append, watched, recording, api = pending.append, self._watched, self._recording, API

        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            era = circuit.era  # before the state: a permit may be older than the state, never newer
            if circuit.state or (api in watched and recording()):
                return self._call_guarded(func, args, kwargs)
            start = monotonic()
            try:
                result = func(*args, **kwargs) if kwargs else func(*args)
            except BaseException as error:
                core.settle(era, start, error)
                raise
            if type(result) is CoroutineType:
                return self._await_guarded(result)
            now = monotonic()
            if circuit.failures:
                core.settle(era, start, None)
            else:
                # Where no failure counts, a success changes nothing in the circuit and needs no lock.
                append(now - start)
                core.last_success = now
                if len(pending) >= BATCH:
                    core.fold()
            return result

        return wrapper

    def _wrap_coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        core, circuit, monotonic = self._core, self._core.circuit, self._core.clock.monotonic
        pending = core.counts.pending
        append, watched, recording, api = pending.append, self._watched, self._recording, API

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            era = circuit.era
            if circuit.state or (api in watched and recording()):
                with self._guard():
                    return await func(*args, **kwargs)
            start = monotonic()
            try:
                result = await func(*args, **kwargs)
            except BaseException as error:
                core.settle(era, start, error)
                raise
            now = monotonic()
            if circuit.failures:
                core.settle(era, start, None)
            else:
                append(now - start)
                core.last_success = now
                if len(pending) >= BATCH:
                    core.fold()
            return result

        return wrapper

    def _guard(self, *, current: bool = True) -> Guard:
        traced = API in self._watched and self._recording()
        return Guard(self._core, traced=traced, current=current)

    def _call_guarded(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self._guard() as guard:
            result = func(*args, **kwargs)
            if type(result) is CoroutineType:
                guard.defer()
        return self._await_guarded(result) if type(result) is CoroutineType else result

    async def _await_guarded(self, coroutine: Any) -> Any:
        # A plain function that returns a coroutine, a lambda mostly: what counts is how the coroutine ends.
        with self._guard():
            return await coroutine

    def __enter__(self) -> Self:
        guard = self._guard()
        guard.__enter__()
        _entered.set((*_entered.get(), (self, guard)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        entered = list(_entered.get())
        last = max(index for index, (breaker, _) in enumerate(entered) if breaker is self)
        _, guard = entered.pop(last)
        _entered.set(tuple(entered))
        guard.__exit__(kind, error, traceback)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r} {self.state.value}>"


def _begin(func: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, Any]]:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        generator = func(*args, **kwargs)
        return generator, next(generator)

    return begin


def _begin_async(func: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    async def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        generator = func(*args, **kwargs)
        return generator, await anext(generator)

    return begin


@overload
def circuit_breaker(failure_threshold: F, /) -> F: ...


@overload
def circuit_breaker(
    failure_threshold: int = 5,
    recovery_timeout: float = 60.0,
    expected_exception: arguments.ExceptionTypes = Exception,
    name: str | None = None,
    *,
    buckets: tuple[float, ...] = catalog.BUCKETS,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[F], F]: ...


def circuit_breaker(
    failure_threshold: Any = 5,
    recovery_timeout: float = 60.0,
    expected_exception: arguments.ExceptionTypes = Exception,
    name: str | None = None,
    *,
    buckets: tuple[float, ...] = catalog.BUCKETS,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Protect a function by a circuit breaker of its own; with or without parentheses.

    Args:
        failure_threshold: Consecutive failures that open the circuit, at least 1.
        recovery_timeout: Seconds from opening to the probe.
        expected_exception: What counts as failure, a type or a tuple of types.
        name: The breaker's name; the function's qualified name by default.
        buckets: Upper bounds in seconds of the latency histogram.
        tracing: `auto`, `always` or `off`, as for `CircuitBreaker`.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: What is decorated cannot be called.
    """
    if arguments.is_function(failure_threshold):
        return circuit_breaker()(failure_threshold)
    _check(failure_threshold, recovery_timeout, expected_exception)
    bounds = arguments.check_buckets(buckets)
    switch(tracing)

    def build(name: str) -> CircuitBreaker:
        return CircuitBreaker(
            failure_threshold,
            recovery_timeout,
            expected_exception,
            name,
            buckets=bounds,
            tracing=tracing,
            clock=clock,
        )

    return parts.Part(parts.BREAKER, build, name)


def _check(failure_threshold: object, recovery_timeout: object, expected_exception: object) -> None:
    arguments.check_count("failure_threshold", failure_threshold)
    arguments.check_seconds("recovery_timeout", recovery_timeout)
    arguments.check_exceptions("expected_exception", expected_exception)
