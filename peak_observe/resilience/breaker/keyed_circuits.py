"""Bounded table of circuits by key, and the decorator that chooses the circuit of each call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import BREAKERS, OVERFLOW, forks
from peak_observe.measures.series import check_name
from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.breaker.settings import Settings
from peak_observe.resilience.breaker.snapshot import CircuitState
from peak_observe.resilience.common import wrapping
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.resilience.common.locking import exclusively

Key: TypeAlias = Callable[..., str]
Build: TypeAlias = Callable[[str], CircuitBreaker]

MAX_SIZE = 256
IDLE_TIMEOUT = 3600.0
_QUIET_STATES = {CircuitState.CLOSED, CircuitState.HALF_OPEN}


class Entry:
    """One circuit of the table.

    Args:
        key: Its key.
        breaker: The circuit.

    Attributes:
        used: The second of the clock at which it was asked for last.
        users: How many calls are under way in it.
        wrapped: The functions that it protects, each by the token of its decoration.
    """

    __slots__ = ("breaker", "key", "used", "users", "wrapped")

    def __init__(self, key: str, breaker: CircuitBreaker) -> None:
        self.key = key
        self.breaker = breaker
        self.used = 0.0
        self.users = 0
        self.wrapped: dict[object, Callable[..., Any]] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is lost with it: no call is under way, and it is neither open nor in a person's hand."""
        seen = self.breaker.snapshot()
        return not self.users and not seen.probes and (seen.would_be or seen.state) in _QUIET_STATES

    def idle_since(self) -> float:
        """Return the second of the clock at which it was used last, also by those who hold the circuit itself."""
        called = self.breaker._controller.last_called()  # noqa: SLF001 - of the same room
        return self.used if called is None else max(self.used, called)


