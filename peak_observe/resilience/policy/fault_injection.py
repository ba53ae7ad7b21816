"""Fault injection for testnets and paper trading: a share of the calls fails or is late on purpose.

After Simmy and the chaos strategies of Polly, with the switch outside of the code: without the environment variable
`PEAK_OBSERVE_CHAOS=1` functions stay as they are.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias, TypeVar

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import CHAOS, ChaosReading, increased
from peak_observe.measures.forks import renew
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.common.callbacks import check_function
from peak_observe.resilience.common.context import SyncAsyncContext
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.common.notes import add_note
from peak_observe.support.shown import shown

F = TypeVar("F", bound=Callable[..., Any])
Fault: TypeAlias = Exception | type[Exception] | tuple[Exception | type[Exception], ...] | Callable[[], Exception]
Latency: TypeAlias = float | tuple[float, float]

SWITCH = "PEAK_OBSERVE_CHAOS"
UNDISTURBED, DELAYED, FAILED = range(len(catalog.CHAOS_OUTCOMES))


def is_on() -> bool:
    """Return whether this process may be disturbed."""
    return os.environ.get(SWITCH) == "1"


class ChaosController:
    """Settings of chaos, its random numbers, and counts of all its calls."""

    def __init__(
        self,
        name: str,
        *,
        rate: float,
        faults: tuple[Callable[[], Exception], ...],
        latency: tuple[float, float],
        seed: int | None,
        clock: Clock,
    ) -> None:
        self.name = name
        self.clock = clock
        self.series = CHAOS.series(name)
        self._rate = rate
        self._faults = faults
        self._latency = latency
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - to disturb, not to keep a secret
        self._calls = [0] * len(catalog.CHAOS_OUTCOMES)
        self._lock = threading.RLock()
        renew(self)

    def draw(self) -> tuple[float, Exception | None]:
        """Return the seconds to wait and the exception to raise for one call, and count it."""
        seconds, make = exclusively(self._lock, self._draw)
        return seconds, None if make is None else self._made(make)

    def _draw(self) -> tuple[float, Callable[[], Exception] | None]:
        # As many numbers for each call, so that those of a seed do not depend on the rate.
        chance, span, choice = (self._random.random() for _ in range(3))
        if chance >= self._rate:
            self._calls = increased(self._calls, UNDISTURBED)
            return 0.0, None
        self._calls = increased(self._calls, FAILED if self._faults else DELAYED)
        shortest, longest = self._latency
        seconds = shortest + span * (longest - shortest)
        return seconds, self._faults[int(choice * len(self._faults))] if self._faults else None

    def _made(self, make: Callable[[], Exception]) -> Exception:
        error: Any
        try:
            error = make()
        except Exception as raised:  # noqa: BLE001 - a function may also raise what it is to return
            error = raised
        if not isinstance(error, Exception):
            error = TypeError(f"fault of chaos {self.name!r} has to return an exception, not {shown(error)}")
        found: Exception = error
        add_note(found, f"injected on purpose by chaos {self.name!r} ({SWITCH}=1)")
        return found

    def read(self) -> ChaosReading:
        """Return the counts of one moment."""
        reading = ChaosReading()
        reading.calls, reading.ratio = self._calls, self._rate
        return reading

    def after_fork(self) -> None:
        """Make the lock anew, and without a seed the random numbers, which would be those of the parent."""
        self._lock = threading.RLock()
        if self._seed is None:
            self._random.seed()


class Disturbance(SyncAsyncContext):
    """Disturbance before one call: nothing, a delay, an exception, or both."""

    __slots__ = ("_controller",)

    def __init__(self, controller: ChaosController) -> None:
        self._controller = controller

    def _enter(self) -> None:
        seconds, error = self._controller.draw()
        if seconds:
            self._controller.clock.sleep(seconds)
        if error is not None:
            raise error

    async def _async_enter(self) -> None:
        seconds, error = self._controller.draw()
        if seconds:
            await self._controller.clock.async_sleep(seconds)
        if error is not None:
            raise error


class ChaosStrategy:
    """Chaos of one decorated function; see `chaos`."""

    def __init__(self, controller: ChaosController) -> None:
        self._controller = controller
        controller.series.join(self, controller.read)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with disturbances before it; every kind of function stays what it is."""
        wrapper = self._wrapper(func)
        vars(wrapper)["_peak_chaos"] = self  # the counts live as long as the decorated function
        return wrapper

    def _wrapper(self, func: Callable[..., Any]) -> Callable[..., Any]:
        kind = wrapping.kind(func)
        if kind == wrapping.GENERATOR:
            return wrapping.wrap_generator(func, self._disturb)
        if kind == wrapping.ASYNC_GENERATOR:
            return wrapping.wrap_async_generator_steps(func, self._disturb)
        return self._coroutine(func) if kind == wrapping.COROUTINE else self._function(func)

    def _disturb(self) -> Disturbance:
        return Disturbance(self._controller)

    def _function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self._disturb():
                pass
            return func(*args, **kwargs)

        return wrapper

    def _coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            async with self._disturb():
                pass
            return await func(*args, **kwargs)

        return wrapper


