"""Durations written by people, such as `90min` or `26h`."""

from __future__ import annotations

import re

from peak_observe.support.shown import shown

UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
LONGEST = 36_500 * 86_400
"""Seconds of a hundred years: clocks and calendars end not far beyond."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)?")


def seconds(value: float | str) -> float:
    """Return a time in seconds, which may be written as `90min`, `24h`, `7d` or `2w`.

    Raises:
        ValueError: It is no such time, not more than 0, or more than a hundred years.
    """
    found = _written(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, int | float) or not found > 0:
        raise ValueError(
            f"it has to be more than 0 seconds, or a time like '24h' ({', '.join(UNITS)}), not {shown(value)}"
        )
    if found > LONGEST:
        raise ValueError(f"it has to be at most a hundred years ({LONGEST // UNITS['d']}d), not {shown(value)}")
    return float(found)


def _written(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * UNITS[match[2] or "s"] if match else 0.0
