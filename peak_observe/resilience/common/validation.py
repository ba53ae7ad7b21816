"""Checks of constructor arguments; everything else is one ValueError that names the argument."""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from typing import Any

from peak_observe.measures import series
from peak_observe.support.shown import shown, shown_time

LARGEST_COUNT = 10**15
"""Whole numbers beyond it mean nothing here, and lose digits, or fail, as floats in /metrics."""
_FIRST = ("failure_threshold", "max_attempts")
"""First arguments, where a name is put by mistake."""
_TOO_LARGE = 1e300  # whole numbers beyond it cannot become floats


def is_function(value: Any) -> bool:
    """Return whether a decorator was used without parentheses and got the function itself."""
    return callable(value) or isinstance(value, staticmethod | classmethod)


def check_count(name: str, value: object) -> None:
    """Raise ValueError unless `value` is a whole number from 1 to a million billions."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        hint = f"; a name is given as name={shown(value)}" if isinstance(value, str) and name in _FIRST else ""
        raise ValueError(f"{name} must be a whole number of at least 1, not {shown(value)}{hint}")
    if value > LARGEST_COUNT:
        raise ValueError(f"{name} must be a whole number of at most {LARGEST_COUNT}, not {shown(value)}")


def is_duration(value: Any) -> bool:
    """Return whether `value` is a finite number of seconds, at least 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max


def check_seconds(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is a finite number of seconds, at least 0."""
    if not is_duration(value):
        raise ValueError(f"{name} must be a finite number of seconds, at least 0, not {shown_time(value)}")


def check_period(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is a finite number of seconds above 0."""
    check_seconds(name, value)
    if value == 0:
        raise ValueError(f"{name} must be more than 0 seconds")


def check_flag(name: str, value: object) -> None:
    """Raise ValueError unless `value` is True or False."""
    if value is not True and value is not False:
        raise ValueError(f"{name} must be True or False, not {shown(value)}")


def check_number(name: str, value: Any, least: float = 0.0) -> None:
    """Raise ValueError unless `value` is a finite number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number, at least {least:g}, not {shown(value)}")


def check_name(name: object) -> None:
    """Raise ValueError unless `name` is None or text that a metric can have as its label."""
    if name is not None:
        series.check_name(name)


def check_bytes(name: str, value: object) -> None:
    """Raise ValueError unless `value` is a whole number of bytes, at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number of bytes, at least 0, not {shown(value)}")


def check_share(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, not {shown(value)}")


def names(name: str, value: Any) -> tuple[str, ...]:
    """Return a string as a tuple of one, and any iterable of strings as a tuple.

    Raises:
        ValueError: It is neither.
    """
    try:
        found = (value,) if isinstance(value, str) else tuple(value)
    except TypeError:
        found = (None,)
    if not all(isinstance(item, str) for item in found):
        raise ValueError(f"{name} must be a string or several of them, not {shown(value)}")
    return found


def check_buckets(value: Any) -> tuple[float, ...]:
    """Return bucket bounds as floats.

    Raises:
        ValueError: They are not finite numbers that rise, or there are none.
    """
    try:
        bounds = tuple(float(bound) for bound in value)
    except (TypeError, ValueError, OverflowError):
        bounds = ()
    if not bounds or not all(map(math.isfinite, bounds)) or any(a >= b for a, b in pairwise(bounds)):
        raise ValueError(f"buckets must be rising finite numbers of seconds, not {shown(value)}")
    return bounds
