"""Readings of breakers, retries and health checks; readings of one name add up."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peak_observe.measures.counts import Exemplar


class BreakerReading:
    """Reading of a breaker, or of all breakers of a name.

    Lists follow the order of `catalog.STATES` and `catalog.OBSERVED_CALL_OUTCOMES`; `state` is an index into the
    former, or None when no breaker of the name lives any more. Buckets are not cumulative. `window` is how many calls,
    failures and slow calls the window holds, None where there is none; `failure_threshold` is None where there is one.
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
        "window",
    )

    bounds: tuple[float, ...]
    state: int | None
    calls: list[int]
    buckets: list[int]
    duration_sum: float
    transitions: list[int]
    state_seconds: list[float]
    last_transition: float
    failure_threshold: int | None
    recovery_timeout: float
    window: tuple[int, int, int] | None
    exemplars: dict[int, Exemplar]
    bucket_exemplars: dict[int, Exemplar]

    # The order in which states hide each other where a name is shared: the worst one shows.
    _SEVERITY = (1, 4, 3, 5, 0)

    def add(self, other: BreakerReading) -> None:
        """Take in another reading of the same name; settings are those of the later one."""
        self.calls = _all_sums(self.calls, other.calls)
        self.buckets = _sums(self.buckets, other.buckets)
        self.transitions = _sums(self.transitions, other.transitions)
        self.state_seconds = [a + b for a, b in zip(self.state_seconds, other.state_seconds, strict=True)]
        self.duration_sum += other.duration_sum
        self.last_transition = max(self.last_transition, other.last_transition)
        self.failure_threshold = other.failure_threshold
        self.recovery_timeout = other.recovery_timeout
        if other.window is not None:
            calls, failures, slow = self.window or (0, 0, 0)
            self.window = (calls + other.window[0], failures + other.window[1], slow + other.window[2])
        self.exemplars = self.exemplars | other.exemplars
        self.bucket_exemplars = self.bucket_exemplars | other.bucket_exemplars
        if other.state is not None and (self.state is None or self._SEVERITY[other.state] > self._SEVERITY[self.state]):
            self.state = other.state

    def since(self, other: BreakerReading) -> tuple[bool, bool, bool]:
        """Return whether calls, state and settings differ from an earlier reading."""
        # Tuples compare what is the same object at once, which the lists of an idle primitive are.
        calls = (self.calls, self.buckets, self.duration_sum, self.window)
        state = (self.transitions, self.state, self.last_transition)
        settings = (self.failure_threshold, self.recovery_timeout)
        return (
            calls != (other.calls, other.buckets, other.duration_sum, other.window),
            state != (other.transitions, other.state, other.last_transition),
            settings != (other.failure_threshold, other.recovery_timeout),
        )

    def retire(self) -> None:
        """Forget what only the living have."""
        self.state = self.window = None


class RetryReading:
    """Reading of a retry, or of all retries of a name; `calls` follows `catalog.OBSERVED_RETRY_OUTCOMES`."""

    __slots__ = ("backoff_seconds", "calls", "errors", "exemplars", "max_attempts", "nested", "retries")

    calls: list[int]
    retries: int
    nested: int
    backoff_seconds: float
    errors: dict[str, int]
    max_attempts: float
    exemplars: dict[int, Exemplar]

    def add(self, other: RetryReading) -> None:
        """Take in another reading of the same name; settings are those of the later one."""
        self.calls = _all_sums(self.calls, other.calls)
        self.retries += other.retries
        self.nested += other.nested
        self.backoff_seconds += other.backoff_seconds
        self.max_attempts = other.max_attempts
        self.exemplars = self.exemplars | other.exemplars
        kinds = (*self.errors, *other.errors)
        self.errors = {kind: self.errors.get(kind, 0) + other.errors.get(kind, 0) for kind in kinds}

    def since(self, other: RetryReading) -> tuple[bool, bool, bool]:
        """Return whether calls, attempts and settings differ from an earlier reading."""
        attempts = (self.retries, self.nested, self.backoff_seconds, self.errors)
        return (
            self.calls != other.calls,
            attempts != (other.retries, other.nested, other.backoff_seconds, other.errors),
            self.max_attempts != other.max_attempts,
        )

    def retire(self) -> None:
        """Keep everything: a retry has no state of its own."""


class HealthReading:
    """Reading of a health check, or of all checks of a name; `runs` follows `catalog.HEALTH_OUTCOMES`.

    `healthy` is NaN before the first run. It, `last_run`, a Unix time, and `interval`, the seconds between two runs,
    are None when no check of the name lives.
    `problem` is the message of one that fails, without secrets; empty without one.
    """

    __slots__ = (
        "bounds",
        "bucket_exemplars",
        "buckets",
        "duration_sum",
        "exemplars",
        "healthy",
        "interval",
        "last_run",
        "problem",
        "runs",
    )

    bounds: tuple[float, ...]
    runs: list[int]
    buckets: list[int]
    duration_sum: float
    healthy: float | None
    last_run: float | None
    problem: str
    interval: float | None
    exemplars: dict[int, Exemplar]
    bucket_exemplars: dict[int, Exemplar]

    def add(self, other: HealthReading) -> None:
        """Take in another reading of the same name; the worse one shows."""
        self.problem = self.problem or other.problem
        self.runs = _sums(self.runs, other.runs)
        self.buckets = _sums(self.buckets, other.buckets)
        self.duration_sum += other.duration_sum
        self.exemplars = self.exemplars | other.exemplars
        self.bucket_exemplars = self.bucket_exemplars | other.bucket_exemplars
        self.healthy = _worse(self.healthy, other.healthy)
        self.interval = _worse(self.interval, other.interval)
        if other.last_run is not None:
            self.last_run = max(self.last_run or 0.0, other.last_run)

    def since(self, other: HealthReading) -> tuple[bool, bool, bool]:
        """Return whether runs, state and settings differ from an earlier reading."""
        runs = (self.runs, self.buckets, self.duration_sum)
        state = (self.healthy, self.last_run, repr(self.interval))  # NaN differs from itself
        return (
            runs != (other.runs, other.buckets, other.duration_sum),
            state != (other.healthy, other.last_run, repr(other.interval)),
            False,
        )

    def retire(self) -> None:
        """Forget what only the living have."""
        self.healthy = self.last_run = self.interval = None
        self.problem = ""


def _worse(left: float | None, right: float | None) -> float | None:
    living = [value for value in (left, right) if value is not None]
    return min([value for value in living if not math.isnan(value)] or living, default=None)


def _all_sums(left: Iterable[int], right: Iterable[int]) -> list[int]:
    """Return the sums where one of the two, which has been in mode `observe`, counts an outcome more."""
    return [a + b for a, b in zip_longest(left, right, fillvalue=0)]


def _sums(left: Iterable[int], right: Iterable[int]) -> list[int]:
    return [a + b for a, b in zip(left, right, strict=True)]
