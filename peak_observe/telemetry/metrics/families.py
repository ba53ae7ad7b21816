"""How the readings of all names become the samples of the catalogue's families."""

from __future__ import annotations

import math
import platform
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client.utils import floatToGoString

from peak_observe import catalog
from peak_observe._version import __version__
from peak_observe.measures import BACKUPS, BREAKERS, BUDGETS, CHECKS, JOBS, RETRIES, BreakerReading, Exemplar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MILLION = 1e6
Labels = tuple[tuple[str, str], ...]


def number(value: float) -> str:
    """Return a value as Prometheus writes it: from a million on with an exponent, which `repr` would not."""
    if value < MILLION:
        return repr(float(value))
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call] # the library's helpers have no types
    return text


def numbers(values: Sequence[float]) -> tuple[float | str, ...]:
    """Return values as `%s` has to be given them; below a million that is what it makes of a float itself."""
    # A sum is below a million only if all are, as just gauges of one value go below 0; with a NaN it never is.
    if sum(values) < MILLION:
        return tuple(map(float, values))
    return tuple(map(number, values))


CALLS, CHANGES, SETTINGS = range(3)
ATTEMPTS = CHANGES


class Family(NamedTuple):
    """One metric and how a reading fills it.

    Args:
        metric: Its entry in the catalogue.
        values: Returns the values of a name's series.
        second: Returns the values of the second label in the same order; None where there is one label only.
        exemplars: Returns exemplars by the position of their sample.
        follows: Which part of a reading's `since()` the values change with; None where time alone changes them.
    """

    metric: catalog.Metric
    values: Callable[[Any], Sequence[float]]
    second: Callable[[Any], Iterable[str]] | None = None
    exemplars: Callable[[Any], Mapping[int, Exemplar]] | None = None
    follows: int | None = CALLS

    def rows(self, name: str, reading: Any) -> list[tuple[str, Labels]]:
        """Return sample name and labels of each value, labels in alphabetical order."""
        first = (self.metric.labels[0], name)
        if self.metric.kind == "histogram":
            bounds = [number(bound) for bound in (*reading.bounds, math.inf)]
            buckets = [(f"{self.metric.name}_bucket", (first, ("le", bound))) for bound in bounds]
            return [*buckets, (f"{self.metric.name}_count", (first,)), (f"{self.metric.name}_sum", (first,))]
        if self.second is None:
            return [(self.metric.name, (first,))] * len(self.values(reading))
        label = self.metric.labels[1]
        return [(self.metric.name, tuple(sorted((first, (label, value))))) for value in self.second(reading)]


_INDICES = range(len(catalog.STATES))
_ONE_HOT = {state: tuple(float(state == index) for index in _INDICES) for state in (None, *_INDICES)}


def _histogram(reading: Any) -> Sequence[float]:
    cumulative = tuple(accumulate(reading.buckets))
    return (*cumulative, cumulative[-1], reading.duration_sum)


def _living(value: float | None) -> Sequence[float]:
    return () if value is None else (value,)


def _share(window: tuple[int, int, int] | None, part: int) -> Sequence[float]:
    return () if window is None else (window[part] / window[0] if window[0] else 0.0,)


def _states(_: BreakerReading) -> Iterable[str]:
    return catalog.STATES


BREAKER_FAMILIES = (
    Family(catalog.BREAKER_STATE, lambda r: _ONE_HOT[r.state], _states, follows=CHANGES),
    Family(
        catalog.BREAKER_CALLS_TOTAL,
        attrgetter("calls"),
        lambda _: catalog.CALL_OUTCOMES,
        lambda r: r.exemplars,
    ),
    Family(catalog.BREAKER_CALL_DURATION_SECONDS, _histogram, None, lambda r: r.bucket_exemplars),
    Family(catalog.BREAKER_TRANSITIONS_TOTAL, attrgetter("transitions"), _states, follows=CHANGES),
    Family(catalog.BREAKER_LAST_TRANSITION_TIMESTAMP_SECONDS, lambda r: (r.last_transition,), follows=CHANGES),
    Family(catalog.BREAKER_STATE_SECONDS_TOTAL, attrgetter("state_seconds"), _states, follows=None),
    Family(catalog.BREAKER_FAILURE_THRESHOLD, lambda r: _living(r.failure_threshold), follows=SETTINGS),
    Family(catalog.BREAKER_RECOVERY_TIMEOUT_SECONDS, lambda r: (r.recovery_timeout,), follows=SETTINGS),
    Family(catalog.BREAKER_FAILURE_RATIO, lambda r: _share(r.window, 1)),
    Family(catalog.BREAKER_SLOW_CALL_RATIO, lambda r: _share(r.window, 2)),
)
RETRY_FAMILIES = (
    Family(
        catalog.RETRY_CALLS_TOTAL,
        attrgetter("calls"),
        lambda _: catalog.RETRY_OUTCOMES,
        lambda r: r.exemplars,
    ),
    Family(catalog.RETRY_RETRIES_TOTAL, lambda r: (r.retries,), follows=ATTEMPTS),
    Family(
        catalog.RETRY_ERRORS_TOTAL,
        lambda r: [r.errors[kind] for kind in sorted(r.errors)],
        lambda r: sorted(r.errors),
        follows=ATTEMPTS,
    ),
    Family(catalog.RETRY_BACKOFF_SECONDS_TOTAL, lambda r: (r.backoff_seconds,), follows=ATTEMPTS),
    Family(catalog.RETRY_NESTED_TOTAL, lambda r: (r.nested,), follows=ATTEMPTS),
    Family(catalog.RETRY_MAX_ATTEMPTS, lambda r: (r.max_attempts,), follows=SETTINGS),
)
BUDGET_FAMILIES = (Family(catalog.RETRY_BUDGET_TOKENS, lambda r: _living(r.tokens), follows=None),)
HEALTH_FAMILIES = (
    Family(catalog.HEALTH_CHECK_HEALTHY, lambda r: _living(r.healthy), follows=CHANGES),
    Family(catalog.HEALTH_CHECK_DURATION_SECONDS, _histogram, None, lambda r: r.bucket_exemplars),
    Family(
        catalog.HEALTH_CHECK_RUNS_TOTAL,
        attrgetter("runs"),
        lambda _: catalog.HEALTH_OUTCOMES,
        lambda r: r.exemplars,
    ),
    Family(catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS, lambda r: _living(r.last_run), follows=CHANGES),
)


