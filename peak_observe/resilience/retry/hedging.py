"""Hedging: a read that is slow to answer is asked again beside it, and the first answer wins.

After "The Tail at Scale" (Dean and Barroso, 2013), gRPC's hedging policy and Polly's hedging strategy.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.events import HedgeFailed
from peak_observe.measures import HEDGES, HedgeReading
from peak_observe.measures.forks import renew
from peak_observe.observers import emit
from peak_observe.resilience.common import idempotency, strategy, validation, wrapping
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.resilience.common.event_loop import is_trio, running_loop
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.common.notes import add_note
from peak_observe.resilience.retry.budget import RetryBudget, find_budget
from peak_observe.support.redact import describe
from peak_observe.telemetry.tracing import spans

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable
    from contextlib import AbstractContextManager

F = TypeVar("F", bound=Callable[..., Any])

FIRST, HEDGE, FAILED, CANCELLED = range(len(catalog.HEDGE_OUTCOMES))
RATIO = 0.1
"""Hedges for each call that the budget of a hedge allows where none is given."""
MOST_HEDGES = 10


class HedgeController:
    """Settings of a hedge, its budget, and counts of all its calls."""

    def __init__(self, name: str, after: float, max_hedges: int, budget: RetryBudget | None, clock: Clock) -> None:
        self.name = name
        self.after = after
        self.max_hedges = max_hedges
        self.clock = clock
        self.budget = budget or RetryBudget(RATIO, 0.0, name=f"{name}.hedge", clock=clock)
        self.series = HEDGES.series(name)
        self._calls = [0] * len(catalog.HEDGE_OUTCOMES)
        self._hedges = [0, 0]
        self._lock = threading.RLock()  # the collector may end a coroutine, which is counted, while we are inside
        renew(self)

    def count(self, outcome: int) -> None:
        """Count one call that ended."""
        exclusively(self._lock, self._counted, self._calls, outcome)

    def may_hedge(self) -> bool:
        """Return whether there is time and budget for one more request, and count it as started or refused."""
        left = remaining()
        if left is not None and left <= 0:
            return False
        allowed = self.budget.take()
        exclusively(self._lock, self._counted, self._hedges, int(not allowed))
        return allowed

    @staticmethod
    def _counted(counts: list[int], index: int) -> None:
        counts[index] += 1

    def read(self) -> HedgeReading:
        """Return the counts of one moment."""
        reading = HedgeReading()
        reading.calls = exclusively(self._lock, self._calls.copy)
        reading.started, reading.refused = self._hedges
        reading.after = self.after
        return reading

    def after_fork(self) -> None:
        """Make the lock anew: a thread of the parent may have held it."""
        self._lock = threading.RLock()


class HedgedCall:
    """One call: its first request, the hedges beside it, and the race between them.

    Args:
        controller: Settings and counts.
        make: Makes a request.
    """

    def __init__(self, controller: HedgeController, make: Callable[[], Awaitable[Any]]) -> None:
        self._controller = controller
        self._make = make
        self._requests: list[asyncio.Task[Any]] = []
        self._timer: asyncio.Task[None] | None = None

    async def run(self) -> Any:
        """Return the first answer; where all requests fail, raise the error of the first one."""
        outcome = CANCELLED
        try:
            try:
                winner = await self._race()
            finally:
                await self._end_losers()
            outcome = FAILED if winner is None else HEDGE if winner else FIRST
            return self._requests[winner or 0].result()
        finally:
            self._controller.count(outcome)
            self._tell_errors(outcome)
            self._requests.clear()  # tasks, errors and frames would keep each other alive

    async def _race(self) -> int | None:
        """Start requests until one answers; return its number, or None when all have failed."""
        import asyncio

        due = self._controller.max_hedges
        self._start_request()
        self._start_timer()
        while True:
            await asyncio.wait(self._under_way(), return_when=asyncio.FIRST_COMPLETED)
            answered = next((number for number, task in enumerate(self._requests) if _succeeded(task)), None)
            if answered is not None or all(task.done() for task in self._requests):
                return answered
            if self._timer is not None and self._timer.done():
                self._timer.result()
                due -= 1
                if self._controller.may_hedge():
                    self._start_request()
                self._timer = None
                if due:
                    self._start_timer()

    def _start_request(self) -> None:
        import asyncio

        self._requests.append(asyncio.create_task(self._request(len(self._requests))))

    def _start_timer(self) -> None:
        import asyncio

        self._timer = asyncio.create_task(self._controller.clock.async_sleep(self._controller.after))

    async def _request(self, number: int) -> Any:
        with self._span(number):
            return await self._make()

    def _span(self, number: int) -> AbstractContextManager[Any]:
        if spans.API not in sys.modules or not spans.recording():
            return nullcontext()
        return spans.Operation(f"request {self._controller.name}", {"peak_observe.request": number})

    def _under_way(self) -> set[asyncio.Task[Any]]:
        return {task for task in (*self._requests, self._timer) if task is not None and not task.done()}

    async def _end_losers(self) -> None:
        """Cancel what is still under way and wait until it has ended, also while this call is cancelled itself."""
        import asyncio

        ahead = self._under_way()
        for task in ahead:
            task.cancel()  # once: as in a TaskGroup, a second cancellation does not disturb their clean-up
        cancelled: asyncio.CancelledError | None = None
        while ahead:
            try:
                await asyncio.wait(ahead)
            except asyncio.CancelledError as error:
                cancelled = error
            ahead = self._under_way()
        if cancelled is not None:
            raise cancelled

    def _tell_errors(self, outcome: int) -> None:
        """Note the errors of all requests on that of the first one, or report them where the caller sees none."""
        failed = {number: error for number, task in enumerate(self._requests) if (error := _error(task)) is not None}
        raised = failed.get(0) if outcome == FAILED else None
        for number, error in failed.items():
            if raised is None:
                emit(HedgeFailed(self._controller.name, number, error))
            elif error is not raised:
                add_note(raised, f"hedge {number} of {self._controller.name!r} failed too: {describe(error)}")


def _succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    """Return the error of a request that has ended; a cancelled one has none."""
    return None if not task.done() or task.cancelled() else task.exception()


class HedgeStrategy:
    """Hedge of one decorated function, with its counts; see `hedge`."""

    def __init__(self, controller: HedgeController) -> None:
        self._controller = controller
        controller.series.join(self, controller.read)

    @property
    def name(self) -> str:
        """The name by which its metrics are known."""
        return self._controller.name

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a coroutine function that is hedged.

        Raises:
            TypeError: It is another function, or must not happen twice.
        """
        kind = wrapping.kind(func)
        if kind != wrapping.COROUTINE:
            raise TypeError(
                f"hedge cannot ask twice at a time with {wrapping.name_of(func)}, which is a {kind} and no coroutine "
                "function: write it as `async def`, for instance around asyncio.to_thread"
            )
        idempotency.refuse(func, "hedge")
        wrapper = self._wrap(func)
        idempotency.note_hedged(wrapper, self.name)
        return wrapper

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        controller, count_call = self._controller, self._controller.budget.count

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            loop = running_loop()
            if loop is None or is_trio(loop):
                raise RuntimeError(f"hedge of {controller.name!r} needs asyncio, which does not run this coroutine")
            count_call()
            return await HedgedCall(controller, lambda: func(*args, **kwargs)).run()

        vars(wrapper)["_peak_hedge"] = self  # the counts live as long as the decorated function
        return wrapper


