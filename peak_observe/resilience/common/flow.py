"""Flows: the steps of one call, which strategies yield and drivers make, and what a pipeline needs of a strategy.

As httpx drives `auth_flow`: a strategy is a generator that yields the next step and is sent its result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from types import FrameType

    from peak_observe.clock import Clock
    from peak_observe.telemetry.tracing.spans import TracingMode


class _Sign:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


CALL: Final = _Sign("CALL")
"""A step: make the call, and send its result or throw its exception."""

DEFERRED: Final = _Sign("DEFERRED")
"""Sent in place of a result that is a coroutine, task or future, which is awaited later: nothing has happened yet."""


class TimedCall:
    """A step: make the call of a coroutine function and cancel it after some seconds.

    Args:
        seconds: How many.

    Attributes:
        expired: Whether it was cancelled.
    """

    __slots__ = ("expired", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False

    async def limit(self, attempt: Awaitable[Any]) -> Any:
        """Return what `attempt` returns in time, or raise TimeoutError."""
        from peak_observe.support.async_library import time_limit  # late, as most programs set none

        try:
            async with time_limit(self.seconds) as scope:
                return await attempt
        except TimeoutError:
            self.expired = scope.expired()
            raise


class Awaited:
    """A step: await a coroutine function of the user's; only flows of coroutine functions have it.

    Args:
        coroutine: What to await.
    """

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Awaitable[Any]) -> None:
        self.coroutine = coroutine


class Returned:
    """The end of a flow that returned a result when it was told that a step failed.

    Args:
        value: The result.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


if TYPE_CHECKING:
    # The fourth kind of step is a number: sleep so many seconds.
    Step = _Sign | TimedCall | Awaited | float
    Flow = Generator[Step, Any, Any]


class BreakerStrategy(Protocol):
    """A circuit breaker, as a pipeline needs it."""

    @property
    def tracing(self) -> TracingMode:
        """Condition under which a call is traced."""

    @property
    def controller(self) -> Any:
        """The circuit with lock, clock and counters."""

    def rejected_for(self, period: Any) -> float:
        """Count a rejection and return the seconds it holds, or 0.0 where `flow` has to decide."""

    def needs_flow(self) -> bool:
        """Return whether the present call is inside one of the same circuit, or its judge has to be awaited."""

    def is_inside_unannounced(self, frame: FrameType) -> bool:
        """Return whether the call of a frame is inside one of the same circuit that was not announced."""

    def enter(self) -> Any:
        """Announce a call to those inside; return what `leave` takes."""

    def leave(self, scope: Any) -> None:
        """End what `enter` announced."""

    def flow(self, inner: Flow | None) -> Flow:
        """Admit one call, make it or run `inner`, and record the outcome."""

    def resume(self, period: Any, started: float, inner: Flow) -> Flow:
        """Run the rest of a call that the fast path admitted, and record the outcome."""


class RetryStrategy(Protocol):
    """A retry, as a pipeline needs it."""

    @property
    def tracing(self) -> TracingMode:
        """Condition under which a call is traced."""

    @property
    def clock(self) -> Clock:
        """The source of time and sleep."""

    @property
    def simple(self) -> bool:
        """Whether a first attempt that succeeds is only counted."""

    @property
    def gate(self) -> Any:
        """Stand-in for the circuit where there is no breaker; open where a first attempt needs the slow path."""

    def join(self, announced: list[None]) -> None:
        """Share the fast path of a circuit around it, whose list is not empty where calls have to be announced."""

    @property
    def count_first_try(self) -> Callable[[], int]:
        """Count an operation that succeeded at once."""

    def failed_first(self, started: float, error: BaseException) -> Any:
        """Record that a first attempt failed; return the execution if there is another attempt, else None."""

    def flow(self, execution: Any = None) -> Flow:
        """Make attempts and sleep between them; those after the first where an execution is given."""

    def sleep(self, seconds: float | Awaited) -> Awaited | None:
        """Sleep between two attempts; what only a coroutine function could await is returned as it is."""

    async def async_sleep(self, seconds: float) -> None:
        """Sleep between two attempts and let other tasks run."""
