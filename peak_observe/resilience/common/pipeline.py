"""Policy pipeline of one function: a breaker, a retry, or a breaker directly around a retry, in a single frame.

The wrappers of `Pipeline` hold the only fast paths of the package: one for functions, one for coroutine functions. A
call that is traced, is not admitted at once, or fails takes the slow path: the strategies are flows, and two small
drivers make their steps.
"""

from __future__ import annotations

import sys
from functools import partial, wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from peak_observe.clock import stopwatch_of
from peak_observe.measures import BATCH, Ticker
from peak_observe.resilience.common.flow import CALL, DEFERRED, Awaited, Returned, TimedCall
from peak_observe.resilience.common.wrapping import finished_by, is_deferred, name_of, put_away
from peak_observe.telemetry.tracing.spans import API, attached, switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock
    from peak_observe.resilience.common.flow import BreakerStrategy, Flow, RetryStrategy, Step
    from peak_observe.telemetry.tracing.spans import TracingMode


def _not_rejected(_: object) -> float:
    return 0.0


class Retried(NamedTuple):
    """Mark of a retry on its wrapper, so that a breaker around it can replace both by one pipeline.

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
        self._rejected_for: Callable[[Any], float] = _not_rejected if breaker is None else breaker.rejected_for
        self._plain: Callable[..., Any] | None = None
        self._warned = False

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

    def _function(self, outer: Callable[..., Any], *, announced: bool = False) -> Callable[..., Any]:  # noqa: C901 - see the comment
        # All that a call needs is a local of the closure, and all that a part does is inlined: a further call, or a
        # look-up of an attribute, would be felt. The wrapper for coroutine functions is the same with `await`.
        func, api, (watched, recording, around) = self._func, API, self._tracing()
        circuit, controller, monotonic, append, tick = self._locals()
        failed, rejected_for, usual = self._failed, self._rejected_for, type(None)
        announce = () if announced or controller is None else controller.announced

        @wraps(outer)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - see the comment
            nonlocal usual
            period = circuit.period
            if period.state or (api in watched and around[0]() and recording()):
                if announced:
                    return DEFERRED  # the circuit has changed since a moment ago: it is asked once more
                wait = rejected_for(period)
                if wait:
                    raise controller.rejection(wait)
                return self.run(self._flow(), args, kwargs)
            if announce:
                return self._announced(outer, args, kwargs)
            started = monotonic()
            try:
                result = func(*args, **kwargs) if kwargs else func(*args)
            except BaseException as error:
                flow = failed(period, started, error, announced)
                if flow is None:
                    raise
            else:
                if type(result) is not usual:
                    if is_deferred(result):
                        return finished_by(result, self.run_async(self._flow(), args, kwargs, result))
                    usual = self._seen(result)
                ticket = tick()
                if controller is None:
                    return result
                now = monotonic()
                seconds = now - started
                if seconds < period.quick_limit:
                    # Such a success changes nothing in the circuit and needs no lock.
                    append(seconds)
                    controller.last_quick = now
                    if not ticket % BATCH:
                        controller.fold()
                else:
                    controller.record_success(period, seconds, result)
                return result
            # Outside of the handler, so that later exceptions do not have the first one as their context.
            return self.run(flow, args, kwargs)

        return wrapper

    def _coroutine(self, outer: Callable[..., Any], *, announced: bool = False) -> Callable[..., Any]:  # noqa: C901 - as above
        func, api, (watched, recording, around) = self._func, API, self._tracing()
        circuit, controller, monotonic, append, tick = self._locals()
        failed, rejected_for = self._failed, self._rejected_for
        announce = () if announced or controller is None else controller.announced

        @wraps(outer)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: C901 - as above
            period = circuit.period
            if period.state or (api in watched and around[0]() and recording()):
                if announced:
                    return DEFERRED  # the circuit has changed since a moment ago: it is asked once more
                wait = rejected_for(period)
                if wait:
                    raise controller.rejection(wait)
                return await self.run_async(self._flow(), args, kwargs)
            if announce:
                return await self._announced_async(outer, args, kwargs)
            started = monotonic()
            try:
                result = await (func(*args, **kwargs) if kwargs else func(*args))
            except BaseException as error:
                flow = failed(period, started, error, announced)
                if flow is None:
                    raise
            else:
                ticket = tick()
                if controller is None:
                    return result
                now = monotonic()
                seconds = now - started
                if seconds < period.quick_limit:
                    append(seconds)
                    controller.last_quick = now
                    if not ticket % BATCH:
                        controller.fold()
                else:
                    controller.record_success(period, seconds, result)
                return result
            return await self.run_async(flow, args, kwargs)

        return wrapper

    def _announced(self, outer: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call that others may be inside of, or one that is inside another."""
        breaker = self._breaker
        assert breaker is not None  # noqa: S101 - for type checkers
        if breaker.needs_flow() or self._retry_needs_flow():
            return self.run(self._flow(), args, kwargs)
        if self._plain is None:
            self._plain = self._function(outer, announced=True)
        scope = breaker.enter()
        try:
            result = self._plain(*args, **kwargs)
        finally:
            breaker.leave(scope)
        return self.run(self._flow(), args, kwargs) if result is DEFERRED else result

    async def _announced_async(self, outer: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        breaker = self._breaker
        assert breaker is not None  # noqa: S101 - as above
        if breaker.needs_flow() or self._retry_needs_flow():
            return await self.run_async(self._flow(), args, kwargs)
        if self._plain is None:
            self._plain = self._coroutine(outer, announced=True)
        scope = breaker.enter()
        try:
            result = await self._plain(*args, **kwargs)
        finally:
            breaker.leave(scope)
        return await self.run_async(self._flow(), args, kwargs) if result is DEFERRED else result

    def _locals(self) -> tuple[Any, Any, Callable[[], float], Callable[[float], object], Callable[[], int]]:
        breaker, retry = self._breaker, self._retry
        if breaker is None:
            assert retry is not None  # noqa: S101 - for type checkers: a pipeline has one of the two
            return retry.gate, None, stopwatch_of(retry.clock), list[float]().append, retry.count_first_try
        controller = breaker.controller
        if retry is not None:
            retry.join(controller.announced)
        # Every BATCH-th ticket folds the pending successes: to ask how many there are would cost a call more.
        tick = Ticker().tick if retry is None else retry.count_first_try
        return controller.circuit, controller, controller.stopwatch, controller.counts.pending.append, tick

    def _tracing(self) -> tuple[Any, Callable[[], bool], list[Callable[[], object]]]:
        """Return what sends a call on the slow path; there each strategy looks for itself whether it is traced."""
        modes: set[TracingMode] = {part.tracing for part in (self._breaker, self._retry) if part is not None}
        if self._retry is not None and not self._retry.simple:
            modes.add("always")
        mode: TracingMode = "always" if "always" in modes else "auto" if "auto" in modes else "off"
        return *switch(mode), attached(mode)

    def _retry_needs_flow(self) -> bool:
        return self._retry is not None and not self._retry.simple

    def _flow(self) -> Flow:
        inner = None if self._retry is None else self._retry.flow()
        if self._breaker is not None:
            return self._breaker.flow(inner)
        assert inner is not None  # noqa: S101 - as above
        return inner

    def _seen(self, result: object) -> type:
        """Return the type of a result; warn once where that is awaited by other means than a deferred one is."""
        kind = type(result)
        if not self._warned and (hasattr(kind, "__await__") or hasattr(kind, "add_done_callback")):
            from peak_observe.support.loggers import logger

            self._warned = True
            owner = "retry" if self._breaker is None else "breaker"
            logger(f"peak_observe.{owner}").warning(
                "%s returned a %s, which counts as a success however it ends: protect the coroutine function, or what "
                "the pool runs",
                name_of(self._func),
                kind.__qualname__,
            )
        return kind

    def _failed(self, period: Any, started: float, error: BaseException, announced: bool) -> Flow | None:
        """Record that a first attempt failed; return how the call goes on, or None if it has ended."""
        breaker, retry = self._breaker, self._retry
        if breaker is not None and breaker.is_inside_unannounced(sys._getframe(3 if announced else 1)):  # noqa: SLF001 - documented
            breaker = None  # the call around this one is told of the error, if it is one for it
        execution, started = None, self._moment(started)
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

    def _moment(self, started: float) -> float:
        """Return a second of the stopwatch as one of the clock, which all but the fast path asks."""
        clock: Clock = self._retry.clock if self._retry is not None else self._breaker.controller.clock  # type: ignore[union-attr] # there is one of the two
        return clock.monotonic() - (stopwatch_of(clock)() - started)

    def run(self, flow: Flow, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Drive a flow; where the call turns out to be deferred, return what drives a new flow."""
        step, call, retry = _begin(flow), partial(self._func, *args, **kwargs), self._retry
        while True:
            if type(step) is Returned:
                return step.value
            try:
                value = call() if step is CALL or retry is None else retry.sleep(step)  # type: ignore[arg-type] # the other kinds of steps are for it
            except BaseException as error:
                following = _throw(flow, error)
                if following is None:
                    raise
                step = following
                continue
            deferred = is_deferred(value)
            try:
                step = flow.send(DEFERRED if deferred else value)
            except StopIteration as stop:
                if not deferred:
                    return stop.value
                return finished_by(value, self.run_async(self._flow(), args, kwargs, value))

    async def run_async(  # noqa: C901 - one branch for each kind of step
        self,
        flow: Flow,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        first: Any = None,
    ) -> Any:
        """Drive a flow of a coroutine function.

        Args:
            flow: The flow.
            args: The arguments of the call.
            kwargs: The same.
            first: The first attempt, a coroutine, task or future that a plain function has returned already.
        """
        made, call, retry = first, partial(self._func, *args, **kwargs), self._retry
        try:
            step = _begin(flow)
            while True:
                try:
                    if type(step) is Returned:
                        return step.value
                    if step is CALL or type(step) is TimedCall:
                        attempt, made = call() if made is None else made, None
                        value = await (attempt if step is CALL else step.limit(attempt))  # type: ignore[union-attr] # or it is a TimedCall
                    elif type(step) is Awaited:
                        value = await step.coroutine
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
                put_away(first)  # where it was refused


def _begin(flow: Flow) -> Step | Returned:
    """Return the first step of a flow, or its result, where it is over already."""
    try:
        return next(flow)
    except StopIteration as stop:
        return Returned(stop.value)


def _throw(flow: Flow, error: BaseException) -> Step | Returned | None:
    """Tell a flow that a step failed; return the next step, its result, or None if it lets the exception through."""
    traceback = error.__traceback__
    step: Step | Returned | None
    try:
        step = flow.throw(error)
    except StopIteration as stop:
        step = Returned(stop.value)
    except BaseException as raised:
        # A StopIteration that leaves a generator becomes the cause of a RuntimeError (PEP 479).
        stopped = isinstance(error, StopIteration) and raised.__cause__ is error
        if raised is not error and not stopped:
            raise
        step = None
    # Without the frames of the flows. From Python 3.13 on one of them is this one, which holds the error: a cycle.
    error.with_traceback(traceback)
    return step
