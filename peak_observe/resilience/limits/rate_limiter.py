"""The rate limit as people use it: decorator and context manager around a token bucket."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import DeadlineExceededError, RateLimitedError, RefusedError
from peak_observe.measures import LIMITERS, RateLimitReading
from peak_observe.measures.forks import renew
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.limits import rejections
from peak_observe.resilience.limits.rejections import AFTER_WAIT, AT_ONCE, INTERRUPTED, REFUSED, Refusals
from peak_observe.resilience.limits.token_bucket import Bucket, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from peak_observe.events import LimitReached

F = TypeVar("F", bound="Callable[..., Any]")


class Turnstile:
    """A bucket that many threads and tasks may use at once, with its counts; no lock is held by those that wait.

    Args:
        name: The rate limit's name.
        rate: Calls a second.
        burst: Calls at once after a pause.
        wait: Seconds that a call waits at most.
        clock: Where time and sleep come from.
    """

    def __init__(self, *, name: str, rate: float, burst: int, wait: float, clock: Clock) -> None:
        self.name = name
        self.rate = rate
        self.burst = burst
        self.wait = wait
        self.clock = clock
        self.series = LIMITERS.series(name)
        self.calls = [0] * len(catalog.LIMIT_OUTCOMES)
        self.wait_seconds = 0.0
        self._bucket = Bucket(1 / rate, burst, clock.monotonic())
        self._refusals = Refusals("rate_limit", name, rate, clock)
        self._lock = threading.RLock()  # the collector may end a coroutine, which gives back, while we are inside
        renew(self)

    def enter(self) -> None:
        """Pass when it is this call's turn, blocking the thread until then.

        Raises:
            RateLimitedError: Its turn is more than `wait` seconds away.
            DeadlineExceededError: Its turn is beyond the deadline.
        """
        slot = self._reserve()
        if slot.wait:
            with self._waiting(slot):
                self.clock.sleep(slot.wait)

    async def async_enter(self) -> None:
        """Pass when it is this call's turn, letting other tasks run until then; raises what `enter` raises."""
        slot = self._reserve()
        if slot.wait:
            with self._waiting(slot):
                await self.clock.async_sleep(slot.wait)

    def _reserve(self) -> Slot:
        patience, otherwise = rejections.patience(self.wait)
        slot, news = exclusively(self._lock, self._reserved, patience, otherwise)
        if isinstance(slot, Slot):
            return slot
        rejections.tell(news)
        raise slot

    def _reserved(self, patience: float, otherwise: int) -> tuple[Slot | RefusedError, LimitReached | None]:
        slot = self._bucket.reserve(self.clock.monotonic(), patience)
        if isinstance(slot, Slot):
            if not slot.wait:
                self.calls[AT_ONCE] += 1
            return slot, None
        outcome = otherwise if slot <= self.wait else REFUSED
        self.calls[outcome] += 1
        refusal = RateLimitedError if outcome == REFUSED else DeadlineExceededError
        return refusal(self.name, slot), self._refusals.count()

    @contextmanager
    def _waiting(self, slot: Slot) -> Iterator[None]:
        outcome, start = INTERRUPTED, self.clock.monotonic()
        try:
            with rejections.waiting("limiter", self.name):
                yield
            outcome = AFTER_WAIT
        finally:
            exclusively(self._lock, self._waited, slot, outcome, start)

    def _waited(self, slot: Slot, outcome: int, start: float) -> None:
        now = self.clock.monotonic()
        self.calls[outcome] += 1
        self.wait_seconds += max(0.0, now - start)
        if outcome == INTERRUPTED:
            self._bucket.give_back(slot, now)

    def read(self) -> RateLimitReading:
        """Return the counts of one moment."""
        return exclusively(self._lock, self._read)

    def _read(self) -> RateLimitReading:
        reading = RateLimitReading()
        reading.calls = self.calls.copy()
        reading.wait_seconds = self.wait_seconds
        reading.waiting = self._bucket.waiting(self.clock.monotonic())
        reading.rate, reading.burst = self.rate, self.burst
        return reading

    def after_fork(self) -> None:
        """Make the lock anew: a thread of the parent may have held it."""
        self._lock = threading.RLock()


class RateLimiter:
    """Lets calls pass at a rate; see `rate_limit` for the arguments.

    All functions that it decorates, and all `with` blocks, share the rate.
    """

    kind = strategy.RATE_LIMIT

    def __init__(self, rate: float, burst: int, wait: float, name: str | None, clock: Clock) -> None:
        self._settings: dict[str, Any] = {"rate": rate, "burst": burst, "wait": wait, "clock": clock}
        self._name = name
        self._lock = threading.Lock()
        self._made: Turnstile | None = None
        if name is not None:
            self.core(name)

    @property
    def name(self) -> str | None:
        """The name by which it is known; None until it is used, if it was given none."""
        return self._name

    def core(self, name: str = strategy.RATE_LIMIT) -> Turnstile:
        """Return what lets calls pass; the first time under this name, if it was given none."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    made = Turnstile(name=self._name or name, **self._settings)
                    made.series.join(self, made.read)
                    self._name, self._made = made.name, made
        return self._made

    def call(self, func: F) -> F:
        """Return `func`, called at the rate at most; every kind of function stays what it is."""
        protected: F = wrapping.decorate(func, self._wrap)
        return protected

    __call__ = call

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        self.core(wrapping.name_of(func))
        kind = wrapping.kind(func)
        if kind == wrapping.GENERATOR:
            return wrapping.wrap_generator_steps(func, lambda: self)
        if kind == wrapping.ASYNC_GENERATOR:
            return wrapping.wrap_async_generator_steps(func, lambda: self)
        return self._wrap_coroutine(func) if kind == wrapping.COROUTINE else self._wrap_function(func)

    def _wrap_function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.core().enter()
            return func(*args, **kwargs)

        return wrapper

    def _wrap_coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            await self.core().async_enter()
            return await func(*args, **kwargs)

        return wrapper

    def __enter__(self) -> Self:
        self.core().enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    async def __aenter__(self) -> Self:
        await self.core().async_enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} counts the calls of this process and cannot be sent to another: make one there")

    def __repr__(self) -> str:
        return f"<RateLimiter {self._name!r} {self._settings['rate']:g} a second>"


def rate_limit(
    rate: float,
    burst: int = 1,
    *,
    per: float = 1.0,
    wait: float = 0.0,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> RateLimiter:
    """Let `rate` calls pass in `per` seconds, evenly spaced; a decorator, also `with` and `async with`.

    A call whose turn has not come yet waits for it, up to `wait` seconds, or is refused at once. Turns are given in the
    order in which calls came, to threads and tasks alike. All that it decorates shares the rate. A generator takes
    one turn, at its first item.

    Args:
        rate: How many calls may pass in `per` seconds, more than 0.
        burst: How many may pass at once after a pause, at least 1; they come on top of the rate.
        per: Seconds that the rate is counted in.
        wait: Seconds that a call waits at most; not beyond the deadline of the caller.
        name: The label value of the metrics; by default the qualified name of the first function that it decorates.
        clock: Where time and sleep come from; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """
    if validation.is_function(rate):
        raise ValueError("rate_limit needs a rate: write @rate_limit(10)")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise ValueError(f"rate must be a finite number of calls above 0, not {rate!r}")
    validation.check_count("burst", burst)
    validation.check_period("per", per)
    validation.check_seconds("wait", wait)
    return RateLimiter(rate / per, burst, float(wait), name, clock)
