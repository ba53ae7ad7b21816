"""Durations written by people, such as `90min` or `26h`."""

from __future__ import annotations

import re

from peak_observe.support.shown import shown

UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)?")


def seconds(value: float | str) -> float:
    """Return a time in seconds, which may be written as `90min`, `24h`, `7d` or `2w`.

    Raises:
        ValueError: It is no such time, or not more than 0.
    """
    match = _DURATION.fullmatch(str(value).strip())
    found = float(match[1]) * UNITS[match[2] or "s"] if match else 0.0
    if found <= 0:
        raise ValueError(
            f"it has to be more than 0 seconds, or a time like '24h' ({', '.join(UNITS)}), not {shown(value)}"
        )
    return found
