"""The plain counts a primitive keeps about itself, and the names under which they are read.

Counting costs one C call that the interpreter makes atomic; sorting into buckets and adding up happens in batches and
when somebody reads. Primitives of one name add up; what they counted stays when they are gone.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from bisect import bisect_left
from copy import copy
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, Self, TypeVar

from peak_observe import catalog
from peak_observe.events import NamesOverflowed, emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BATCH = 512
NAME_LIMIT = 1000
EXCEPTION_LIMIT = 20
OVERFLOW = "_overflow"
OTHER = "_other"


class Exemplar(NamedTuple):
    """One observed value with the trace it belongs to (OpenMetrics)."""

    trace_id: str
    span_id: str
    value: float
    timestamp: float


class Ticker:
    """A counter of which threads lose nothing, without a lock.

    `tick()` is one call into C. A read takes a ticket too, and the tickets of all reads are taken off again.
    """

    __slots__ = ("_reads", "tick")

    def __init__(self) -> None:
        self.tick = itertools.count().__next__
        self._reads = 0

    def value(self) -> int:
        """Return how often `tick()` was called; for one thread at a time, with the owner's lock held."""
        count = self.tick() - self._reads
        self._reads += 1
        return count


class CallCounts:
    """Calls by outcome and by duration.

    Successful calls are appended to `pending` as durations (atomic, no lock); everything else is called with the
    owner's lock held. Lists and mappings are replaced, never changed, so a reading can keep them as they are.

    Args:
        bounds: Upper bounds of the latency buckets in seconds, rising.
    """

    __slots__ = ("bounds", "bucket_exemplars", "buckets", "duration_sum", "exemplars", "outcomes", "pending")

    def __init__(self, bounds: tuple[float, ...] = catalog.BUCKETS) -> None:
        self.pending: list[float] = []
        self.bounds = bounds
        self.outcomes = [0] * len(catalog.CALL_OUTCOMES)
        self.buckets = [0] * (len(bounds) + 1)
        self.duration_sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        self.bucket_exemplars: dict[int, Exemplar] = {}

    def add(self, outcome: int, seconds: float | None = None, exemplar: Exemplar | None = None) -> None:
        """Count one call; without `seconds` it was never made."""
        self.outcomes = increased(self.outcomes, outcome)
        if exemplar is not None:
            self.exemplars = {**self.exemplars, outcome: exemplar._replace(value=1.0)}
        if seconds is not None:
            bucket = bisect_left(self.bounds, seconds)
            self.buckets = increased(self.buckets, bucket)
            self.duration_sum += seconds
            if exemplar is not None:
                self.bucket_exemplars = {**self.bucket_exemplars, bucket: exemplar}

    def fold(self) -> None:
        """Sort the pending successes into the buckets."""
        count = len(self.pending)
        if not count:
            return
        batch = self.pending[:count]
        buckets = list(self.buckets)
        if max(batch) <= self.bounds[0]:
            buckets[0] += count  # calls short enough to feel this loop mostly end up here
        else:
            for seconds in batch:
                buckets[bisect_left(self.bounds, seconds)] += 1
        total = sum(batch)
        outcomes = increased(self.outcomes, 0, count)
        # No call stands below: Python runs signal handlers at calls and jumps, so Ctrl-C cannot tear this apart.
        del self.pending[:count]
        self.buckets = buckets
        self.duration_sum += total
        self.outcomes = outcomes


def increased(counts: list[int], index: int, by: int = 1) -> list[int]:
    """Return a copy of `counts` in which one of them is higher."""
    counts = counts.copy()
    counts[index] += by
    return counts


class RetryCounts:
    """Operations by outcome and what they cost; first tries are a `Ticker` beside it.

    Changed with the owner's lock held; mappings are replaced, never changed.
    """

    __slots__ = ("backoff_seconds", "calls", "errors", "exemplars", "retries")

    def __init__(self) -> None:
        self.calls = [0] * len(catalog.RETRY_OUTCOMES)
        self.retries = 0
        self.backoff_seconds = 0.0
        self.errors: dict[str, int] = {}
        self.exemplars: dict[int, Exemplar] = {}


