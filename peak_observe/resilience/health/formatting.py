"""Text of sizes and durations for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Outcome: TypeAlias = tuple[bool, str, dict[str, Any]]
CheckFunction: TypeAlias = Callable[[], Outcome]

FUTURE = 60.0  # seconds by which clocks that are compared may differ
KIBI = 1024
THREE_DIGITS = 999.5
SECONDS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def size(count: float) -> str:
    """Return bytes with a binary prefix and three digits: `1.46 GiB`."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while count >= KIBI and len(units) > 1:
        count /= KIBI
        units.pop(0)
    return f"{count:.3g} {units[0]}" if count < THREE_DIGITS else f"{count:.0f} {units[0]}"


def seconds(value: float) -> str:
    """Return a time in its largest unit: `12.0 s`, `3.5 h`."""
    for length, unit in SECONDS:
        if abs(value) >= length:
            return f"{value / length:.1f} {unit}"
    return f"{value:.1f} s"
