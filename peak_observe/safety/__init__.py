"""Trading safety: what stops trading, never what trades."""

from peak_observe.safety.books import Difference
from peak_observe.safety.dead_man_switch import DeadManSwitch
from peak_observe.safety.reconciler import Reconciler
from peak_observe.safety.single_instance import SingleInstance, only_one

__all__ = ["DeadManSwitch", "Difference", "Reconciler", "SingleInstance", "only_one"]
