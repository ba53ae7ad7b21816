"""The parts of a policy in their places, and the deadline, which is nothing but one."""

from __future__ import annotations

import sys
import threading
from contextlib import nullcontext
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from peak_observe.resilience import parts, streams, wrap
from peak_observe.resilience.deadlines import deadline as ambient
from peak_observe.resilience.limits import Bulkhead, RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from peak_observe.clock import Clock

NOTHING_LEFT = sys.float_info.min
"""Seconds of a deadline that has passed, as there is none of 0 seconds; added to any clock they are nothing."""


class Layer:
    """One part of a policy, and what came of it: shared by all functions where it limits a service.

    Args:
        kind: What it is.
        part: The part itself, or an object that is one already.
        name: The name if the part has none.
    """

    def __init__(self, kind: str, part: Any, name: str | None = None) -> None:
        self.kind = kind
        self.seconds: float = getattr(part, "seconds", None) or 0.0
        self._part = part
        self._name = name
        if name is not None and isinstance(part, Bulkhead | RateLimiter):
            part.core(name)
        self._shared: Any = None
        self._lock = threading.Lock()

    def of(self, function: str) -> Any:
        """Return the protection of the function of this name."""
        if not isinstance(self._part, parts.Part):
            return self._part
        with self._lock:
            made = self._shared or self._part.build(self._part.name or self._name or function)
            if self.kind == parts.BREAKER:
                self._shared = made
        return made


class Deadline:
    """Sets the deadline of each call; of a generator at its first item, for all its steps."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with the deadline around it."""
        kind = wrap.kind(func)
        if kind == wrap.GENERATOR:
            return streams.wrap_generator(func, self._begin, self._step)
        if kind == wrap.ASYNC_GENERATOR:
            return streams.wrap_async_generator(func, self._begin, self._async_step)
        return self._coroutine(func) if kind == wrap.COROUTINE else self._function(func)

    def _function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        seconds, clock = self._seconds, self._clock

        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with ambient(seconds, clock=clock):
                result = func(*args, **kwargs)
            return self._finish(result) if type(result) is CoroutineType else result

        return wrapper

    async def _finish(self, coroutine: Any) -> Any:
        with ambient(self._seconds, clock=self._clock):
            return await coroutine

    def _coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        seconds, clock = self._seconds, self._clock

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with ambient(seconds, clock=clock):
                return await func(*args, **kwargs)

        return wrapper

    def _begin(self) -> nullcontext[float]:
        return nullcontext(self._clock.monotonic() + self._seconds)

    def _left(self, end: float) -> AbstractContextManager[None]:
        return ambient(max(NOTHING_LEFT, end - self._clock.monotonic()), clock=self._clock)

    def _step(self, end: float, resume: Callable[[Any], Any], value: Any) -> Any:
        with self._left(end):
            return resume(value)

    async def _async_step(self, end: float, resume: Callable[[Any], Any], value: Any) -> Any:
        with self._left(end):
            return await resume(value)
