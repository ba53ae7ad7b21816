"""Find the order of unknown fate from which an error came, which another attempt may place twice."""

from __future__ import annotations

from peak_observe.errors import OutcomeUnknown


def unknown_outcome_of(error: BaseException | None) -> OutcomeUnknown | None:
    """Return the unknown outcome that an error is, has inside, or was raised from; None if there is none.

    Unlike `OutcomeUnknown.behind` it passes over what was handled when the error was raised: that may be an order which
    is being looked up.
    """
    ahead, seen = [error], set()
    while ahead:
        found = ahead.pop()
        if isinstance(found, OutcomeUnknown):
            return found
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            ahead += [*(found.exceptions if isinstance(found, BaseExceptionGroup) else ()), _origin(found)]
    return None


def _origin(error: BaseException) -> BaseException | None:
    """Return what an error was raised from; for a time limit, the cancellation behind it."""
    # `anyio.fail_after`, and `asyncio.timeout` before Python 3.11.3, raise it from nothing.
    if error.__cause__ is None and isinstance(error, TimeoutError) and not isinstance(error.__context__, Exception):
        return error.__context__
    return error.__cause__
