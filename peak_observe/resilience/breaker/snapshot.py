"""Immutable snapshots of a breaker's state and counters."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from peak_observe import catalog

if TYPE_CHECKING:
    from peak_observe.resilience.breaker.controller import BreakerController


class CircuitState(Enum):
    """The states of a circuit."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class CircuitBreakerStats(NamedTuple):
    """Counters of a breaker at one moment.

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


def state_of(controller: BreakerController) -> CircuitState:
    """Return the state at this moment."""
    return CircuitState(catalog.STATES[controller.view().circuit.visible_state])


def stats_of(controller: BreakerController) -> CircuitBreakerStats:
    """Return the statistics of this moment."""
    view = controller.view()
    return CircuitBreakerStats(
        failure_count=view.counted.failures,
        success_count=view.calls[0],
        last_failure_time=None if controller.last_failure is None else controller.wall(controller.last_failure),
        last_success_time=controller.last_success_at(),
        state_changes=sum(view.circuit.period.entered),
    )


class BreakerSnapshot(NamedTuple):
    """State and counters of a breaker at one moment.

    Args:
        name: The breaker's name.
        at: The moment, in UTC.
        state: The state; an open circuit that is due for a probe is half-open, one that only observes is disabled.
        since: When the state was entered, in UTC.
        retry_after: Seconds until the next probe; 0.0 where that does not depend on time.
        reopened: How often a probe has failed since the circuit was last closed.
        probes: How many probes are under way.
        failures: Failures that count towards opening: those in a row, or those in the window.
        window_calls: Calls that the window holds; None without a window, as the next three.
        slow_calls: Slow calls in the window.
        failure_ratio: Failures as a share of the calls in the window, 0.0 while it is empty.
        slow_call_ratio: Slow calls as a share of the calls in the window, 0.0 while it is empty.
        succeeded: Calls that succeeded since the breaker was made, as the next three.
        failed: Calls that failed.
        ignored: Calls that ended in a way that says nothing.
        rejected: Calls that were refused.
        seconds: Seconds spent in each state, in the order of `CircuitState`.
        entered: How often each state was entered, in the same order; in mode `observe` how often it would have been.
        mode: `enforce` or `observe`.
        would_be: The state that it would have, in mode `observe`; else None.
        would_refuse: Calls that mode `observe` let pass, and that would have been refused.
    """

    name: str
    at: datetime
    state: CircuitState
    since: datetime
    retry_after: float
    reopened: int
    probes: int
    failures: int
    window_calls: int | None
    slow_calls: int | None
    failure_ratio: float | None
    slow_call_ratio: float | None
    succeeded: int
    failed: int
    ignored: int
    rejected: int
    seconds: tuple[float, ...]
    entered: tuple[int, ...]
    mode: str = "enforce"
    would_be: CircuitState | None = None
    would_refuse: int = 0


def snapshot_of(controller: BreakerController) -> BreakerSnapshot:
    """Return the snapshot of this moment."""
    view = controller.view()
    circuit, counted, at = view.circuit, view.counted, controller.clock.now()
    windowed = circuit.window is not None
    succeeded, failed, ignored, rejected, *observed = view.calls
    return BreakerSnapshot(
        name=controller.name,
        at=at,
        state=CircuitState(catalog.STATES[circuit.visible_state]),
        since=at - timedelta(seconds=max(0.0, view.now - circuit.period.since)),
        retry_after=circuit.retry_after(view.now),
        reopened=circuit.reopened,
        probes=view.in_flight,
        failures=counted.failures,
        window_calls=counted.calls if windowed else None,
        slow_calls=counted.slow if windowed else None,
        failure_ratio=counted.failure_ratio if windowed else None,
        slow_call_ratio=counted.slow_ratio if windowed else None,
        succeeded=succeeded,
        failed=failed,
        ignored=ignored,
        rejected=rejected,
        seconds=tuple(circuit.period.seconds_at(view.now)),
        entered=tuple(circuit.period.entered),
        mode=circuit.settings.mode,
        would_be=CircuitState(catalog.STATES[circuit.state]) if controller.observes else None,
        would_refuse=sum(observed),
    )
