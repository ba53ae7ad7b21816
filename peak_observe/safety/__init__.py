"""Trading safety: the switch that halts trading, and the guards that trip it; nothing here trades."""

from __future__ import annotations

from peak_observe.support.lazy_import import late

__all__: list[str] = []

_LATE: dict[str, str] = {}

__getattr__ = late(__name__, _LATE)
