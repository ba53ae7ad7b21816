"""A circuit breaker with a retry inside as one wrapper: what both do when all goes well, without a second call.

Whatever does not go well from the start, or is traced, takes the way through the two wrappers.
"""

from __future__ import annotations

from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from peak_observe.measures import BATCH
from peak_observe.resilience import wrap
from peak_observe.resilience.attempts import Run
from peak_observe.telemetry.tracing import API

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.resilience.breaker import CircuitBreaker
    from peak_observe.resilience.core import BreakerCore
    from peak_observe.resilience.retry import Retry

# ruff: noqa: SLF001 - the three are one wrapper


def fuse(breaker: CircuitBreaker, retry: Retry, func: Callable[..., Any]) -> Callable[..., Any]:
    """Return `func` protected by both, the breaker outside; of the same kind."""
    kind = wrap.kind(func)
    stacked = breaker(retry(func))
    if kind == wrap.FUNCTION:
        return _function(breaker, retry, func, stacked)
    return _coroutine(breaker, retry, func, stacked) if kind == wrap.COROUTINE else stacked


def _function(
    breaker: CircuitBreaker,
    retry: Retry,
    func: Callable[..., Any],
    stacked: Callable[..., Any],
) -> Callable[..., Any]:
    core, circuit, monotonic = breaker._core, breaker._core.circuit, breaker._core.clock.monotonic
    retry_core, pending, tick = retry._core, core.counts.pending, retry._core.first_tries.tick
    append, (watched, recording), api = pending.append, _tracing(breaker, retry), API

    @wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        era = circuit.era
        if circuit.state or (api in watched and recording()):
            return stacked(*args, **kwargs)
        start = monotonic()
        try:
            result = func(*args, **kwargs) if kwargs else func(*args)
        except BaseException as error:
            run = Run(retry_core, start)
            if not _goes_on(core, run, era, start, error):
                raise
        else:
            if type(result) is CoroutineType:
                return breaker._await_guarded(retry._await_attempts(result, func, args, kwargs))
            now = monotonic()
            tick()
            if circuit.failures:
                core.settle(era, start, None)
            else:
                append(now - start)
                core.last_success = now
                if len(pending) >= BATCH:
                    core.fold()
            return result
        try:
            run.wait()
            result = retry._attempts(run, func, args, kwargs)
        except BaseException as error:
            core.settle(era, start, error)
            raise
        core.settle(era, start, None)
        return result

    return wrapper


def _coroutine(
    breaker: CircuitBreaker,
    retry: Retry,
    func: Callable[..., Any],
    stacked: Callable[..., Any],
) -> Callable[..., Any]:
    core, circuit, monotonic = breaker._core, breaker._core.circuit, breaker._core.clock.monotonic
    retry_core, pending, tick = retry._core, core.counts.pending, retry._core.first_tries.tick
    append, (watched, recording), api = pending.append, _tracing(breaker, retry), API

    @wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        era = circuit.era
        if circuit.state or (api in watched and recording()):
            return await stacked(*args, **kwargs)
        start = monotonic()
        try:
            result = await func(*args, **kwargs)
        except BaseException as error:
            run = Run(retry_core, start)
            if not _goes_on(core, run, era, start, error):
                raise
        else:
            now = monotonic()
            tick()
            if circuit.failures:
                core.settle(era, start, None)
            else:
                append(now - start)
                core.last_success = now
                if len(pending) >= BATCH:
                    core.fold()
            return result
        try:
            await run.async_wait()
            result = await retry._async_attempts(run, func, args, kwargs)
        except BaseException as error:
            core.settle(era, start, error)
            raise
        core.settle(era, start, None)
        return result

    return wrapper


def _tracing(breaker: CircuitBreaker, retry: Retry) -> tuple[Any, Any]:
    """Return what says whether a call is traced by either of the two."""
    if breaker._watched is retry._watched:
        return breaker._watched, breaker._recording
    return {API}, lambda: any(API in part._watched and part._recording() for part in (breaker, retry))


def _goes_on(core: BreakerCore, run: Run, era: int, start: float, error: BaseException) -> bool:
    """Take in that the first attempt failed; return whether there is another, or else the call has ended."""
    try:
        again = run.failed_first(error)
    except BaseException as worse:
        core.settle(era, start, worse)
        raise
    if not again:
        core.settle(era, start, error)
    return again
