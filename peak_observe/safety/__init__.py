"""Trading safety: what stops trading; nothing here trades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.safety.books import Difference
    from peak_observe.safety.dead_man_switch import DeadManSwitch
    from peak_observe.safety.reconciler import Reconciler
    from peak_observe.safety.single_instance import SingleInstance, only_one

__all__ = [
    "DeadManSwitch",
    "Difference",
    "Reconciler",
    "SingleInstance",
    "only_one",
]

_LATE = {
    "DeadManSwitch": "dead_man_switch",
    "Difference": "books",
    "Reconciler": "reconciler",
    "SingleInstance": "single_instance",
    "only_one": "single_instance",
}

__getattr__ = late(__name__, _LATE)