class BreakerReading:
    """What a breaker, or all breakers of a name, have to tell at one moment.

    Lists follow the order of `catalog.STATES` and `catalog.CALL_OUTCOMES`; `state` is an index into the former, or
    None when no breaker of the name lives any more. Buckets are not cumulative.
    """

    __slots__ = (
        "bounds",
        "bucket_exemplars",
        "buckets",
        "calls",
        "duration_sum",
        "exemplars",
        "failure_threshold",
        "last_transition",
        "recovery_timeout",
        "state",
        "state_seconds",
        "transitions",
    )

    bounds: tuple[float, ...]
    state: int | None
    calls: list[int]
    buckets: list[int]
    duration_sum: float
    transitions: list[int]
    state_seconds: list[float]
    last_transition: float
    failure_threshold: int
    recovery_timeout: float
    exemplars: dict[int, Exemplar]
    bucket_exemplars: dict[int, Exemplar]

    # The order in which states hide each other where a name is shared: the worst one shows.
    _SEVERITY = (1, 4, 3, 5, 0)

    def add(self, other: BreakerReading) -> None:
        """Take in another reading of the same name; settings are those of the later one."""
        self.calls = _sums(self.calls, other.calls)
        self.buckets = _sums(self.buckets, other.buckets)
        self.transitions = _sums(self.transitions, other.transitions)
        self.state_seconds = [a + b for a, b in zip(self.state_seconds, other.state_seconds, strict=True)]
        self.duration_sum += other.duration_sum
        self.last_transition = max(self.last_transition, other.last_transition)
        self.failure_threshold = other.failure_threshold
        self.recovery_timeout = other.recovery_timeout
        self.exemplars = self.exemplars | other.exemplars
        self.bucket_exemplars = self.bucket_exemplars | other.bucket_exemplars
        if other.state is not None and (self.state is None or self._SEVERITY[other.state] > self._SEVERITY[self.state]):
            self.state = other.state

    def since(self, other: BreakerReading) -> tuple[bool, bool, bool]:
        """Return whether calls, state and settings differ from an earlier reading."""
        return (
            self.calls != other.calls,
            self.transitions != other.transitions or self.state != other.state,
            self.failure_threshold != other.failure_threshold or self.recovery_timeout != other.recovery_timeout,
        )

    def retire(self) -> None:
        """Forget what only the living have."""
        self.state = None


class RetryReading:
    """What a retry, or all retries of a name, have to tell; `calls` follows `catalog.RETRY_OUTCOMES`."""

    __slots__ = ("backoff_seconds", "calls", "errors", "exemplars", "max_attempts", "retries")

    calls: list[int]
    retries: int
    backoff_seconds: float
    errors: dict[str, int]
    max_attempts: int
    exemplars: dict[int, Exemplar]

    def add(self, other: RetryReading) -> None:
        """Take in another reading of the same name; settings are those of the later one."""
        self.calls = _sums(self.calls, other.calls)
        self.retries += other.retries
        self.backoff_seconds += other.backoff_seconds
        self.max_attempts = other.max_attempts
        self.exemplars = self.exemplars | other.exemplars
        kinds = (*self.errors, *other.errors)
        self.errors = {kind: self.errors.get(kind, 0) + other.errors.get(kind, 0) for kind in kinds}

    def since(self, other: RetryReading) -> tuple[bool, bool, bool]:
        """Return whether calls, attempts and settings differ from an earlier reading."""
        return (
            self.calls != other.calls,
            (self.retries, self.backoff_seconds, self.errors) != (other.retries, other.backoff_seconds, other.errors),
            self.max_attempts != other.max_attempts,
        )

    def retire(self) -> None:
        """Keep everything: a retry has no state of its own."""


def _sums(left: Iterable[int], right: Iterable[int]) -> list[int]:
    return [a + b for a, b in zip(left, right, strict=True)]


class Reading(Protocol):
    """What the sum over a name needs of a reading."""

    def add(self, other: Self, /) -> None:
        """Take in another reading of the same name."""
        ...

    def retire(self) -> None:
        """Forget what only the living have."""
        ...


R = TypeVar("R", bound=Reading)


