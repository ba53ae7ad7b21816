"""Decorator that lets one call under way serve all who ask the same, and keeps its result for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from peak_observe.clock import LONGEST_SLEEP, SYSTEM_CLOCK, Clock
from peak_observe.errors import DeadlineExceededError
from peak_observe.resilience.common import idempotency, strategy, validation, wrapping
from peak_observe.resilience.common.call_keys import CallKeys, Key, key_callback
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.scopes import Scopes
from peak_observe.resilience.results.singleflight import (
    INTERRUPTED,
    JOINED,
    MADE,
    Caller,
    End,
    Flight,
    Kept,
    Singleflight,
    end_of,
    error_for_one,
)
from peak_observe.support.async_library import task_event
from peak_observe.support.wake_event import WakeEvent

if TYPE_CHECKING:
    from collections.abc import Hashable

F = TypeVar("F", bound="Callable[..., Any]")

_led: Scopes[Flight] = Scopes("peak_observe_shared")


class ShareStats(NamedTuple):
    """Calls of a shared function by what served them.

    Args:
        made: Calls that were made.
        joined: Calls that got the result or the exception of one under way.
        cached: Calls that got a kept result.
        interrupted: Calls that stopped waiting for one under way: they were cancelled, or their deadline passed.
    """

    made: int
    joined: int
    cached: int
    interrupted: int


class Share:
    """Sharing of the calls of decorated functions; as the attribute `share` of each of them.

    Args:
        name: The label value of the metrics.
        ttl: Seconds for which a result is kept.
        key: A function of the call's arguments.
        max_size: How many results are kept at most.
        clock: Source of the time.
    """

    def __init__(self, name: str, ttl: float, key: Key | None, max_size: int, clock: Clock) -> None:
        self._key = key
        self._table = Singleflight(name, ttl, max_size, clock)
        self._table.series.join(self, self._table.read)

    @property
    def name(self) -> str:
        """The label value of its metrics."""
        return self._table.name

    @property
    def stats(self) -> ShareStats:
        """Calls by what served them, as a frozen record."""
        return ShareStats(*self._table.read().calls)

    def clear(self) -> None:
        """Forget all kept results, for instance after an order; who asks from now on gets the result of a new call."""
        self._table.clear()

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with shared calls, of the same kind.

        Raises:
            TypeError: It is a generator function, or is marked `@idempotent(False)`.
        """
        kind = wrapping.kind(func)
        if kind in {wrapping.GENERATOR, wrapping.ASYNC_GENERATOR}:
            raise TypeError(f"share cannot give the items of one {kind} to several: {wrapping.name_of(func)}")
        idempotency.refuse_write(func, "put no share around it, as two callers that ask the same want it done twice")
        keys = CallKeys(func, self._key, self.name)
        wrapper = self._coroutine(func, keys) if kind == wrapping.COROUTINE else self._function(func, keys)
        idempotency.note_reused(wrapper, f"is shared as {self.name!r}")
        vars(wrapper)["share"] = self
        return wrapper

    __call__ = wrap

    def _function(self, func: Callable[..., Any], keys: CallKeys) -> Callable[..., Any]:
        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = keys.of(args, kwargs)
            while key is not None:
                caller = Caller()
                flight = self._table.enter((func, key), caller)
                if isinstance(flight, Kept):
                    return flight.result
                if flight.led_by(caller):
                    return self._lead(flight, (func, key), args, kwargs)
                if flight in _led.values():  # a call inside itself would wait for ever
                    self._table.leave(flight, caller, None)
                    return func(*args, **kwargs)
                self._wait(flight, caller)
                if caller.end is not None:
                    return self._joined(caller)
            self._table.count(MADE)
            return func(*args, **kwargs)

        return wrapper

    def _coroutine(self, func: Callable[..., Any], keys: CallKeys) -> Callable[..., Any]:
        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = keys.of(args, kwargs)
            while key is not None:
                caller = Caller()
                flight = self._table.enter((func, key), caller)
                if isinstance(flight, Kept):
                    return flight.result
                if flight.led_by(caller):
                    return await self._async_lead(flight, (func, key), args, kwargs)
                if flight in _led.values():
                    self._table.leave(flight, caller, None)
                    return await func(*args, **kwargs)
                await self._async_wait(flight, caller)
                if caller.end is not None:
                    return self._joined(caller)
            self._table.count(MADE)
            return await func(*args, **kwargs)

        return wrapper

    def _lead(self, flight: Flight, key: tuple[Callable[..., Any], Hashable], args: Any, kwargs: Any) -> Any:
        end: End | None = None
        scope = _led.enter(flight)
        try:
            result = key[0](*args, **kwargs)
            self._check_finished(result)
            end = End(result)
        except BaseException as error:
            end = end_of(error)
            raise
        finally:
            _led.leave(scope)
            self._table.end(key, flight, end)
            del end  # or the error, by its traceback, would hold itself
        return result

    def _check_finished(self, result: Any) -> None:
        if wrapping.is_deferred(result):
            wrapping.put_away(result)
            raise TypeError(f"{self.name} returned a coroutine, task or future: share the coroutine function itself")

    async def _async_lead(
        self, flight: Flight, key: tuple[Callable[..., Any], Hashable], args: Any, kwargs: Any
    ) -> Any:
        end: End | None = None
        scope = _led.enter(flight)
        try:
            result = await key[0](*args, **kwargs)
            end = End(result)
        except BaseException as error:
            end = end_of(error)
            raise
        finally:
            _led.leave(scope)
            self._table.end(key, flight, end)
            del end  # as above
        return result

    def _wait(self, flight: Flight, caller: Caller) -> None:
        gate, left = WakeEvent(), remaining()
        try:
            self._table.wake(caller, gate.set)
            in_time = gate.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
        except BaseException:
            self._table.leave(flight, caller, INTERRUPTED)
            raise
        if not in_time:
            self._table.leave(flight, caller, INTERRUPTED)
            raise DeadlineExceededError(self.name)

    async def _async_wait(self, flight: Flight, caller: Caller) -> None:
        gate, left = task_event(), remaining()
        try:
            self._table.wake(caller, gate.set)
            await gate.wait(LONGEST_SLEEP if left is None else min(left, LONGEST_SLEEP))
        except BaseException:
            self._table.leave(flight, caller, INTERRUPTED)
            raise
        if not caller.over:
            self._table.leave(flight, caller, INTERRUPTED)
            raise DeadlineExceededError(self.name)

    def _joined(self, caller: Caller) -> Any:
        end, caller.end = caller.end, None
        self._table.count(JOINED)
        assert end is not None  # noqa: S101 - for type checkers
        try:
            if end.error is None:
                return end.result
            raise error_for_one(end)
        finally:
            del end  # as above

    def __repr__(self) -> str:
        return f"<Share {self.name!r} {self.stats}>"


