"""What a breaker tells about itself, as frozen records of one moment."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from peak_observe import catalog
from peak_observe.measures import BreakerReading

if TYPE_CHECKING:
    from peak_observe.resilience.circuit import Circuit
    from peak_observe.resilience.core import BreakerCore
    from peak_observe.resilience.windows import Totals


class CircuitState(Enum):
    """The states of a circuit."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class CircuitBreakerStats(NamedTuple):
    """What a breaker has counted, at one moment.

    Args:
        failure_count: Failures that count towards opening now: those in a row, or those in the window.
        success_count: Calls that succeeded since the breaker was made.
        last_failure_time: Unix time in seconds of the last failure, or None.
        last_success_time: Unix time in seconds of the last success, or None.
        state_changes: How often the state changed.
    """

    failure_count: int
    success_count: int
    last_failure_time: float | None
    last_success_time: float | None
    state_changes: int


class View:
    """A breaker at one moment.

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


def reading_of(core: BreakerCore, view: View) -> BreakerReading:
    """Return what Prometheus is told of a moment; with the core's lock held."""
    reading, counts, circuit = BreakerReading(), core.counts, view.circuit
    due_meanwhile = circuit.era is not core.circuit.era
    reading.last_transition = core.wall(circuit.era.since) if due_meanwhile else core.last_transition
    reading.calls = view.calls
    reading.buckets, reading.bounds = counts.buckets, counts.bounds
    reading.duration_sum = counts.duration_sum
    reading.exemplars, reading.bucket_exemplars = counts.exemplars, counts.bucket_exemplars
    reading.state = circuit.state
    reading.state_seconds = circuit.era.seconds_at(view.now)
    reading.transitions = circuit.era.entered
    reading.window = None if circuit.window is None else view.counted
    reading.failure_threshold = circuit.settings.failure_threshold if circuit.window is None else None
    reading.recovery_timeout = core.first_pause
    return reading


def state_of(core: BreakerCore) -> CircuitState:
    """Return the state at this moment."""
    return CircuitState(catalog.STATES[core.view().circuit.state])


def stats_of(core: BreakerCore) -> CircuitBreakerStats:
    """Return the statistics of this moment."""
    view = core.view()
    return CircuitBreakerStats(
        failure_count=view.counted.failures,
        success_count=view.calls[0],
        last_failure_time=None if core.last_failure is None else core.wall(core.last_failure),
        last_success_time=None if core.last_success is None else core.wall(core.last_success),
        state_changes=sum(view.circuit.era.entered),
    )