class Series(Generic[R]):
    """All primitives of one name: the living, and the sum of those that are gone.

    Args:
        name: The label value.
        bounds: Upper bounds of the latency buckets, the same for all of the name.
    """

    def __init__(self, name: str, bounds: tuple[float, ...]) -> None:
        self.name = name
        self.bounds = bounds
        self._retired: R | None = None
        self._members: list[tuple[weakref.ref[object], Callable[[], R]]] = []
        self._exceptions: set[str] = set()
        self._lock = threading.Lock()
        self._sweep_at = 16

    def join(self, owner: object, read: Callable[[], R]) -> None:
        """Count what `read` tells as long as `owner` lives, and its last word after that; `read` must not hold it."""
        with self._lock:
            self._members.append((weakref.ref(owner), read))
            if len(self._members) >= self._sweep_at:
                self._sweep()
                self._sweep_at = 2 * len(self._members) + 16

    def owners(self) -> list[object]:
        """Return the living primitives, oldest first."""
        with self._lock:
            members = list(self._members)
        return [owner for ref, _ in members if (owner := ref()) is not None]

    def exception_label(self, exception: str) -> str:
        """Return the class name to count an exception under: its own, or `_other` when there are 20 already."""
        with self._lock:
            if exception not in self._exceptions:
                if len(self._exceptions) >= EXCEPTION_LIMIT:
                    return OTHER
                self._exceptions.add(exception)
        return exception

    def read(self) -> R | None:
        """Return the sum of all members at this moment; None before there was one."""
        with self._lock:
            if len(self._members) == 1 and self._retired is None and self._members[0][0]() is not None:
                return self._members[0][1]()
            self._sweep()
            readings = [read() for _, read in self._members]
            if self._retired is not None:
                readings.insert(0, copy(self._retired))
        if not readings:
            return None
        total = readings[0]
        for reading in readings[1:]:
            total.add(reading)
        return total

    def _sweep(self) -> None:
        if all(ref() is not None for ref, _ in self._members):
            return
        living = []
        for ref, read in self._members:
            if ref() is not None:
                living.append((ref, read))
            elif self._retired is None:
                self._retired = read()
                self._retired.retire()
            else:
                self._retired.add(read())
                self._retired.retire()
        self._members = living


class Names(Generic[R]):
    """The bounded table of the names of one kind.

    Args:
        kind: What is named, for the warning: `breaker`, `operation`.
        limit: How many names get series of their own.
    """

    def __init__(self, kind: str, limit: int = NAME_LIMIT) -> None:
        self.kind = kind
        self.limit = limit
        self._series: dict[str, Series[R]] = {}
        self._lock = threading.Lock()

    def series(self, name: str, bounds: tuple[float, ...] = ()) -> Series[R]:
        """Return the series of `name`, made when it is new.

        Raises:
            ValueError: The name is not a string that UTF-8 can hold, or was used with other buckets before.
        """
        check_name(name)
        with self._lock:
            full = name not in self._series and len(self._series) >= self.limit
            key = OVERFLOW if full else name
            first_too_many = full and OVERFLOW not in self._series
            found = self._series.setdefault(key, Series(key, bounds))
        if first_too_many:
            emit(NamesOverflowed(self.kind, name, self.limit))
        if not full and found.bounds != bounds:
            raise ValueError(
                f"buckets of {self.kind} {name!r} are {found.bounds} already: use the same or another name"
            )
        return found

    def known(self) -> list[Series[R]]:
        """Return all series in the order of their creation."""
        with self._lock:
            return list(self._series.values())

    def get(self, name: str) -> Series[R] | None:
        """Return the series of `name` if there is one."""
        return self._series.get(name)

    def read(self) -> list[tuple[str, R]]:
        """Return every name with its reading."""
        pairs = ((series.name, series.read()) for series in self.known())
        return [(name, reading) for name, reading in pairs if reading is not None]


def check_name(name: object) -> None:
    """Raise ValueError unless `name` can be a label value."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be a string that is not empty, not {name!r}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"name {name!r} cannot be written as UTF-8") from None


BREAKERS: Names[BreakerReading] = Names("breaker")
RETRIES: Names[RetryReading] = Names("operation")
