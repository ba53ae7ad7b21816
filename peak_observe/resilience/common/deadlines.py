"""Absolute deadline of a thread or task for attempts, delays, and waits for permits and tokens."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import validation, wrapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Limit(NamedTuple):
    clock: Clock
    at: float

    def left(self) -> float:
        return self.at - self.clock.monotonic()


# Set for a thread or task; tasks that are started inside inherit it, threads do not.
_current: ContextVar[_Limit | None] = ContextVar("peak_observe_deadline", default=None)


def deadline(seconds: float, *, clock: Clock = SYSTEM_CLOCK) -> AbstractContextManager[None]:
    """Set a deadline for the block, which everything of peak_observe below it observes.

    It interrupts nothing by itself: retries start no further attempt and no delay beyond it, waits end at it, and a
    timeout of a coroutine is cut to it. Inside another deadline the earlier of the two holds. Use `with` in coroutines
    too.

    Args:
        seconds: Seconds from entering the block, more than 0.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: `seconds` is not a finite number above 0.
    """
    validation.check_period("seconds", seconds)
    return _within(seconds, clock)


@contextmanager
def _within(seconds: float, clock: Clock) -> Iterator[None]:
    token = impose(clock.monotonic() + seconds, clock)
    try:
        yield
    finally:
        _current.reset(token)


def impose(at: float, clock: Clock) -> Token[_Limit | None]:
    """Set a deadline at a second of `clock`, unless there is an earlier one; return the token for `lift`."""
    outer, mine = _current.get(), _Limit(clock, at)
    return _current.set(mine if outer is None or outer.left() > mine.left() else outer)


def lift(token: Token[_Limit | None]) -> None:
    """Reset a deadline, unless this is another context, where it was never set."""
    try:  # noqa: SIM105 - suppress() would be felt here
        _current.reset(token)
    except ValueError:
        pass


def remaining() -> float | None:
    """Return the seconds until the deadline of this thread or task, 0.0 once it has passed; None if there is none."""
    limit = _current.get()
    return None if limit is None else max(0.0, limit.left())


NOTHING_LEFT = sys.float_info.min
"""Seconds of a deadline that has passed, as there is none of 0 seconds; added to any clock they are nothing."""


class Deadline:
    """Deadline strategy: one deadline for each call, of a generator for all its steps."""

    def __init__(self, seconds: float, clock: Clock) -> None:
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
            return self._finish(result) if type(result) is CoroutineType else result

        return wrapper

    async def _finish(self, coroutine: Any) -> Any:
        with deadline(self._seconds, clock=self._clock):
            return await coroutine

    def _coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        seconds, clock = self._seconds, self._clock

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with deadline(seconds, clock=clock):
                return await func(*args, **kwargs)

        return wrapper

    def _begin(self) -> nullcontext[float]:
        return nullcontext(self._clock.monotonic() + self._seconds)

    def _left(self, end: float) -> AbstractContextManager[None]:
        return deadline(max(NOTHING_LEFT, end - self._clock.monotonic()), clock=self._clock)

    def _step(self, end: float, resume: Callable[[Any], Any], value: Any) -> Any:
        with self._left(end):
            return resume(value)

    async def _async_step(self, end: float, resume: Callable[[Any], Any], value: Any) -> Any:
        with self._left(end):
            return await resume(value)
