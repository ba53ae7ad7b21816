"""Circuit and counters of one moment, for readings and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peak_observe.resilience.breaker.sliding_window import Totals
    from peak_observe.resilience.breaker.state_machine import Circuit


class CircuitView:
    """Circuit and counters of one moment.

    Args:
        circuit: A copy of its circuit.
        counted: What counts towards opening.
        in_flight: How many probes are under way.
        calls: Calls by outcome.
        now: The moment, as a second of the monotonic clock.
    """

    __slots__ = ("calls", "circuit", "counted", "in_flight", "now")

    def __init__(self, circuit: Circuit, counted: Totals, in_flight: int, calls: list[int], now: float) -> None:
        self.circuit = circuit
        self.counted = counted
        self.in_flight = in_flight
        self.calls = calls
        self.now = now
