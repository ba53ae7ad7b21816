"""Retries inside retries, which multiply: three attempts of three attempts are nine calls to a service in trouble.

To set a context variable around each call would cost a first attempt half as much again as all its counting, so only
further attempts set it. A retry whose attempt fails looks there, and up the stack for first attempts; where it gives
up, it leaves a mark on the exception, which reaches the outer retry through other tasks and threads too.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.observers import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextvars import Token
    from types import CodeType

    from peak_observe.resilience.retry.controller import RetryCore

    Locate = Callable[[Mapping[str, Any]], tuple[RetryCore, bool]]

WARN, INNER_ONLY = "warn", "inner_only"
MODES = (WARN, INNER_ONLY)
WARNINGS = 1000

# The retry that the present attempt belongs to, where it is not a first one on the fast path.
_inside: ContextVar[RetryCore | None] = ContextVar("peak_observe_retry", default=None)

# The code of the wrappers that run first attempts on a fast path, each with how its locals tell whose one is under way.
_first_attempts: dict[CodeType, Locate] = {}

_MARK = "_peak_observe_retried"
_SIGN = "peak_observe: "
_MOST_RELATED = 100
_told: set[tuple[str, str]] = set()


class Mark(NamedTuple):
    """What a retry that gave up leaves on the exception; it has to bear pickling.

    Args:
        operation: Its name.
        at: When, by its clock.
        known: Whether it knew of the retry around it.
        final: Whether it alone may retry.
    """

    operation: str
    at: float
    known: bool
    final: bool


def enter(core: RetryCore) -> Token[RetryCore | None]:
    """Say that an attempt of a retry begins; return what `leave` needs."""
    return _inside.set(core)


def leave(token: Token[RetryCore | None]) -> None:
    """Say that the attempt has ended, unless this is another context, which knew nothing of it."""
    try:  # noqa: SIM105 - suppress() would be felt here
        _inside.reset(token)
    except ValueError:
        pass


def enclosing() -> RetryCore | None:
    """Return the retry in whose attempt this is, the nearest if there are several."""
    found, frame = _inside.get(), sys._getframe(1)  # noqa: SLF001 - the documented way to the stack
    while frame.f_back is not None:
        frame = frame.f_back
        locate = _first_attempts.get(frame.f_code)
        if locate is None:
            continue
        core, is_first = locate(frame.f_locals)
        if is_first or core is found is not None:
            return core
    return found


def _simple(found: Mapping[str, Any]) -> tuple[RetryCore, bool]:
    return found["core"], "started" in found and "run" not in found


def runs_first_attempts(wrapper: Any, locate: Locate = _simple) -> None:
    """Note a wrapper that runs first attempts without `enter` and `leave`.

    Args:
        wrapper: A function.
        locate: Returns from its locals its retry, and whether a first attempt of that is under way. The wrappers of
            retries have `core`, `started` before the first attempt, and `run` after it has failed, but not the error:
            before Python 3.13 a look at a frame's locals keeps them as long as the frame.
    """
    _first_attempts[wrapper.__code__] = locate


def tell(inner: str, outer: RetryCore) -> None:
    """Count that operation `inner` is retried inside `outer`, and warn of it once."""
    outer.count_nested()
    pair = (inner, outer.series.name)
    if pair not in _told and len(_told) < WARNINGS:
        _told.add(pair)
        from peak_observe.events.retries import RetriesNested  # late, as it is rare

        emit(RetriesNested(*pair))


def leave_mark(error: BaseException, mark: Mark) -> None:
    """Let retries around this one know that it has given up on an exception."""
    with suppress(Exception):  # an exception of a shape of its own goes without
        vars(error)[_MARK] = tuple(mark)


def mark_of(error: BaseException, since: float) -> Mark | None:
    """Return the mark of a retry that gave up after `since` on an exception or on one it came from.

    What was marked earlier is an exception that is raised again, not a failure of now.
    """
    for found in _related(error):
        left = vars(found).get(_MARK)
        if left and left[1] > since:
            return Mark(*left)
    return None


def annotate(error: BaseException, text: str) -> None:
    """Give an exception a note of ours in place of any that it has."""
    with suppress(Exception):  # the same
        notes = getattr(error, "__notes__", [])
        for note in [note for note in notes if str(note).startswith(_SIGN)]:
            notes.remove(note)
        error.add_note(_SIGN + text)


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