_told: set[str] = set()
_MOST_TOLD = 1000


def _tell(name: str, message: str, *values: object) -> None:
    """Log one line for each name."""
    if name in _told or len(_told) >= _MOST_TOLD:
        return
    from peak_observe.support.loggers import logger

    _told.add(name)
    logger("peak_observe.chaos").warning(message, name, *values)


class _Off:
    """Chaos that is switched off: functions stay as they are."""

    def __init__(self, name: str) -> None:
        _tell(name, "chaos of '%s' is off and its functions stay as they are: it runs only with %s=1", SWITCH)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


@check_keywords(
    {
        "injection_rate ratio probability": "rate",
        "exception error errors exceptions faults": "fault",
        "delay sleep": "latency",
        "randomizer random_state": "seed",
    }
)
def chaos(
    rate: float = 0.02,
    *,
    fault: Fault | None = None,
    latency: Latency = 0.0,
    seed: int | None = None,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[F], F]:
    """Disturb a share of the calls, for testnets and paper trading: they are late, or fail, or are late and fail.

    Without `PEAK_OBSERVE_CHAOS=1` in the environment when a function is decorated, the function stays as it is, and one
    log line says so: what was written for a testnet does no harm elsewhere. A disturbed call that fails is not made.

    Args:
        rate: The share of the calls that is disturbed, from 0 to 1.
        fault: The exception: a type, an instance, several of both, of which chance chooses, or a function that returns
            one.
        latency: Seconds of delay, or a pair of the shortest and the longest, between which chance chooses.
        seed: Where the random numbers begin; the same one disturbs the same calls again.
        name: The label value of the metrics; the function's qualified name by default.
        clock: Source of the sleep; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: The decorated object cannot be called.
    """
    if validation.is_function(rate):
        raise ValueError("chaos needs parentheses: write @chaos(rate=0.02, fault=ConnectionError)")
    validation.check_share("rate", rate)
    faults, span = _faults(fault), _span(latency)
    if not faults and span == (0.0, 0.0):
        raise ValueError("chaos needs a fault or a latency: write chaos(rate=0.02, fault=ConnectionError)")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise ValueError(f"seed must be a whole number, not {shown(seed)}")
    validation.check_name(name)

    def build(name: str) -> Callable[[Any], Any]:
        if not is_on():
            return _Off(name)
        _tell(name, "chaos of '%s' is ON (%s=1): %.3g %% of its calls are disturbed on purpose", SWITCH, 100 * rate)
        return ChaosStrategy(
            ChaosController(name, rate=float(rate), faults=faults, latency=span, seed=seed, clock=clock)
        )

    return strategy.Strategy(strategy.CHAOS, build, name)


def _faults(fault: Any) -> tuple[Callable[[], Exception], ...]:
    """Return functions that make the exceptions.

    Raises:
        ValueError: One is no exception, or cannot be made of a text.
    """
    if fault is None:
        return ()
    several = fault if isinstance(fault, list | tuple) else (fault,)
    return tuple(_maker(one, alone=several is not fault) for one in several)


def _maker(fault: Any, *, alone: bool) -> Callable[[], Exception]:
    if isinstance(fault, Exception):
        return lambda: fault.with_traceback(None)
    if isinstance(fault, type) and issubclass(fault, Exception):
        kind: Any = fault
        try:
            kind("injected fault")
        except Exception as error:  # noqa: BLE001 - whatever its constructor raises
            raise ValueError(
                f"fault {kind.__qualname__} cannot be made of a text ({error}): give an instance, or a function"
            ) from None
        return lambda: kind("injected fault")
    if alone and callable(fault) and not isinstance(fault, type):
        check_function("fault", fault)
        return fault  # type: ignore[no-any-return] # what it returns is looked at when it is made
    raise ValueError(f"fault must be an exception, a type of one, several of them, or a function, not {shown(fault)}")


def _span(latency: Any) -> tuple[float, float]:
    """Return the shortest and the longest delay.

    Raises:
        ValueError: They are no seconds, or the wrong way round.
    """
    pair = tuple(latency) if isinstance(latency, list | tuple) else (latency, latency)
    if len(pair) != 2 or not all(map(validation.is_duration, pair)) or pair[0] > pair[1]:  # noqa: PLR2004 - a pair
        raise ValueError(f"latency must be seconds, or a pair of the shortest and the longest, not {shown(latency)}")
    return float(pair[0]), float(pair[1])
