"""What a breaker puts around a function of each kind: the way in that nobody may notice, and the careful one."""

from __future__ import annotations

from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from peak_observe.errors import CircuitOpenError
from peak_observe.measures import BATCH
from peak_observe.resilience.breaker.guarded_call import Guard
from peak_observe.resilience.breaker.outcome import NO_FALLBACK
from peak_observe.resilience.breaker.state_machine import OPEN
from peak_observe.resilience.common import wrapping
from peak_observe.telemetry.tracing.spans import API, attached, switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.resilience.breaker.controller import BreakerCore
    from peak_observe.resilience.breaker.state_machine import Era
    from peak_observe.telemetry.tracing.spans import TracingMode


class Calls:
    """The calls that pass one breaker.

    Args:
        breaker: The breaker, which lives as long as what it protects.
        core: Its circuit.
        tracing: When a call is a span.
        fallback: What stands in for the result of a call that failed or was refused.
    """

    def __init__(self, breaker: object, core: BreakerCore, tracing: TracingMode, fallback: object) -> None:
        self._breaker = breaker
        self._core = core
        self._watched, self._recording = switch(tracing)
        self._around = attached(tracing)
        self._monotonic, self._count_refusal = core.clock.monotonic, core.refused.tick
        self._fallback = fallback

    def guard(self, *, current: bool = True) -> Guard:
        """Return a guard for one call."""
        traced = API in self._watched and self._recording()
        return Guard(self._core, traced=traced, current=current)

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function protected, which stays of the kind it is.

        Raises:
            TypeError: It is a generator function and there is a fallback.
        """
        kind = wrapping.kind(func)
        if kind in (wrapping.GENERATOR, wrapping.ASYNC_GENERATOR):
            if self._fallback is not NO_FALLBACK:
                raise TypeError(
                    f"a fallback cannot stand in for the {kind} {wrapping.name_of(func)}, half of it may be used"
                )
            return self._wrap_generator(func, asynchronous=kind == wrapping.ASYNC_GENERATOR)
        protected = self._wrap_coroutine(func) if kind == wrapping.COROUTINE else self._wrap_function(func)
        if self._fallback is NO_FALLBACK:
            return protected
        from peak_observe.resilience.breaker.fallback import standing_in

        return standing_in(protected, self._core, self._fallback, asynchronous=kind == wrapping.COROUTINE)

    def _wrap_generator(self, func: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
        if asynchronous:
            return wrapping.wrap_async_generator(func, lambda: self.guard(current=False), _begin_async(func))
        return wrapping.wrap_generator(func, lambda: self.guard(current=False), _begin(func))

    def _wrap_function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        # What every call needs is a local of the closure: this wrapper is the one that nobody may notice.
        core, circuit, monotonic = self._core, self._core.circuit, self._core.clock.monotonic
        pending = core.counts.pending
        append, watched, around, recording, api = pending.append, self._watched, self._around, self._recording, API
        waits = self._waits

        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            era = circuit.era
            if era.state or (api in watched and around[0]() and recording()):
                wait = waits(era)
                if wait:
                    raise CircuitOpenError(core.name, wait)
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
            seconds = now - start
            if seconds < era.quick:
                # Such a success changes nothing in the circuit and needs no lock.
                append(seconds)
                core.last_success = now
                if len(pending) >= BATCH:
                    core.fold()
            else:
                core.succeed(era, start, now, result)
            return result

        return wrapper

    def _wrap_coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        core, circuit, monotonic = self._core, self._core.circuit, self._core.clock.monotonic
        pending = core.counts.pending
        append, watched, around, recording, api = pending.append, self._watched, self._around, self._recording, API
        waits = self._waits

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            era = circuit.era
            if era.state or (api in watched and around[0]() and recording()):
                wait = waits(era)
                if wait:
                    raise CircuitOpenError(core.name, wait)
                with self.guard() as guard:
                    guard.result = result = await func(*args, **kwargs)
                return result
            start = monotonic()
            try:
                result = await func(*args, **kwargs)
            except BaseException as error:
                core.settle(era, start, error)
                raise
            now = monotonic()
            seconds = now - start
            if seconds < era.quick:
                append(seconds)
                core.last_success = now
                if len(pending) >= BATCH:
                    core.fold()
            else:
                core.succeed(era, start, now, result)
            return result

        return wrapper

    def _waits(self, era: Era) -> float:
        """Return for how long an open circuit refuses all, with this refusal counted; 0.0 where a guard has to tell."""
        if era.state != OPEN or (API in self._watched and self._around[0]() and self._recording()):
            return 0.0  # a refusal that is traced has a span
        wait = era.since + era.pause - self._monotonic()
        if not 0 < wait <= era.pause:
            return 0.0  # it is due, or the clock went back
        self._count_refusal()
        return wait

    def _call_guarded(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self.guard() as guard:
            result = func(*args, **kwargs)
            if type(result) is CoroutineType:
                guard.defer()
            else:
                guard.result = result
        return self._await_guarded(result) if type(result) is CoroutineType else result

    async def _await_guarded(self, coroutine: Any) -> Any:
        # A plain function that returns a coroutine, a lambda mostly: what counts is how the coroutine ends.
        try:
            with self.guard() as guard:
                guard.result = result = await coroutine
            return result
        finally:
            coroutine.close()  # where it was refused


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