class KeyedCircuits:
    """Table of circuits by key: made when they are asked for, exactly one for each key, bounded.

    A circuit that nobody has used for `idle_timeout` goes, and so do its series, at the next scrape or use; not while
    it is open. When it comes back its counters go on where they were. Past `max_size` the one that was used longest ago
    goes; an open one only if all are open, with a line in the log.

    Args:
        build: Makes the circuit of a name.
        prefix: The beginning of the circuits' names, before the key.
        max_size: How many circuits there are at most.
        idle_timeout: Seconds without use after which a circuit goes; None keeps it.
        clock: Source of the time.
    """

    def __init__(
        self,
        build: Build,
        *,
        prefix: str = "",
        max_size: int = MAX_SIZE,
        idle_timeout: float | None = IDLE_TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._build = build
        self._prefix = prefix
        self._max_size = max_size
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # the one used longest ago first
        self._gone: WeakValueDictionary[str, CircuitBreaker] = WeakValueDictionary()
        self._functions = 0
        self._lock = threading.RLock()
        forks.renew(self)
        BREAKERS.swept_by(self)

    def __getitem__(self, key: str) -> CircuitBreaker:
        """Return the circuit of a key, made if there is none yet.

        Raises:
            ValueError: The key is not a string that a name can end with.
        """
        return self.enter(key, users=0).breaker

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(exclusively(self._lock, lambda: list(self._entries)))

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, key: str, *, users: int = 1) -> Entry:
        """Return the entry of a key for a call, which `leave` ends."""
        entry = exclusively(self._lock, self._enter_locked, key, users)
        if entry is None:
            check_name(key)
            # Outside of the lock, as observers may be told of it; of two that are made at once one is forgotten.
            made = self._build(f"{self._prefix}{key}")
            entry = exclusively(self._lock, self._add_locked, key, made, users)
            self.sweep(entry)
        return entry

    def _enter_locked(self, key: str, users: int) -> Entry | None:
        entry = self._entries.get(key) if isinstance(key, str) else None
        if entry is not None:
            entry.used = self._clock.monotonic()
            entry.users += users
            self._entries.move_to_end(key)
        return entry

    def _add_locked(self, key: str, made: CircuitBreaker, users: int) -> Entry:
        if key not in self._entries:
            # One that went while somebody holds it is still the circuit of this key.
            breaker = self._gone.pop(key, made)
            self._entries[key] = Entry(key, breaker)
            self._announce(breaker)
            BREAKERS.revive(breaker._controller.series)  # noqa: SLF001 - of the same room
        entry = self._enter_locked(key, users)
        assert entry is not None  # noqa: S101 - for type checkers
        return entry

    def add_function(self) -> None:
        """Note one more function; calls of several may be inside each other, and belong to the outer one then."""
        exclusively(self._lock, self._add_function_locked)

    def _add_function_locked(self) -> None:
        self._functions += 1
        for entry in self._entries.values():
            self._announce(entry.breaker)

    def _announce(self, breaker: CircuitBreaker) -> None:
        if self._functions > 1:
            breaker._controller.add_entrance(nests=True)  # noqa: SLF001 - of the same room

    def leave(self, entry: Entry) -> None:
        """End a call."""
        exclusively(self._lock, self._leave_locked, entry)

    def _leave_locked(self, entry: Entry) -> None:
        entry.users -= 1
        entry.used = self._clock.monotonic()

    def protected(self, entry: Entry, token: object, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` protected by a circuit: the same for all calls with this token."""
        return entry.wrapped.get(token) or exclusively(self._lock, self._protected_locked, entry, token, func)

    @staticmethod
    def _protected_locked(entry: Entry, token: object, func: Callable[..., Any]) -> Callable[..., Any]:
        if token not in entry.wrapped:
            entry.wrapped[token] = entry.breaker.call(func)
        return entry.wrapped[token]

    def sweep(self, newest: Entry | None = None) -> None:
        """Let idle circuits go, and those that are too many; never the newest."""
        for entry in exclusively(self._lock, self._sweep_locked, newest):
            if not entry.is_quiet:
                self._log(entry)

    def _sweep_locked(self, newest: Entry | None) -> list[Entry]:
        """Return those that were too many."""
        for entry in [entry for entry in self._idle() if entry is not newest and entry.is_quiet]:
            self._remove_locked(entry)
        surplus: list[Entry] = []
        while len(self._entries) > self._max_size:
            free = [entry for entry in self._entries.values() if entry is not newest and not entry.users]
            if not free:
                break
            surplus.append(next((entry for entry in free if entry.is_quiet), free[0]))
            self._remove_locked(surplus[-1])
        return surplus

    def _idle(self) -> list[Entry]:
        if self._idle_timeout is None:
            return []
        latest = self._clock.monotonic() - self._idle_timeout
        return [entry for entry in self._entries.values() if entry.used <= latest and entry.idle_since() <= latest]

    def _remove_locked(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self._gone[entry.key] = entry.breaker
        retire(entry.breaker)

    def _log(self, entry: Entry) -> None:
        from peak_observe.support.loggers import logger

        logger("peak_observe.breaker").warning(
            "circuit '%s' is %s and goes, as there are more than %d: raise max_size, or have fewer keys",
            entry.breaker.name,
            entry.breaker.state.value,
            self._max_size,
        )

    def after_fork(self) -> None:
        """Renew the lock in a forked child, where no call of the parent's threads goes on."""
        self._lock = threading.RLock()
        for entry in self._entries.values():
            entry.users = 0


def retire(breaker: CircuitBreaker) -> None:
    """Take the series of a circuit away, unless another one has its name."""
    series = breaker._controller.series  # noqa: SLF001 - of the same room
    if series.name != OVERFLOW and all(owner is breaker for owner in series.owners()):
        BREAKERS.retire(series)


class KeyedBreaker:
    """Decorator that takes the circuit of each call from a table.

    Args:
        circuits: The table.
        key: A function of the call's arguments that returns the key.
        default: The key where that function fails, which is logged once.

    Attributes:
        timeouts: The names of timeouts inside the same policy.
        name: What the circuits are chosen by, to be shown.
        settings: The settings of each circuit.
    """

    def __init__(self, circuits: KeyedCircuits, key: Key, default: str) -> None:
        self._circuits = circuits
        self._key = key
        self._default = default
        self._callback = SafeCallback("name", key, owner=default, logger="breaker")
        self.timeouts: set[str] = set()
        self._counts_as_failure: Callable[[Exception], bool] = lambda _: False
        self.name = f"by {wrapping.name_of(key)}"
        self.settings = Settings()

    @property
    def _controller(self) -> KeyedBreaker:
        """Report of a policy's timeouts, for all circuits, as for the controller of a single one."""
        return self

    def counts_as_failure(self, error: Exception) -> bool:
        """Return whether the circuits count an error as failure."""
        return self._counts_as_failure(error)

    def __call__(self, func: Any) -> Any:
        """Return `func` protected."""
        return wrapping.decorate(func, self._wrap)

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        # Made in vain: what a circuit refuses to protect shall be refused here, not at the first call.
        trial = self._circuits._build(self._default)  # noqa: SLF001 - of the same module
        trial.call(func)
        self.settings = trial.settings
        self._counts_as_failure = trial._controller.counts_as_failure  # noqa: SLF001 - of the same room
        if self._default not in self._circuits:
            retire(trial)
        del trial
        self._circuits.add_function()
        wrapper = self._wrappers()[wrapping.kind(func)](func, object())
        vars(wrapper)["breakers"] = self._circuits
        return wrapper

    def _wrappers(self) -> dict[str, Callable[[Callable[..., Any], object], Callable[..., Any]]]:
        return {
            wrapping.FUNCTION: self._function,
            wrapping.COROUTINE: self._coroutine,
            wrapping.GENERATOR: self._generator,
            wrapping.ASYNC_GENERATOR: self._async_generator,
        }

    def _function(self, func: Callable[..., Any], token: object) -> Callable[..., Any]:
        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            entry = self._enter(args, kwargs)
            try:
                return self._circuits.protected(entry, token, func)(*args, **kwargs)
            finally:
                self._circuits.leave(entry)

        return wrapper

    def _coroutine(self, func: Callable[..., Any], token: object) -> Callable[..., Any]:
        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            entry = self._enter(args, kwargs)
            try:
                return await self._circuits.protected(entry, token, func)(*args, **kwargs)
            finally:
                self._circuits.leave(entry)

        return wrapper

    def _generator(self, func: Callable[..., Any], token: object) -> Callable[..., Any]:
        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            entry = self._enter(args, kwargs)
            try:
                return (yield from self._circuits.protected(entry, token, func)(*args, **kwargs))
            finally:
                self._circuits.leave(entry)

        return wrapper

    def _async_generator(self, func: Callable[..., Any], token: object) -> Callable[..., Any]:
        def begin(*args: Any, **kwargs: Any) -> _KeyedGenerator:
            entry = self._enter(args, kwargs)
            return _KeyedGenerator(self._circuits, entry, self._circuits.protected(entry, token, func)(*args, **kwargs))

        return wrapping.wrap_async_generator_steps(wraps(func)(begin), _NoGuard)

    def _enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        try:
            key = self._key(*args, **kwargs)
            check_name(key)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for the call, not for this
            self._callback.log_once(error)
            key = self._default
        entry = self._circuits.enter(key)
        if self.timeouts:
            entry.breaker._controller.timeouts |= self.timeouts  # noqa: SLF001 - of the same room
        return entry


class _NoGuard:
    """Async context manager that does nothing, as a generator ends its own call."""

    async def __aenter__(self) -> None:
        """Begin."""

    async def __aexit__(self, *_: object) -> None:
        """End."""


class _KeyedGenerator:
    """An async generator that ends its call in the table when it ends."""

    __slots__ = ("_circuits", "_entry", "_generator")

    def __init__(self, circuits: KeyedCircuits, entry: Entry, generator: Any) -> None:
        self._circuits = circuits
        self._entry: Entry | None = entry
        self._generator = generator

    async def asend(self, value: Any) -> Any:
        """Resume the generator."""
        return await self._step(self._generator.asend(value))

    async def athrow(self, error: BaseException) -> Any:
        """Throw an error into the generator."""
        return await self._step(self._generator.athrow(error))

    async def aclose(self) -> None:
        """Close the generator."""
        try:
            await self._generator.aclose()
        finally:
            self._leave()

    async def _step(self, step: Any) -> Any:
        try:
            return await step
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        entry, self._entry = self._entry, None
        if entry is not None:
            self._circuits.leave(entry)
