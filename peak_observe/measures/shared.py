"""Reading of the shared state of one namespace; readings of one name add up."""

from __future__ import annotations

import threading

from peak_observe import catalog
from peak_observe.measures import forks

Operations = dict[tuple[str, str], int]


class SharedReading:
    """Counts and gauges of one namespace at one moment; gauges are None when nothing of it lives any more."""

    __slots__ = ("fallback", "lag", "leases", "members", "operations", "resyncs", "transitions", "up", "wait_seconds")

    up: float | None
    fallback: float | None
    lag: float | None
    members: float | None
    operations: list[int]
    transitions: list[int]
    resyncs: list[int]
    leases: list[int]
    wait_seconds: float

    def add(self, other: SharedReading) -> None:
        """Take in another reading of the same namespace: it is as well as the worse of both."""
        for name in ("operations", "transitions", "resyncs", "leases"):
            setattr(self, name, [a + b for a, b in zip(getattr(self, name), getattr(other, name), strict=True)])
        self.wait_seconds += other.wait_seconds
        self.up = _either(min, self.up, other.up)
        for name in ("fallback", "lag", "members"):
            setattr(self, name, _either(max, getattr(self, name), getattr(other, name)))

    def since(self, other: SharedReading) -> tuple[bool, bool, bool]:
        """Return whether anything differs from an earlier reading."""
        changed = any(getattr(self, name) != getattr(other, name) for name in self.__slots__)
        return changed, changed, changed

    def retire(self) -> None:
        """Drop the gauges."""
        self.up = self.fallback = self.lag = self.members = None


def _either(choose: object, mine: float | None, its: float | None) -> float | None:
    known = [value for value in (mine, its) if value is not None]
    return choose(known) if known else None  # type: ignore[operator] # min or max


class SharedTally:
    """Counts of one process about the state that it shares."""

    def __init__(self) -> None:
        self.up = False
        self.lag = 0.0
        self.members = 0
        self._operations = [0] * len(catalog.SHARED_OPERATIONS)
        self._transitions = [0] * len(catalog.SHARED_DIRECTIONS)
        self._resyncs = [0] * len(catalog.SHARED_RESYNCS)
        self._leases = [0] * len(catalog.SHARED_LEASES)
        self._wait_seconds = 0.0
        self._lock = threading.RLock()
        forks.renew(self)

    def count_operation(self, name: str, outcome: str) -> None:
        """Count a step that the engine was asked for."""
        with self._lock:
            self._operations[catalog.SHARED_OPERATIONS.index((name, outcome))] += 1

    def count_transition(self, direction: str) -> None:
        """Count a transition that was told to the others, or taken over from them."""
        with self._lock:
            self._transitions[catalog.SHARED_DIRECTIONS.index(direction)] += 1

    def count_resync(self, reason: str) -> None:
        """Count that all was read anew."""
        with self._lock:
            self._resyncs[catalog.SHARED_RESYNCS.index(reason)] += 1

    def count_lease(self, outcome: str) -> None:
        """Count the claim or the end of a probe lease."""
        with self._lock:
            self._leases[catalog.SHARED_LEASES.index(outcome)] += 1

    def add_wait(self, seconds: float) -> None:
        """Add the time that a call waited for a shared turn."""
        with self._lock:
            self._wait_seconds += seconds

    def read(self) -> SharedReading:
        """Return counts and gauges of this moment."""
        reading = SharedReading()
        with self._lock:
            reading.up, reading.fallback = float(self.up), float(not self.up)
            reading.lag, reading.members = self.lag, float(self.members)
            reading.operations, reading.transitions = self._operations.copy(), self._transitions.copy()
            reading.resyncs, reading.leases = self._resyncs.copy(), self._leases.copy()
            reading.wait_seconds = self._wait_seconds
        return reading

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.RLock()
