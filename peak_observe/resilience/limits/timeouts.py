"""Timeout of coroutines: one that takes too long is cancelled; plain functions cannot be interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe import catalog
from peak_observe.errors import CallTimeoutError, DeadlineExceededError
from peak_observe.events import CallTimedOut
from peak_observe.measures import TIMEOUTS, TimeoutReading
from peak_observe.measures.forks import renew
from peak_observe.observers import emit
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.common.context import SyncAsyncContext
from peak_observe.resilience.common.deadlines import deadline, remaining
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.common.unknown_outcome import handled_now, unknown_outcome_of
from peak_observe.support.async_library import time_limit

if TYPE_CHECKING:
    from collections.abc import Awaitable

F = TypeVar("F", bound=Callable[..., Any])

IN_TIME, TIMED_OUT, OUT_OF_TIME = range(len(catalog.TIMEOUT_OUTCOMES))


class TimeoutController:
    """Settings of a timeout and counts of all its calls."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self.series = TIMEOUTS.series(name)
        self._calls = [0] * len(catalog.TIMEOUT_OUTCOMES)
        self._lock = threading.RLock()  # the collector may end a coroutine, which is counted, while we are inside
        renew(self)

    def count(self, outcome: int) -> None:
        """Count one call."""
        exclusively(self._lock, self._counted, outcome)

    def _counted(self, outcome: int) -> None:
        self._calls[outcome] += 1

    def read(self) -> TimeoutReading:
        """Return the counts of one moment."""
        reading = TimeoutReading()
        reading.calls = exclusively(self._lock, self._calls.copy)
        reading.seconds = self.seconds
        return reading

    def after_fork(self) -> None:
        """Make the lock anew: a thread of the parent may have held it."""
        self._lock = threading.RLock()


class TimedCall(SyncAsyncContext):
    """Call or generator under a timeout, which limits each of its steps; counted when it has ended."""

    __slots__ = ("_controller", "_outcome")

    def __init__(self, controller: TimeoutController) -> None:
        self._controller = controller
        self._outcome = IN_TIME

    async def step(self, resume: Callable[[Any], Awaitable[Any]], value: Any = None) -> Any:
        """Return what `resume` gives, and cancel it when its time is over, or that of the deadline if it is earlier.

        Raises:
            CallTimeoutError: It was cancelled.
            DeadlineExceededError: The deadline had passed already.
        """
        seconds, own, handled_before = self._seconds(), None, handled_now()
        try:
            async with time_limit(seconds) as scope:
                try:
                    with deadline(seconds):
                        return await resume(value)
                except TimeoutError as error:
                    own = error
                    raise
                finally:
                    self._outcome = TIMED_OUT if scope.expired() else self._outcome
        except TimeoutError as error:
            if error is own:
                raise
            self._outcome = TIMED_OUT
            emit(CallTimedOut(self._controller.name, seconds))
            raise CallTimeoutError(self._controller.name, seconds) from unknown_outcome_of(error, handled_before)

    def _seconds(self) -> float:
        left, seconds = remaining(), self._controller.seconds
        if left is None or left > seconds:
            return seconds
        if left > 0:
            return left
        self._outcome = OUT_OF_TIME
        raise DeadlineExceededError(self._controller.name)

    def _exit(self, error: BaseException | None) -> None:  # noqa: ARG002 - counted however it ends
        self._controller.count(self._outcome)


class TimeoutStrategy:
    """Timeout of one decorated function, with its counts; see `timeout`."""

    def __init__(self, name: str, seconds: float) -> None:
        self._controller = TimeoutController(name, seconds)
        self._controller.series.join(self, self._controller.read)

    @property
    def name(self) -> str:
        """The name in its errors."""
        return self._controller.name

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a coroutine function, or an async generator function, with its time limited.

        Raises:
            TypeError: It is another function, which nothing can interrupt.
        """
        kind = wrapping.kind(func)
        if kind == wrapping.COROUTINE:
            return self._wrap_coroutine(func)
        if kind == wrapping.ASYNC_GENERATOR:
            return wrapping.wrap_async_generator_steps(func, self._timed, TimedCall.step)
        raise TypeError(
            f"timeout cannot interrupt {wrapping.name_of(func)}, which is no coroutine function: give what it calls a "
            "timeout of its own (socket, HTTP client), write it as `async def`, or set a deadline of "
            f"{self._controller.seconds:g} s, at which retries and waits end"
        )

    def _timed(self) -> TimedCall:
        return TimedCall(self._controller)

    def _wrap_coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            async with self._timed() as timed:
                return await timed.step(lambda _: func(*args, **kwargs))

        return wrapper


@check_keywords({"timeout limit delay max_seconds": "seconds"})
def timeout(seconds: float, *, name: str | None = None) -> Callable[[F], F]:
    """Cancel a coroutine that takes longer than `seconds`; of an async generator, any step to its next item.

    The earlier of it and the caller's deadline holds, and everything of peak_observe below sees it as its deadline. A
    plain function, or a plain generator, is refused when it is decorated: Python cannot interrupt it, and a time limit
    that holds only sometimes is worse than none.

    Args:
        seconds: How long it may take, more than 0.
        name: The label value of the metrics and the name in the error; the function's module and name by default.

    Raises:
        ValueError: `seconds` is not a finite number above 0.
        TypeError: The decorated object is neither a coroutine function nor an async generator function.
    """
    if validation.is_function(seconds):
        raise ValueError("timeout needs seconds: write @timeout(5)")
    validation.check_period("seconds", seconds)
    validation.check_name(name)
    limit = float(seconds)
    return strategy.Strategy(strategy.TIMEOUT, lambda name: TimeoutStrategy(name, limit), name, seconds=limit)
