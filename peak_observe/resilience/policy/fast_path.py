"""A circuit breaker with a retry inside as one wrapper: what both do when all goes well, without a second call.

Whatever does not go well from the start, is traced, or has a setting that the two wrappers have to look at, takes the
way through them.
"""

from __future__ import annotations

import sys
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from peak_observe.measures import BATCH
from peak_observe.resilience.breaker.outcome import NO_FALLBACK
from peak_observe.resilience.common import wrapping
from peak_observe.resilience.retry import idempotency, nesting
from peak_observe.resilience.retry.execution import Run
from peak_observe.telemetry.tracing.spans import API, attached

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.resilience.breaker.breaker import CircuitBreaker
    from peak_observe.resilience.breaker.controller import BreakerCore
    from peak_observe.resilience.breaker.state_machine import Era
    from peak_observe.resilience.breaker.wrappers import Calls
    from peak_observe.resilience.retry.decorator import Retry

# ruff: noqa: SLF001 - the three are one wrapper


def fuse(breaker: CircuitBreaker, retry: Retry, func: Callable[..., Any]) -> Callable[..., Any]:
    """Return `func` protected by both, the breaker outside; of the same kind."""
    stacked, kind, calls = breaker(retry(func)), wrapping.kind(func), breaker._calls()
    one_clock = breaker._core.clock is retry._core.clock  # or one would count by the other's seconds
    if breaker._fallback is not NO_FALLBACK or not retry._core.settings.simple or not one_clock:
        return stacked
    if kind == wrapping.FUNCTION:
        wrapper = _function(breaker, calls, retry, func, stacked)
    elif kind == wrapping.COROUTINE:
        wrapper = _coroutine(breaker, calls, retry, func, stacked)
    else:
        return stacked
    nesting.runs_first_attempts(wrapper)
    idempotency.note_retried(wrapper, retry._core.name)
    return wrapper


# `core`, `started` and `run` are what `nesting` looks for in these frames; an error has no name there, as it would be
# held by it.


def _function(  # noqa: C901 - every branch is a call less on the way that nobody may notice
    breaker: CircuitBreaker,
    calls: Calls,
    retry: Retry,
    func: Callable[..., Any],
    stacked: Callable[..., Any],
) -> Callable[..., Any]:
    core, outer, circuit = retry._core, breaker._core, breaker._core.circuit
    pending, tick, monotonic = outer.counts.pending, core.first_tries.tick, outer.clock.monotonic
    append, (around, traced), modules, api = pending.append, _tracing(calls, retry), sys.modules, API

    @wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        era = circuit.era
        if era.state or (api in modules and around[0]() and traced()):
            return stacked(*args, **kwargs)
        started = monotonic()
        try:
            result = func(*args, **kwargs) if kwargs else func(*args)
        except BaseException:
            run = Run(core, started)
            if not _goes_on(outer, run, era, started):
                raise
        else:
            if type(result) is CoroutineType:
                return calls._await_guarded(retry._await_attempts(result, func, args, kwargs))
            now = monotonic()
            tick()
            seconds = now - started
            if seconds < era.quick:
                append(seconds)
                outer.last_success = now
                if len(pending) >= BATCH:
                    outer.fold()
            else:
                outer.succeed(era, started, now, result)
            return result
        try:
            run.wait()
            result = retry._attempts(run, func, args, kwargs)
        except BaseException:
            outer.settle(era, started, sys.exception())
            raise
        if type(result) is CoroutineType:
            return calls._await_guarded(result)
        outer.succeed(era, started, monotonic(), result)
        return result

    return wrapper


def _coroutine(
    breaker: CircuitBreaker,
    calls: Calls,
    retry: Retry,
    func: Callable[..., Any],
    stacked: Callable[..., Any],
) -> Callable[..., Any]:
    core, outer, circuit = retry._core, breaker._core, breaker._core.circuit
    pending, tick, monotonic = outer.counts.pending, core.first_tries.tick, outer.clock.monotonic
    append, (around, traced), modules, api = pending.append, _tracing(calls, retry), sys.modules, API

    @wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        era = circuit.era
        if era.state or (api in modules and around[0]() and traced()):
            return await stacked(*args, **kwargs)
        started = monotonic()
        try:
            result = await func(*args, **kwargs)
        except BaseException:
            run = Run(core, started)
            if not _goes_on(outer, run, era, started):
                raise
        else:
            now = monotonic()
            tick()
            seconds = now - started
            if seconds < era.quick:
                append(seconds)
                outer.last_success = now
                if len(pending) >= BATCH:
                    outer.fold()
            else:
                outer.succeed(era, started, now, result)
            return result
        try:
            await run.async_wait()
            result = await retry._async_attempts(run, func, args, kwargs)
        except BaseException:
            outer.settle(era, started, sys.exception())
            raise
        outer.succeed(era, started, monotonic(), result)
        return result

    return wrapper


def _tracing(calls: Calls, retry: Retry) -> tuple[list[Callable[[], object]], Callable[[], bool]]:
    """Return what says, where the API of OpenTelemetry is loaded, whether a call is traced by either of the two."""
    switches = tuple((part._watched, part._recording) for part in (calls, retry))
    if all(watched is sys.modules for watched, _ in switches):
        return calls._around, calls._recording
    return attached("always"), lambda: any(API in watched and recording() for watched, recording in switches)


def _goes_on(outer: BreakerCore, run: Run, era: Era, started: float) -> bool:
    """Take in that the first attempt failed; return whether there is another, or else the call has ended."""
    try:
        again = run.failed_first(sys.exception())
    except BaseException:
        outer.settle(era, started, sys.exception())
        raise
    if not again:
        outer.settle(era, started, sys.exception())
    return again
