"""The bulkhead as people use it: decorator and context manager."""

from __future__ import annotations

import threading
from collections import deque
from functools import wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.limits.semaphore import Compartment, Permit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

F = TypeVar("F", bound="Callable[..., Any]")


class Bulkhead:
    """Lets at most so many calls be under way; see `bulkhead` for the arguments.

    All functions that it decorates, and all `with` blocks, share its places.
    """

    kind = strategy.BULKHEAD

    def __init__(self, limit: int, wait: float, name: str | None, clock: Clock) -> None:
        self._limit = limit
        self._wait = wait
        self._clock = clock
        self._name = name
        self._inside: deque[Permit] = deque()
        self._lock = threading.Lock()
        self._made: Compartment | None = None
        if name is not None:
            self.core(name)

    @property
    def name(self) -> str | None:
        """The name by which it is known; None until it is used, if it was given none."""
        return self._name

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return 0 if self._made is None else len(self._made.holders)

    def core(self, name: str = strategy.BULKHEAD) -> Compartment:
        """Return its places; the first time under this name, if it was given none."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    made = Compartment(name=self._name or name, limit=self._limit, wait=self._wait, clock=self._clock)
                    made.series.join(self, made.read)
                    self._name, self._made = made.name, made
        return self._made

    def call(self, func: F) -> F:
        """Return `func` with a place in the bulkhead while it runs; every kind of function stays what it is."""
        protected: F = wrapping.decorate(func, self._wrap)
        return protected

    __call__ = call

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        wrapper = self._wrapper(func, self.core(wrapping.name_of(func)))
        wrapper._peak_bulkhead = self  # type: ignore[attr-defined] # noqa: SLF001 - what is decorated keeps it alive
        return wrapper

    def _wrapper(self, func: Callable[..., Any], compartment: Compartment) -> Callable[..., Any]:
        kind = wrapping.kind(func)
        if kind == wrapping.GENERATOR:
            return wrapping.wrap_generator_steps(func, lambda: Permit(compartment))
        if kind == wrapping.ASYNC_GENERATOR:
            return wrapping.wrap_async_generator_steps(func, lambda: Permit(compartment))
        return _coroutine(func, compartment) if kind == wrapping.COROUTINE else _function(func, compartment)

    def __enter__(self) -> Self:
        permit = Permit(self.core())
        permit.__enter__()
        self._inside.append(permit)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        permit = Permit(self.core())
        await permit.__aenter__()
        self._inside.append(permit)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        holders = self.core().holders
        while self._inside:
            permit = self._inside.popleft()  # any of them, as places are alike, but none that only a parent has
            if permit.ref in holders:
                permit.leave()
                return

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} counts the calls of this process and cannot be sent to another: make one there")

    def __repr__(self) -> str:
        return f"<Bulkhead {self._name!r} {self.in_flight} of {self._limit}>"


def _function(func: Callable[..., Any], compartment: Compartment) -> Callable[..., Any]:
    @wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with Permit(compartment) as permit:
            result = func(*args, **kwargs)
            if type(result) is CoroutineType:
                permit.keep()
                return _finish(result, permit)
            return result

    return wrapper


async def _finish(coroutine: Any, permit: Permit) -> Any:
    # A plain function that returns a coroutine, a lambda mostly: it is under way until that has ended.
    try:
        return await coroutine
    finally:
        permit.leave()


def _coroutine(func: Callable[..., Any], compartment: Compartment) -> Callable[..., Any]:
    @wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with Permit(compartment):
            return await func(*args, **kwargs)

    return wrapper


def bulkhead(
    limit: int,
    wait: float = 0.0,
    *,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Bulkhead:
    """Let at most `limit` calls be under way at a time; a decorator, also `with` and `async with`.

    Those that wait come in in the order in which they came, threads and tasks of any number of event loops alike. All
    that it decorates shares its places.

    Args:
        limit: How many calls may be under way, at least 1.
        wait: Seconds that a call waits at most; the deadline of the caller may end it earlier.
        name: The label value of the metrics; by default the qualified name of the first function that it decorates.
        clock: Where the time that waits are counted in comes from; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """
    if validation.is_function(limit):
        raise ValueError("bulkhead needs a limit: write @bulkhead(8)")
    validation.check_count("limit", limit)
    validation.check_seconds("wait", wait)
    return Bulkhead(limit, float(wait), name, clock)
