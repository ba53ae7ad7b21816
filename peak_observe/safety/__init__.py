"""Trading safety: what stops trading; nothing here trades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.safety.books import Difference
    from peak_observe.safety.dead_man_switch import DeadManSwitch
    from peak_observe.safety.loss_guard import LossGuard
    from peak_observe.safety.order_guard import OrderGuard
    from peak_observe.safety.reconciler import Reconciler
    from peak_observe.safety.shutdown import stopping
    from peak_observe.safety.single_instance import SingleInstance, only_one
    from peak_observe.safety.switch_file import TradingState
    from peak_observe.safety.trading_switch import TradingSwitch

__all__ = [
    "DeadManSwitch",
    "Difference",
    "LossGuard",
    "OrderGuard",
    "Reconciler",
    "SingleInstance",
    "TradingState",
    "TradingSwitch",
    "only_one",
    "stopping",
]

_LATE = {
    "DeadManSwitch": "dead_man_switch",
    "Difference": "books",
    "LossGuard": "loss_guard",
    "OrderGuard": "order_guard",
    "Reconciler": "reconciler",
    "SingleInstance": "single_instance",
    "TradingState": "switch_file",
    "TradingSwitch": "trading_switch",
    "only_one": "single_instance",
    "stopping": "shutdown",
}

__getattr__ = late(__name__, _LATE)
