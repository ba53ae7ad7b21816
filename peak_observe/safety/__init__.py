"""Trading safety: what stops trading, never what trades."""

from peak_observe.safety.dead_man_switch import DeadManSwitch
from peak_observe.safety.single_instance import SingleInstance, only_one

__all__ = ["DeadManSwitch", "SingleInstance", "only_one"]
