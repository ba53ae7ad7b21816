"""Find the order of unknown fate that an attempt left open, which another attempt may place twice."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from peak_observe.errors import OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable

    HandledBefore = Callable[[BaseException], bool]


def unknown_outcome_of(
    error: BaseException | None, handled_before: HandledBefore | None = None
) -> OutcomeUnknown | None:
    """Return the unknown outcome that an error is, has inside, came from, or was raised in the handling of; or None.

    Whether it was raised with `from`, from nothing or without either does not matter: `except Exception: raise
    TradeError("no order")` leaves the order as open as it was. What was handled already when the attempt began is none
    of its own, such as an order that is being looked up, and ends the search.

    Args:
        error: What an attempt raised.
        handled_before: What `handled_now` returned when the attempt began. Without it, what a function that is still
            running handles was handled before: true of a call that has ended, not of a block in such a function.
    """
    if OutcomeUnknown.behind(error) is None:
        return None
    ends = _is_handled_by_a_caller if handled_before is None else handled_before
    ahead, seen = [error], set()
    while ahead:
        found = ahead.pop()
        if isinstance(found, OutcomeUnknown):
            return found
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            ahead += found.exceptions if isinstance(found, BaseExceptionGroup) else ()
            ahead.append(found.__cause__)
            if found.__context__ is not None and not ends(found.__context__):
                ahead.append(found.__context__)
    return None


def handled_now() -> HandledBefore:
    """Return a function that tells whether an exception is the one that is handled at this moment."""
    handled = sys.exception()
    return lambda error: error is handled


def _is_handled_by_a_caller(error: BaseException) -> bool:
    """Return whether the function that caught an exception is still running."""
    caught = None if error.__traceback__ is None else error.__traceback__.tb_frame
    frame = sys._getframe(1)  # noqa: SLF001 - documented; nothing else tells what the callers of a handler handle
    while frame is not None and frame is not caught:
        frame = frame.f_back  # type: ignore[assignment] # None behind the outermost
    return frame is not None and caught is not None