FOREIGN_NAMES = {
    "seconds max_age expires expire cache_for cache_ttl time_to_live": "ttl",
    "key_func key_builder hash_key keyfunc": "key",
    "maxsize max_entries size limit": "max_size",
}
"""Names of arguments in cachetools, aiocache, async-lru and singleflight, each with ours."""


@overload
def share(ttl: F, /) -> F: ...


@overload
def share(
    ttl: float = 0.0,
    *,
    key: Key | None = None,
    max_size: int = 1024,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[F], F]: ...


@check_keywords(FOREIGN_NAMES, surplus="key and all that follows is given by name, as in share(1.0, key=lambda s: s)")
def share(
    ttl: Any = 0.0,
    *,
    key: Key | None = None,
    max_size: int = 1024,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Let one call under way serve all who ask the same, in threads and in tasks; with or without parentheses.

    The first caller makes the call; who asks the same meanwhile waits for it and gets its result, or its exception. A
    caller that is cancelled, or whose deadline passes, leaves the others alone; if it was the one that made the call,
    another one makes it again. Each function has calls of its own, and so has each object of a method. Results are
    handed out as they are, not copied. Only for reads: a function marked `@idempotent(False)` is refused. The decorated
    function has `share.stats` and `share.clear()`.

    Args:
        ttl: Seconds for which a result is kept and served without a call; exceptions are not kept.
        key: A function of the call's arguments that returns what they ask for; by default all of them tell calls apart.
        max_size: How many results are kept at most; the oldest go first.
        name: The label value of the metrics; the function's module and name by default.
        clock: Source of the time of `ttl`; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: The decorated object cannot be called, is a generator function, or must not be repeated.
    """
    if validation.is_function(ttl):
        return share()(ttl)
    validation.check_seconds("ttl", ttl)
    validation.check_count("max_size", max_size)
    validation.check_name(name)
    if key is not None:
        key_callback(key, name or "share")
    return strategy.Strategy(strategy.SHARE, lambda name: Share(name, float(ttl), key, max_size, clock), name)
