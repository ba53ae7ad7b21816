"""Absolute deadline of a thread or task for attempts, delays, and waits for permits and tokens."""

from __future__ import annotations

import math
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import scopes, validation, wrapping
from peak_observe.resilience.common.context import SyncAsyncContext

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from peak_observe.resilience.common.scopes import Scope


class Limit(NamedTuple):
    """A moment of a clock, or none at all, which hides those around it."""

    clock: Clock
    at: float

    def left(self) -> float:
        """Return the seconds until it."""
        return self.at - self.clock.monotonic()


_limits: scopes.Scopes[Limit] = scopes.Scopes("peak_observe_deadline")


class deadline(SyncAsyncContext):  # noqa: N801 - it reads as the setting that it is, like `contextlib.suppress`
    """Set a deadline for the block, which everything of peak_observe below it observes.

    It interrupts nothing by itself: retries start no further attempt and no delay beyond it, waits end at it, and a
    timeout of a coroutine is cut to it. Inside another deadline the earlier of the two holds. A task that is started
    inside has it until the block ends. In a generator it holds while the generator runs, not for its consumer. It is
    also a decorator for functions of each kind: one deadline for each call.

    Args:
        seconds: Seconds from entering the block, more than 0; None lifts all deadlines around the block.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: `seconds` is not a finite number above 0.
    """

    __slots__ = ("_clock", "_scope", "_seconds")

    def __init__(self, seconds: float | None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        if seconds is not None:
            validation.check_period("seconds", seconds)
        self._seconds = seconds
        self._clock = clock
        self._scope: Scope[Limit] | None = None

    def __call__(self, func: Any) -> Any:
        """Return `func` with a deadline for each call."""
        return wrapping.decorate(func, Deadline(self._seconds, self._clock))

    def __enter__(self) -> None:  # type: ignore[override] # there is nothing to use in the block
        self._begin(scopes.generator_of(scopes.caller(1)))

    async def __aenter__(self) -> None:  # type: ignore[override] # the same
        self._begin(scopes.generator_of(scopes.caller(1)))

    def _begin(self, generator: FrameType | None) -> None:
        if self._scope is not None and self._scope.live:
            raise RuntimeError("this deadline holds already: write `with deadline(seconds)` at each block")
        self._scope = _limits.enter(Limit(self._clock, _moment(self._seconds, self._clock)), generator)

    def _exit(self, error: BaseException | None) -> None:  # noqa: ARG002 - it ends however the block does
        if self._scope is not None:
            _limits.leave(self._scope)


def _moment(seconds: float | None, clock: Clock) -> float:
    return math.inf if seconds is None else clock.monotonic() + seconds


def impose(at: float, clock: Clock, generator: FrameType | None = None) -> Scope[Limit]:
    """Set a deadline at a second of `clock`, of a generator while it runs; return what `lift` takes."""
    return _limits.enter(Limit(clock, at), generator)


lift = _limits.leave
"""End a deadline that was imposed, wherever that was."""


def remaining() -> float | None:
    """Return the seconds until the deadline of this thread or task, 0.0 once it has passed; None if there is none."""
    least: float | None = None
    for limit in _limits.values():
        if limit.at == math.inf:
            break
        left = limit.left()
        least = left if least is None else min(least, left)
    return None if least is None else max(0.0, least)


NOTHING_LEFT = sys.float_info.min
"""Seconds of a deadline that has passed, as there is none of 0 seconds; added to any clock they are nothing."""


class Deadline:
    """Deadline strategy: one deadline for each call, of a generator for all its steps."""

    def __init__(self, seconds: float | None, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with a deadline for each call."""
        kind = wrapping.kind(func)
        if kind == wrapping.GENERATOR:
            return wrapping.wrap_generator_steps(func, self._begin, self._step)
        if kind == wrapping.ASYNC_GENERATOR:
            return wrapping.wrap_async_generator_steps(func, self._begin, self._async_step)
        return self._coroutine(func) if kind == wrapping.COROUTINE else self._function(func)

    def _function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        seconds, clock = self._seconds, self._clock

        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with deadline(seconds, clock=clock):
                result = func(*args, **kwargs)
            return wrapping.finished_by(result, self._finish(result)) if wrapping.is_deferred(result) else result

        return wrapper

    async def _finish(self, deferred: Any) -> Any:
        with deadline(self._seconds, clock=self._clock):
            return await deferred

    def _coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        seconds, clock = self._seconds, self._clock

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with deadline(seconds, clock=clock):
                return await func(*args, **kwargs)

        return wrapper

    def _begin(self) -> nullcontext[float]:
        return nullcontext(_moment(self._seconds, self._clock))

    def _left(self, end: float) -> AbstractContextManager[None]:
        seconds = None if end == math.inf else max(NOTHING_LEFT, end - self._clock.monotonic())
        return deadline(seconds, clock=self._clock)

    def _step(self, end: float, resume: Callable[[Any], Any], value: Any) -> Any:
        with self._left(end):
            return resume(value)

    async def _async_step(self, end: float, resume: Callable[[Any], Any], value: Any) -> Any:
        with self._left(end):
            return await resume(value)
