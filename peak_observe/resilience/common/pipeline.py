"""Policy pipeline of one function: a breaker, a retry, or a breaker directly around a retry, in a single frame.

The wrappers of `Pipeline` hold the only fast paths of the package: one for functions, one for coroutine functions. A
call that is traced, is not admitted at once, or fails takes the slow path: the strategies are generators (`Flow`),
which yield the next step and are sent its result, and two small drivers make the steps, as httpx drives `auth_flow`.
"""

from __future__ import annotations

from functools import partial, wraps
from types import CoroutineType, FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from weakref import ref

from peak_observe.errors import CircuitOpenError
from peak_observe.measures import BATCH
from peak_observe.telemetry.tracing.spans import API, attached, switch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from peak_observe.clock import Clock
    from peak_observe.telemetry.tracing.spans import TracingMode


class _Sign:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


CALL: Final = _Sign("CALL")
"""A step: make the call, and send its result or throw its exception."""

DEFERRED: Final = _Sign("DEFERRED")
"""Sent in place of a result that is a coroutine, which is awaited later: nothing has happened yet."""


class TimedCall:
    """A step: make the call of a coroutine function and cancel it after some seconds.

    Args:
        seconds: How many.

    Attributes:
        expired: Whether it was cancelled.
    """

    __slots__ = ("expired", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False

    async def limit(self, attempt: Awaitable[Any]) -> Any:
        """Return what `attempt` returns in time, or raise TimeoutError."""
        import asyncio

        try:
            async with asyncio.timeout(self.seconds) as scope:
                return await attempt
        except TimeoutError:
            self.expired = scope.expired()
            raise


if TYPE_CHECKING:
    # The third kind of step is a number: sleep so many seconds.
    Step = _Sign | TimedCall | float
    Flow = Generator[Step, Any, Any]


class BreakerStrategy(Protocol):
    """A circuit breaker, as a pipeline needs it."""

    @property
    def tracing(self) -> TracingMode:
        """When a call is traced."""

    @property
    def controller(self) -> Any:
        """The circuit with lock, clock and counters."""

    def rejected_for(self, period: Any) -> float:
        """Count a rejection and return the seconds it holds, or 0.0 where `flow` has to decide."""

    def flow(self, inner: Flow | None) -> Flow:
        """Admit one call, make it or run `inner`, and record the outcome."""

    def resume(self, period: Any, started: float, inner: Flow) -> Flow:
        """Run the rest of a call that the fast path admitted, and record the outcome."""


class RetryStrategy(Protocol):
    """A retry, as a pipeline needs it."""

    @property
    def tracing(self) -> TracingMode:
        """When a call is traced."""

    @property
    def clock(self) -> Clock:
        """The source of time and sleep."""

    @property
    def simple(self) -> bool:
        """Whether a first attempt that succeeds is only counted."""

    @property
    def count_first_try(self) -> Callable[[], object]:
        """Count an operation that succeeded at once."""

    def failed_first(self, started: float, error: BaseException) -> Any:
        """Record that a first attempt failed; return the execution if there is another attempt, else None."""

    def flow(self, execution: Any = None) -> Flow:
        """Make attempts and sleep between them; those after the first where an execution is given."""

    def sleep(self, seconds: float) -> None:
        """Sleep between two attempts."""

    async def async_sleep(self, seconds: float) -> None:
        """Sleep between two attempts and let other tasks run."""


class _NoCircuit:
    """The circuit of a pipeline without a breaker: closed for ever."""

    class period:  # noqa: N801 - it stands for an attribute
        """A state period that admits every call."""

        state = 0


class Retried(NamedTuple):
    """What a retry leaves on its wrapper, so that a breaker put around it can replace both by one pipeline.

    Args:
        wrapper: The wrapper; decorators in between copy the attribute, and this tells it from theirs.
        func: The function inside.
        retry: The retry.
    """

    wrapper: ref[Any]
    func: Callable[..., Any]
    retry: RetryStrategy


_RETRIED = "__peak_observe_pipeline__"


def retried(func: Any) -> Retried | None:
    """Return what a retry left on its own wrapper."""
    found: Retried | None = vars(func).get(_RETRIED) if type(func) is FunctionType else None
    return found if found is not None and found.wrapper() is func else None


class Pipeline:
    """One function inside a breaker, a retry, or a breaker around a retry.

    Args:
        func: The function, or coroutine function.
        breaker: The breaker, if there is one.
        retry: The retry, if there is one, with the clock of the breaker.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        breaker: BreakerStrategy | None = None,
        retry: RetryStrategy | None = None,
    ) -> None:
        self._func = func
        self._breaker = breaker
        self._retry = retry

    def wrap(self, outer: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
        """Return the wrapper.

        Args:
            outer: What it looks like: the function, or the wrapper that it replaces.
            asynchronous: Whether it is a coroutine function.
        """
        wrapper = self._coroutine(outer) if asynchronous else self._function(outer)
        if self._breaker is None and self._retry is not None:
            vars(wrapper)[_RETRIED] = Retried(ref(wrapper), self._func, self._retry)
        return wrapper

    def _function(self, outer: Callable[..., Any]) -> Callable[..., Any]:  # noqa: C901 - see the comment
        # All that a call needs is a local of the closure, and all that a part does is inlined: a further call, or a
        # look-up of an attribute, would be felt. The wrapper for coroutine functions is the same with `await`.
        func, api, (watched, recording, around) = self._func, API, self._tracing()
        circuit, controller, monotonic, pending, count_first_try = self._locals()
        append, failed, rejected_for = pending.append, self._failed, self._rejected_for

        @wraps(outer)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: C901 - see the comment
            period = circuit.period
            if period.state or (api in watched and around[0]() and recording()):
                wait = rejected_for(period)
                if wait:
                    raise CircuitOpenError(controller.name, wait)
                return self.run(self._flow(), args, kwargs)
            started = monotonic()
            try:
                result = func(*args, **kwargs) if kwargs else func(*args)
            except BaseException as error:
                flow = failed(period, started, error)
                if flow is None:
                    raise
            else:
                if type(result) is CoroutineType:
                    return self.run_async(self._flow(), args, kwargs, result)
                if count_first_try is not None:
                    count_first_try()
                    if controller is None:
                        return result
                now = monotonic()
                seconds = now - started
                if seconds < period.quick_limit:
                    # Such a success changes nothing in the circuit and needs no lock.
                    append(seconds)
                    controller.last_success = now
                    if len(pending) >= BATCH:
                        controller.fold()
                else:
                    controller.record_success(period, started, now, result)
                return result
            # Outside of the handler, so that later exceptions do not have the first one as their context.
            return self.run(flow, args, kwargs)

        return wrapper

    def _coroutine(self, outer: Callable[..., Any]) -> Callable[..., Any]:  # noqa: C901 - as above
        func, api, (watched, recording, around) = self._func, API, self._tracing()
        circuit, controller, monotonic, pending, count_first_try = self._locals()
        append, failed, rejected_for = pending.append, self._failed, self._rejected_for

        @wraps(outer)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            period = circuit.period
            if period.state or (api in watched and around[0]() and recording()):
                wait = rejected_for(period)
                if wait:
                    raise CircuitOpenError(controller.name, wait)
                return await self.run_async(self._flow(), args, kwargs)
            started = monotonic()
            try:
                result = await func(*args, **kwargs)
            except BaseException as error:
                flow = failed(period, started, error)
                if flow is None:
                    raise
            else:
                if count_first_try is not None:
                    count_first_try()
                    if controller is None:
                        return result
                now = monotonic()
                seconds = now - started
                if seconds < period.quick_limit:
                    append(seconds)
                    controller.last_success = now
                    if len(pending) >= BATCH:
                        controller.fold()
                else:
                    controller.record_success(period, started, now, result)
                return result
            return await self.run_async(flow, args, kwargs)

        return wrapper

    def _locals(self) -> tuple[Any, Any, Callable[[], float], list[float], Callable[[], object] | None]:
        breaker, retry = self._breaker, self._retry
        count_first_try = retry.count_first_try if retry is not None else None
        if breaker is None:
            assert retry is not None  # noqa: S101 - for type checkers: a pipeline has one of the two
            return _NoCircuit, None, retry.clock.monotonic, [], count_first_try
        controller = breaker.controller
        return controller.circuit, controller, controller.clock.monotonic, controller.counts.pending, count_first_try

    def _tracing(self) -> tuple[Any, Callable[[], bool], list[Callable[[], object]]]:
        """Return what sends a call on the slow path; there each strategy looks for itself whether it is traced."""
        modes: set[TracingMode] = {part.tracing for part in (self._breaker, self._retry) if part is not None}
        if self._retry is not None and not self._retry.simple:
            modes.add("always")
        mode: TracingMode = "always" if "always" in modes else "auto" if "auto" in modes else "off"
        return *switch(mode), attached(mode)

    def _rejected_for(self, period: Any) -> float:
        return 0.0 if self._breaker is None else self._breaker.rejected_for(period)

    def _flow(self) -> Flow:
        inner = None if self._retry is None else self._retry.flow()
        if self._breaker is not None:
            return self._breaker.flow(inner)
        assert inner is not None  # noqa: S101 - as above
        return inner

    def _failed(self, period: Any, started: float, error: BaseException) -> Flow | None:
        """Record that a first attempt failed; return how the call goes on, or None if it has ended."""
        breaker, retry = self._breaker, self._retry
        execution = None
        try:
            if retry is not None:
                execution = retry.failed_first(started, error)
        except BaseException as interruption:
            if breaker is not None:
                breaker.controller.record_outcome(period, started, interruption)
            raise
        if retry is not None and execution is not None:
            inner = retry.flow(execution)
            return inner if breaker is None else breaker.resume(period, started, inner)
        if breaker is not None:
            breaker.controller.record_outcome(period, started, error)
        return None

    def run(self, flow: Flow, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Drive a flow; where the call turns out to be a coroutine, return one that drives a new flow."""
        step, call, retry = next(flow), partial(self._func, *args, **kwargs), self._retry
        while True:
            try:
                value = call() if step is CALL or retry is None else retry.sleep(step)  # type: ignore[arg-type,func-returns-value] # the other kind of step is a number
            except BaseException as error:
                following = _throw(flow, error)
                if following is None:
                    raise
                step = following
                continue
            deferred = type(value) is CoroutineType
            try:
                step = flow.send(DEFERRED if deferred else value)
            except StopIteration as stop:
                return self.run_async(self._flow(), args, kwargs, value) if deferred else stop.value

    async def run_async(
        self,
        flow: Flow,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        first: CoroutineType[Any, Any, Any] | None = None,
    ) -> Any:
        """Drive a flow of a coroutine function.

        Args:
            flow: The flow.
            args: The arguments of the call.
            kwargs: The same.
            first: The first attempt, where a plain function has returned it already.
        """
        made, call, retry = first, partial(self._func, *args, **kwargs), self._retry
        try:
            step = next(flow)
            while True:
                try:
                    if step is CALL or type(step) is TimedCall:
                        attempt, made = call() if made is None else made, None
                        value = await (attempt if step is CALL else step.limit(attempt))  # type: ignore[union-attr] # or it is a TimedCall
                    elif retry is not None:
                        value = await retry.async_sleep(step)  # type: ignore[arg-type,func-returns-value] # a number
                except BaseException as error:
                    following = _throw(flow, error)
                    if following is None:
                        raise
                    step = following
                else:
                    try:
                        step = flow.send(value)
                    except StopIteration as stop:
                        return stop.value
        finally:
            if first is not None:
                first.close()  # where it was refused


def _throw(flow: Flow, error: BaseException) -> Step | None:
    """Tell a flow that a step failed; return the next step, or None if it lets the exception through."""
    traceback = error.__traceback__
    try:
        return flow.throw(error)
    except BaseException as raised:
        # A StopIteration that leaves a generator becomes the cause of a RuntimeError (PEP 479).
        stopped = isinstance(error, StopIteration) and raised.__cause__ is error
        if raised is not error and not stopped:
            raise
        error.with_traceback(traceback)  # without the frames of the flows
        return None
