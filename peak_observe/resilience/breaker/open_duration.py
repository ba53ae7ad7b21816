"""For how long a circuit stays open: as configured, longer each time it reopens, or as the error asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peak_observe.resilience.breaker.settings import Settings

LONGEST_HINT = 86_400.0
"""Seconds beyond which nobody's `retry_after` keeps a circuit open."""

LONGEST = 3.2e9  # a century; what comes after does no harm, but the sum of it with the time would overflow
FALLBACK = 60.0


def open_duration(settings: Settings, reopened: int, error: BaseException | None, name: str) -> float:
    """Return the seconds for which a circuit opens.

    Args:
        settings: Its settings.
        reopened: How often a probe has failed since it was closed.
        error: What opens it; where its `retry_after` is a number of seconds above 0, that is how long.
        name: The breaker's name, for the log.
    """
    hint = _hinted(error)
    if hint > 0:
        return min(hint, LONGEST_HINT)
    planned = min(_planned(settings.recovery_timeout, reopened, name), LONGEST)
    if not settings.jitter:
        return planned
    import random

    return planned * (1 + settings.jitter * random.uniform(-1, 1))  # noqa: S311 - to spread load, not to hide


def _hinted(error: BaseException | None) -> float:
    try:
        return _seconds(getattr(error, "retry_after", None))
    except Exception:  # noqa: BLE001 - a property that raises says nothing, and must not hide the error that has it
        return 0.0


def _planned(timeout: Any, reopened: int, name: str) -> float:
    if isinstance(timeout, list | tuple):
        return float(timeout[min(reopened, len(timeout) - 1)])
    if not callable(timeout):
        return float(timeout)
    try:
        answer = timeout(reopened)
    except Exception as error:  # noqa: BLE001 - the user's call has failed already; this must not hide how
        answer = error
    if isinstance(answer, int | float) and answer == 0:
        return 0.0
    seconds = _seconds(answer)
    if not seconds:
        _complain(name, reopened, answer)
    return seconds or FALLBACK


def _seconds(value: object) -> float:
    """Return a number of seconds above 0 as a float, and 0.0 for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0.0
    return float(min(value, LONGEST))


def _complain(name: str, reopened: int, answer: object) -> None:
    import logging

    message = "recovery_timeout of '%s' gave %r for %d, which is no number of seconds: it stays open for %.0f s"
    logging.getLogger("peak_observe.breaker").error(message, name, answer, reopened, FALLBACK)
