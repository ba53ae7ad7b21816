"""One absolute deadline for all that happens below it: attempts, delays, and waits for permits and tokens."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience import arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class _Limit(NamedTuple):
    clock: Clock
    at: float

    def left(self) -> float:
        return self.at - self.clock.monotonic()


# Set for a thread or task; tasks that are started inside inherit it, threads do not.
_current: ContextVar[_Limit | None] = ContextVar("peak_observe_deadline", default=None)


def deadline(seconds: float, *, clock: Clock = SYSTEM_CLOCK) -> AbstractContextManager[None]:
    """Give the block one deadline that everything of peak_observe below it sees.

    It interrupts nothing by itself: retries start no further attempt and no delay beyond it, waits end at it, and a
    timeout of a coroutine is cut to it. Inside another deadline the earlier of the two holds. Use `with` in coroutines
    too.

    Args:
        seconds: Seconds from entering the block, more than 0.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: `seconds` is not a finite number above 0.
    """
    arguments.check_period("seconds", seconds)
    return _within(seconds, clock)


@contextmanager
def _within(seconds: float, clock: Clock) -> Iterator[None]:
    token = impose(clock.monotonic() + seconds, clock)
    try:
        yield
    finally:
        _current.reset(token)


def impose(at: float, clock: Clock) -> Token[_Limit | None]:
    """Set a deadline at a moment of `clock`, unless there is an earlier one; return what `lift` needs."""
    outer, mine = _current.get(), _Limit(clock, at)
    return _current.set(mine if outer is None or outer.left() > mine.left() else outer)


def lift(token: Token[_Limit | None]) -> None:
    """Take a deadline back, unless this is another context, which has none of it."""
    try:  # noqa: SIM105 - suppress() would be felt here
        _current.reset(token)
    except ValueError:
        pass


def remaining() -> float | None:
    """Return the seconds until the deadline of this thread or task, 0.0 once it has passed; None if there is none."""
    limit = _current.get()
    return None if limit is None else max(0.0, limit.left())
