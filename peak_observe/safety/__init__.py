"""Trading safety: the switch that halts trading, and the guards that trip it; nothing here trades."""
"""Trading safety: what stops trading; nothing here trades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.safety.loss_guard import LossGuard
    from peak_observe.safety.order_guard import OrderGuard
    from peak_observe.safety.shutdown import stopping
    from peak_observe.safety.switch_file import TradingState
    from peak_observe.safety.trading_switch import TradingSwitch

__all__ = [
    "LossGuard",
    "OrderGuard",
    "TradingState",
    "TradingSwitch",
    "stopping",
]

_LATE = {
    "LossGuard": "loss_guard",
    "OrderGuard": "order_guard",
    "TradingState": "switch_file",
    "TradingSwitch": "trading_switch",
    "stopping": "shutdown",
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
