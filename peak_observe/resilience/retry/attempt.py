"""Facts of the attempt that the present code belongs to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.clock import stopwatch_of
from peak_observe.resilience.common import pipeline
from peak_observe.resilience.retry import nesting, wrappers

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
        error: What the attempt before this one raised; None in the first one, and where a result was not accepted.
    """

    operation: str
    number: int
    max_attempts: int | None
    elapsed: float
    error: BaseException | None


def current_attempt() -> CurrentAttempt | None:
    """Return the attempt that the present code belongs to, None outside of one; of several the innermost.

    It holds in all that the retried function calls or awaits, in tasks that it starts, and in threads that inherit its
    context, as those of `asyncio.to_thread` do, for as long as the attempt is under way: of a generator until its first
    item. Once this function is imported, each call of a retried function takes a few microseconds more.
    """
    first = _unannounced(sys._getframe(1))  # noqa: SLF001 - documented, and the only way to know of it
    if first is not None:
        return first
    execution: Any = nesting.innermost()
    return None if execution is None else _facts(execution)


def _facts(execution: Execution) -> CurrentAttempt:
    return _attempt(execution.controller, execution.number, execution.elapsed(), execution.error)


def _attempt(controller: RetryController, number: int, elapsed: float, error: BaseException | None) -> CurrentAttempt:
    most = controller.max_attempts
    return CurrentAttempt(controller.name, number, None if most == float("inf") else int(most), elapsed, error)


def _unannounced(frame: FrameType | None) -> CurrentAttempt | None:
    """Return the first attempt of a call that began before this module was imported, and so left no scope."""
    while frame is not None:
        if frame.f_code.co_name == "wrapper" and frame.f_globals is vars(pipeline):
            found, retry = frame.f_locals, frame.f_locals["self"]._retry  # noqa: SLF001 - as above
            if retry is not None:
                fast = "started" in found and "flow" not in found
                controller: RetryController = retry.controller
                seconds = stopwatch_of(controller.clock)() - found["started"] if fast else 0.0
                return _attempt(controller, 1, max(0.0, seconds), None) if fast else None
        frame = frame.f_back
    return None


wrappers.announce_attempts()
