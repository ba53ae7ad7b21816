"""Detect retries inside retries, which multiply: three attempts of three attempts are nine calls of a failing service.

None of the three traces costs a first attempt anything: an inner retry that gives up marks its exception, which reaches
the outer one through tasks and threads too; one that recovers looks into a context variable, which every attempt after
the first sets until it ends; and a retry around a function that is marked as retried sets it from the first attempt on.
"""

from __future__ import annotations

from contextlib import suppress
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from peak_observe.observers import emit
from peak_observe.resilience.common import idempotency
from peak_observe.resilience.common.scopes import Scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WARNINGS = 1000

_ASK = ("current_attempt", "TaskGroup", "create_task_group")
"""What asks for the attempt, and task groups: they swallow the errors of tasks that they cancel, so that of an order
which was cut off only the attempt knows."""
_MARK = "__peak_observe_retry__"
"""Where an exception keeps its mark: beside its notes, as tracebacks print those, and copied and pickled with it."""
_MOST_RELATED = 100
_reported: set[tuple[str, str]] = set()


class Enclosing(Protocol):
    """An outer retry, as far as an inner one needs to know it."""

    @property
    def label(self) -> str:
        """The label value of its metrics."""

    @property
    def multiplies(self) -> bool:
        """Whether its attempts multiply those of a retry inside."""

    def count_nested(self) -> None:
        """Count an operation that was retried inside one of its attempts."""


class Attempted(Protocol):
    """An operation that makes an attempt.

    Attributes:
        left_open: Whether the attempt sent an order whose fate is unknown.
    """

    left_open: bool

    @property
    def controller(self) -> Enclosing:
        """Its retry."""


class Mark(NamedTuple):
    """Mark on the exception with which a retry gave up.

    Args:
        operation: Its name.
        at: When, by its clock.
        final: Whether it alone may retry.
    """

    operation: str
    at: float
    final: bool


# The operation that the present attempt belongs to; a first attempt on the fast path does not set it.
_attempts: Scopes[Attempted] = Scopes("peak_observe_retry")
enter, leave, innermost = _attempts.enter, _attempts.leave, _attempts.innermost


def enclosing() -> Enclosing | None:
    """Return the nearest retry in whose attempt this runs; a first attempt on the fast path is not seen."""
    attempt = innermost()
    return None if attempt is None else attempt.controller


def leave_open() -> None:
    """Tell the retries in whose attempts this runs of an order of unknown fate, whose error may never reach them.

    A first attempt on the fast path is not told: it has no result that could be retried, and no task group.
    """
    for attempt in _attempts.values():
        attempt.left_open = True


def asks_for_attempts(func: Callable[..., Any]) -> bool:
    """Return whether a function, or its module, names what needs the attempt to be known inside."""
    return any(
        name in getattr(one, "__globals__", ()) or _mentions(getattr(one, "__code__", None), name)
        for one in idempotency.layers(func)
        for name in _ASK
    )


def _mentions(code: CodeType | None, name: str) -> bool:
    if not isinstance(code, CodeType):
        return False
    return name in code.co_names or any(_mentions(one, name) for one in code.co_consts if isinstance(one, CodeType))


def report(inner: str, outer: Enclosing) -> None:
    """Count an operation `inner` that was retried inside `outer`, and warn once for each pair."""
    outer.count_nested()
    pair = (inner, outer.label)
    if pair not in _reported and len(_reported) < WARNINGS:
        _reported.add(pair)
        from peak_observe.events.retries import RetriesNested  # late, as it is rare

        emit(RetriesNested(*pair))


def mark_of(error: BaseException, since: float) -> Mark | None:
    """Return the mark of a retry that gave up after `since` on an exception or on one it came from.

    What was marked earlier is an exception that is raised again, not a failure of now.
    """
    for found in _related(error):
        # No look-up that the exception could answer in its own way; and a plain tuple, which any process can unpickle.
        match vars(found).get(_MARK):
            case (str(operation), float(at), bool(final)) if at > since:
                return Mark(operation, at, final)
    return None


def annotate(error: BaseException, mark: Mark) -> None:
    """Put a mark on an exception for the retries around this one, in place of an earlier one."""
    with suppress(Exception):  # an exception of a shape of its own goes without
        vars(error)[_MARK] = tuple(mark)


def _related(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead and len(seen) < _MOST_RELATED:
        found = ahead.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        ahead += [found.__cause__, found.__context__]
        ahead += found.exceptions if isinstance(found, BaseExceptionGroup) else ()