@check_keywords(
    {
        "delay hedging_delay wait seconds": "after",
        "max_hedged_attempts max_attempts max_hedged_requests max_requests": "max_hedges (without the first request)",
        "retry_budget max_extra_load": "budget",
    }
)
def hedge(
    after: float = 0.5,
    *,
    max_hedges: int = 1,
    budget: RetryBudget | str | None = None,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[F], F]:
    """Ask again, beside the first request, when a coroutine has not answered after some seconds; the first answer wins.

    For reads only: what is asked twice may happen twice. A function marked `@idempotent(False)` is refused, and so is
    one that is no coroutine function. The losers are cancelled and waited for. A request that fails is not asked again,
    which is what a retry is for: where all have failed, the error of the first one comes through, with the others as
    notes. No hedge starts beyond the caller's deadline.

    Args:
        after: Seconds without an answer until a hedge starts, and from each to the next; 0 asks all at once. The 95th
            percentile of the latency is a good start: one call in twenty is hedged then.
        max_hedges: How many hedges there may be beside the first request, from 1 to 10.
        budget: A `RetryBudget`, or its name, that limits the hedges of several functions together. Without one each
            function may start one hedge for ten calls, and ten at once, so that an outage is not amplified.
        name: The label value of the metrics; the function's qualified name by default.
        clock: Source of time and sleep; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: The decorated object is no coroutine function, or must not happen twice.
    """
    if validation.is_function(after):
        raise ValueError("hedge needs parentheses: write @hedge(after=0.5)")
    validation.check_seconds("after", after)
    validation.check_count("max_hedges", max_hedges)
    if max_hedges > MOST_HEDGES:
        raise ValueError(f"max_hedges must be at most {MOST_HEDGES}, not {max_hedges}: each is a request more")
    validation.check_name(name)
    shared = find_budget(budget)

    def build(name: str) -> HedgeStrategy:
        return HedgeStrategy(HedgeController(name, float(after), max_hedges, shared, clock))

    return strategy.Strategy(strategy.HEDGE, build, name)
