"""Compute the open duration from settings, reopen count and `retry_after`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common.predicates import members

if TYPE_CHECKING:
    from peak_observe.resilience.breaker.settings import Settings
    from peak_observe.resilience.common.callbacks import SafeCallback

LONGEST_HINT = 86_400.0
"""Seconds beyond which nobody's `retry_after` keeps a circuit open."""

LONGEST = 3.2e9  # a century; what comes after does no harm, but the sum of it with the time would overflow
FALLBACK = 60.0


def open_duration(
    settings: Settings, reopened: int, error: BaseException | None, callback: SafeCallback | None
) -> float:
    """Return the seconds for which a circuit opens.

    Args:
        settings: Its settings.
        reopened: How often a probe has failed since it was closed.
        error: What opens it; where its `retry_after` is a number of seconds above 0, that is how long.
        callback: The function that `recovery_timeout` is, if it is one.
    """
    hint = _hinted(error)
    if hint > 0:
        return min(hint, LONGEST_HINT)
    planned = min(_planned(settings.recovery_timeout, reopened, callback), LONGEST)
    if not settings.jitter:
        return planned
    import random

    return planned * (1 + settings.jitter * random.uniform(-1, 1))  # noqa: S311 - to spread load, not to hide


def _hinted(error: BaseException | None) -> float:
    try:
        holders = () if error is None else (error, *members(error))
        return max((_seconds(getattr(one, "retry_after", None)) for one in holders), default=0.0)
    except Exception:  # noqa: BLE001 - a property that raises says nothing, and must not hide the error that has it
        return 0.0


def _planned(timeout: Any, reopened: int, callback: SafeCallback | None) -> float:
    if callback is None:
        return float(timeout[min(reopened, len(timeout) - 1)] if isinstance(timeout, list | tuple) else timeout)
    answer = callback.call(reopened, default=FALLBACK)
    if isinstance(answer, int | float) and answer == 0:
        return 0.0
    seconds = _seconds(answer)
    if not seconds:
        callback.log_once(f"{answer!r} for {reopened}, which is no number of seconds: it stays open for {FALLBACK:g} s")
    return seconds or FALLBACK


def _seconds(value: object) -> float:
    """Return a number of seconds above 0 as a float, and 0.0 for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0.0
    return float(min(value, LONGEST))