def _of_kinds(metric: catalog.Metric, value: Callable[[Any], float]) -> Family:
    """Return the family of something that each part of a backup has."""
    return Family(metric, lambda r: [value(kind) for kind in r.kinds.values()], lambda r: list(r.kinds))


def _of_outcomes(metric: catalog.Metric, name: str) -> Family:
    return Family(metric, attrgetter(name), lambda _: catalog.BACKUP_OUTCOMES)


def _one(metric: catalog.Metric, name: str) -> Family:
    """Return the family of a single value, which may not be there."""
    return Family(metric, lambda r: _living(getattr(r, name)))


BACKUP_FAMILIES = (
    _of_kinds(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS, attrgetter("last_success")),
    _of_kinds(catalog.BACKUP_AGE_SECONDS, attrgetter("age")),
    _of_kinds(catalog.BACKUP_SIZE_BYTES, attrgetter("size_bytes")),
    _of_kinds(catalog.BACKUP_FILES, attrgetter("files")),
    _of_kinds(catalog.BACKUP_LAST_DURATION_SECONDS, attrgetter("duration")),
    _one(catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS, "configured"),
    _one(catalog.BACKUP_LAST_ATTEMPT_TIMESTAMP_SECONDS, "last_attempt"),
    _one(catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS, "running_since"),
    _one(catalog.BACKUP_MAX_AGE_SECONDS, "max_age"),
    _one(catalog.BACKUP_STORED_BYTES, "stored_bytes"),
    Family(catalog.BACKUP_STORED, attrgetter("count"), lambda _: catalog.BACKUP_STATUSES),
    _of_outcomes(catalog.BACKUP_RUNS_TOTAL, "runs"),
    _of_outcomes(catalog.BACKUP_RESTORES_TOTAL, "restores"),
    _one(catalog.BACKUP_LAST_VERIFIED_TIMESTAMP_SECONDS, "last_verified"),
    _one(catalog.BACKUP_CORRUPT_FILES, "corrupt_files"),
)
JOB_FAMILIES = (
    Family(catalog.JOB_RUNS_TOTAL, attrgetter("runs"), lambda _: catalog.JOB_OUTCOMES),
    _one(catalog.JOB_LAST_SUCCESS_TIMESTAMP_SECONDS, "last_success"),
    _one(catalog.JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS, "last_attempt"),
    _one(catalog.JOB_LAST_DURATION_SECONDS, "last_duration"),
    _one(catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS, "running_since"),
)
BUILD_LABELS: Labels = (("python", platform.python_version()), ("version", __version__))

Readings = list[tuple[str, Any]]


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of each kind of primitive with the readings of all names."""
    from peak_observe.telemetry.metrics import (  # late, as their families are made of ours
        exchange_families,
        limit_families,
    )

    breakers: Readings = BREAKERS.read()
    retries: Readings = RETRIES.read()
    budgets: Readings = BUDGETS.read()
    checks: Readings = CHECKS.read()
    jobs: Readings = JOBS.read()
    backups: Readings = BACKUPS.read()
    kinds: list[tuple[tuple[Family, ...], Readings]] = [
        (BREAKER_FAMILIES, breakers),
        (RETRY_FAMILIES, retries),
        (BUDGET_FAMILIES, budgets),
        *limit_families.read(),
        (HEALTH_FAMILIES, checks),
        (JOB_FAMILIES, jobs),
        (BACKUP_FAMILIES, backups),
    ]
    return [*kinds, *exchange_families.read()]
