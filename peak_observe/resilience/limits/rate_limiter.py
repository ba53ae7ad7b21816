"""Rate limit as decorator and context manager: it bounds how much passes in a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import CoroutineType
from typing import Any, NoReturn, TypeAlias, TypeVar

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.coordination.joinable import Joinable
from peak_observe.errors import PeakObserveError
from peak_observe.resilience.common import retry_after, strategy, validation, wrapping
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.resilience.common.context import SyncAsyncContext
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.modes import ENFORCE, Mode
from peak_observe.resilience.limits import snapshots
from peak_observe.resilience.limits.call_weight import CallWeight, Weight
from peak_observe.resilience.limits.controller_factory import controller_factory
from peak_observe.resilience.limits.late_controller import LateController
from peak_observe.resilience.limits.rate_controller import RateLimitController
from peak_observe.resilience.limits.rate_settings import (
    RateSettings,
    build_rate_settings,
    check_shareable,
    check_weight,
)
from peak_observe.support.shown import label, shown

F = TypeVar("F", bound=Callable[..., Any])
Limit: TypeAlias = float | Sequence[tuple[float, float]]
Heed: TypeAlias = bool | Callable[[Any], float | None]

FOREIGN_NAMES = {
    "rate calls max_calls limit_for_period": "limit",
    "period time_period limit_refresh_period": "per",
    "max_burst capacity": "burst",
    "timeout max_wait timeout_duration": "wait",
    "cost permits": "weight",
}
"""Names of arguments in resilience4j, Polly and ratelimit, each with ours."""


class RateLimiter(strategy.Configured, SyncAsyncContext):
    """Bounds how many calls pass in a time; see `rate_limit` for the arguments.

    All functions that it decorates, and all `with` blocks, share the rate.
    """

    kind = strategy.RATE_LIMIT

    def __init__(
        self,
        settings: dict[str, Any],
        weight: Weight,
        heed: Heed,
        name: str | None,
        *,
        clock: Clock,
        shared: Joinable | str | None = None,
    ) -> None:
        self._settings = settings
        self._weight = CallWeight(weight)
        self._heed = _heeding(heed)
        self._clock = clock
        self._is_shared = shared is not None
        self._late = LateController(
            name,  # without `self`, as with a circle of references its gauges would outlive it
            controller_factory(settings, clock, shared),
        )
        self._check(self._build())
        if name is not None:
            self.core(name)

    @property
    def name(self) -> str | None:
        """The name by which it is known; None until it is used, if it was given none."""
        return self._late.name

    @property
    def stats(self) -> snapshots.LimitStats:
        """Calls by outcome so far, as a frozen record."""
        return self.snapshot().stats

    def snapshot(self) -> snapshots.RateLimitSnapshot:
        """Return settings, counts and state of this moment, as a frozen record."""
        return snapshots.rate_limit_snapshot(self.core())

    @check_keywords(FOREIGN_NAMES)
    def configure(
        self,
        *,
        limit: Limit | None = None,
        per: float | None = None,
        burst: int | None = None,
        wait: float | None = None,
        reserve: Mapping[str, float] | None = None,
        mode: Mode | None = None,
    ) -> None:
        """Change settings while calls go on; what is not given stays as it is.

        What was used up stays used up. Calls that wait already keep their turns.

        Args:
            limit: How much may pass in `per` seconds, or windows as before.
            per: Seconds that the limit is counted in.
            burst: How much may pass at once after a pause.
            wait: Seconds that a call waits at most.
            reserve: Shares for priority classes; an empty mapping takes them away.
            mode: `enforce`, or `observe` to count only and let all pass.

        Raises:
            TypeError: There is no such setting; the message says which one was meant.
            ValueError: An argument makes no sense; nothing is changed then.
        """
        given = {"limit": limit, "per": per, "burst": burst, "wait": wait, "reserve": reserve, "mode": mode}
        changed = {**self._settings, **{key: value for key, value in given.items() if value is not None}}
        settings = build_rate_settings(**changed)
        if self._is_shared:
            check_shareable(settings, self._build())
        if settings.spaced != self._build().spaced:
            raise ValueError("limit cannot change between a number and windows: make another rate limit")
        self._check(settings)
        self._settings.update(changed)
        self.core().adopt(settings)

    def adopt(self, other: RateLimiter) -> None:
        """Take over the settings of another one; what was used up stays used up."""
        if self._is_shared:
            check_shareable(other._build(), self._build())
        self._weight, self._heed = other._weight, other._heed
        self._settings.update(other._settings)
        self.core().adopt(self._build())

    def acquire(self, *, weight: float | None = None) -> None:
        """Pass when it is this call's turn, blocking the thread until then.

        Args:
            weight: How much of the limit the call takes; by default what `rate_limit` was given.

        Raises:
            RateLimitedError: Its turn is more than `wait` seconds away.
            DeadlineExceededError: Its turn is beyond the caller's deadline.
            ValueError: The weight makes no sense, or is more than a window ever allows.
        """
        self.core().acquire(self._chosen(weight))

    async def async_acquire(self, *, weight: float | None = None) -> None:
        """Pass when it is this call's turn, letting other tasks run until then; see `acquire`."""
        await self.core().async_acquire(self._chosen(weight))

    def pause(self, seconds: float) -> None:
        """Let no call pass for some seconds, for instance as long as the service asked; a longer pause stays.

        Waiting calls keep their order and come as much later, or are refused where that is too late for them.

        Args:
            seconds: How long.

        Raises:
            ValueError: `seconds` is not a finite number, at least 0.
        """
        validation.check_seconds("seconds", seconds)
        self.core().pause(float(seconds))

    def resume(self) -> None:
        """End a pause now; calls that sleep through it already wake at its end."""
        self.core().resume()

    def weighted(self, weight: Weight) -> RateLimiter:
        """Return the same limit for calls of another weight, as decorator, context manager or part of a policy.

        Args:
            weight: How much of the limit a call takes, or a function of the call's arguments.

        Raises:
            ValueError: The weight makes no sense.
        """
        view = object.__new__(type(self))
        vars(view).update(vars(self), _weight=CallWeight(weight))
        view._check(view._build())
        return view

    def core(self, name: str = strategy.RATE_LIMIT) -> RateLimitController:
        """Return its controller; the first time under this name, if it was given none."""
        return self._late.get(name)

    def call(self, func: F) -> F:
        """Return `func`, called at the rate at most; every kind of function stays what it is."""
        protected: F = wrapping.decorate(func, self._wrap)
        return protected

    __call__ = call

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        self.core(wrapping.default_name(func))
        kind = wrapping.kind(func)
        if kind == wrapping.GENERATOR:
            return self._wrap_generator(func)
        if kind == wrapping.ASYNC_GENERATOR:
            return self._wrap_async_generator(func)
        return self._wrap_coroutine(func) if kind == wrapping.COROUTINE else self._wrap_function(func)

    def _wrap_function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.core().acquire(self._weight.of(args, kwargs))
            try:
                result = func(*args, **kwargs)
            except Exception as error:
                self._pause_as_asked(error)
                raise
            if self._heed is not None:
                if type(result) is CoroutineType:
                    return self._finish(result)
                self._pause_as_asked(result)
            return result

        return wrapper

    def _wrap_coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            await self.core().async_acquire(self._weight.of(args, kwargs))
            return await self._finish(func(*args, **kwargs))

        return wrapper

    def _wrap_generator(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.core().acquire(self._weight.of(args, kwargs))
            with _Heeding(self):
                return (yield from func(*args, **kwargs))

        return wrapper

    def _wrap_async_generator(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        def begin(*args: Any, **kwargs: Any) -> Any:
            return _LimitedGenerator(self.core(), func(*args, **kwargs), self._weight.of(args, kwargs))

        return wrapping.wrap_async_generator_steps(begin, lambda: _Heeding(self))

    async def _finish(self, coroutine: Any) -> Any:
        try:
            result = await coroutine
        except Exception as error:
            self._pause_as_asked(error)
            raise
        self._pause_as_asked(result)
        return result

    def _enter(self) -> None:
        self.acquire()

    async def _async_enter(self) -> None:
        await self.async_acquire()

    def _exit(self, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            self._pause_as_asked(error)

    def _build(self) -> RateSettings:
        return build_rate_settings(**self._settings)

    def _check(self, settings: RateSettings) -> None:
        for limiter in settings.limiters().values():
            if self._weight.fixed is not None and self._weight.fixed <= limiter.heaviest:
                return
        if self._weight.fixed is not None:
            raise ValueError(f"weight must be at most what {settings} allows, not {self._weight.fixed:g}")

    def _chosen(self, weight: float | None) -> float:
        if weight is not None:
            check_weight(weight)
            return weight
        if self._weight.fixed is None:
            raise ValueError("weight is a function of a call's arguments, and here are none: give acquire(weight=…)")
        return self._weight.fixed

    def _pause_as_asked(self, answer: object) -> None:
        """Pause for as long as an exception, or what a call returned, asks for, if the limit heeds that."""
        # Our own refusals say when they would let a call pass; that is no wish of the service.
        if self._heed is None or isinstance(answer, PeakObserveError):
            return
        seconds = self._heed(answer, self._clock)
        if seconds is not None and validation.is_duration(seconds) and seconds > 0:
            self.core().pause(float(seconds))

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} counts the calls of this process and cannot be sent to another: make one there")

    def __repr__(self) -> str:
        return f"<RateLimiter {None if self.name is None else label(self.name)!r} {self._build()}>"


class _Heeding(SyncAsyncContext):
    """Pauses the limit for as long as the exception asks with which the block ends."""

    __slots__ = ("_limiter",)

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    def _exit(self, error: BaseException | None) -> None:
        self._limiter._exit(error)  # noqa: SLF001 - a part of it


class _LimitedGenerator:
    """An async generator that takes its turn at its first step."""

    __slots__ = ("_controller", "_generator", "_weight", "aclose", "athrow")

    def __init__(self, controller: RateLimitController, generator: Any, weight: float) -> None:
        self._controller: RateLimitController | None = controller
        self._generator = generator
        self._weight = weight
        self.athrow, self.aclose = generator.athrow, generator.aclose

    async def asend(self, value: Any) -> Any:
        """Resume the generator, the first time when it is its turn."""
        controller, self._controller = self._controller, None
        if controller is not None:
            await controller.async_acquire(self._weight)
        return await self._generator.asend(value)


def _heeding(heed: Any) -> Callable[[object, Clock], float | None] | None:
    """Return a function that finds the seconds that an answer asks for, or None if nobody wants to know.

    Raises:
        ValueError: `heed` is neither a truth value nor a plain function.
    """
    if heed is False:
        return None
    if heed is True:
        return lambda answer, clock: (
            retry_after.requested_delay(answer, clock.now()) if isinstance(answer, BaseException) else None
        )
    if not callable(heed) or wrapping.kind(heed) != wrapping.FUNCTION:
        raise ValueError(f"heed must be True, False or a plain function of the answer, not {shown(heed)}")
    callback = SafeCallback("heed", heed, logger="limits")
    return lambda answer, _: callback.call(answer)


@check_keywords(
    FOREIGN_NAMES,
    surplus="burst and all that follows is given by name, as in rate_limit(15, 60, burst=5)",
)
def rate_limit(
    limit: Limit,
    per: float = 1.0,
    *,
    burst: int | None = None,
    wait: float = 0.0,
    weight: Weight = 1,
    reserve: Mapping[str, float] | None = None,
    heed: Heed = False,
    mode: Mode = ENFORCE,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    shared: Joinable | str | None = None,
) -> RateLimiter:
    """Let `limit` calls pass in `per` seconds; a decorator, also `with` and `async with`.

    `rate_limit(15, 60)` lets 15 calls a minute pass, evenly spaced. `rate_limit([(20, 1), (6000, 60)])` lets 20 pass in
    any second and 6,000 in any minute, at once where both have room. A call whose turn has not come waits for it, up to
    `wait` seconds, or is refused at once. Turns are given in the order in which calls came, to threads and tasks alike.
    All that it decorates shares the rate. A generator takes one turn, at its first item.

    Args:
        limit: How many calls may pass in `per` seconds, more than 0; or pairs of calls and seconds, which all hold.
        per: Seconds that the limit is counted in.
        burst: How many may pass at once after a pause, on top of the rate; 1 if not given, and not for windows.
        wait: Seconds that a call waits at most; not beyond the deadline of the caller.
        weight: How many calls one call counts as, or a function of the call's arguments.
        reserve: Shares of the limit, by priority class, that only calls inside `with priority(class)` may take.
        heed: Whether an exception that names a time (`retry_after`, a Retry-After header, a ban) pauses the limit for
            as long; or a function of what a call returned or raised that returns seconds or None.
        mode: `enforce`, or `observe` to let all calls pass and count those that would have waited or been refused.
        name: The label value of the metrics; by default module and name of the first function that it decorates.
        clock: Source of time and sleep; for tests.
        shared: A `Shared`, through which the limits of this name in all its processes are one; `default` for that of
            `PEAK_OBSERVE_SHARED`, if it is set. All give the same `reserve`.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """
    if validation.is_function(limit):
        raise ValueError("rate_limit needs a limit: write @rate_limit(10)")
    settings = {"limit": limit, "per": per, "burst": burst, "wait": wait, "reserve": reserve, "mode": mode}
    return RateLimiter(settings, weight, heed, name, clock=clock, shared=shared)
