"""Facts of the attempt that the present code belongs to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.clock import stopwatch_of
from peak_observe.resilience.common import pipeline
from peak_observe.resilience.retry import nesting

if TYPE_CHECKING:
    from types import FrameType

    from peak_observe.resilience.retry.controller import RetryController
    from peak_observe.resilience.retry.execution import Execution


class CurrentAttempt(NamedTuple):
    """Attempt of an operation that is under way.

    Args:
        operation: The operation's name.
        number: The number of the attempt, from 1.
        max_attempts: How many there may be; None where only time ends them.
        elapsed: Seconds since the first one began.
        error: The exception of the attempt before this one; None in the first one, and where a result was not accepted.
    """

    operation: str
    number: int
    max_attempts: int | None
    elapsed: float
    error: BaseException | None


def current_attempt() -> CurrentAttempt | None:
    """Return the attempt that the present code belongs to, None outside of one; of several the innermost.

    It holds in all that the retried function calls or awaits, for as long as the attempt is under way: of a generator
    until its first item. In tasks that it starts, and threads that inherit its context, as those of `asyncio.to_thread`
    do, it is known where the module of the retried function imports this one; its calls take a few microseconds more.
    """
    execution: Any = nesting.innermost()
    # The scope of an attempt would cost each first attempt more than all else, so that the fast path enters none.
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - documented, and the only way to know of it
    while frame is not None:
        if execution is not None and execution.block == id(frame):
            break
        if frame.f_code.co_name == "wrapper" and frame.f_globals is vars(pipeline):
            retry = frame.f_locals["self"]._retry  # noqa: SLF001 - as above
            if retry is not None:
                first = _first_attempt(retry.controller, frame.f_locals)
                return first or _facts(execution)
        frame = frame.f_back
    return _facts(execution)


def _facts(execution: Execution | None) -> CurrentAttempt | None:
    if execution is None:
        return None
    return _attempt(execution.controller, execution.number, execution.elapsed(), execution.error)


def _first_attempt(controller: RetryController, found: dict[str, Any]) -> CurrentAttempt | None:
    """Return the attempt of a call on the fast path, by the names in its frame; None for one that has left it."""
    if "started" not in found or "flow" in found:
        return None
    return _attempt(controller, 1, max(0.0, stopwatch_of(controller.clock)() - found["started"]), None)


def _attempt(controller: RetryController, number: int, elapsed: float, error: BaseException | None) -> CurrentAttempt:
    most = controller.max_attempts
    return CurrentAttempt(controller.name, number, None if most == float("inf") else int(most), elapsed, error)
