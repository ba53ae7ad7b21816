"""Metric families of all primitives with the readings of all names."""

from __future__ import annotations

import math
import platform
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe._version import __version__
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.measures import BACKUPS, BREAKERS, BUDGETS, CHECKS, JOBS, RETRIES, BreakerReading
from peak_observe.support import process_start
from peak_observe.telemetry.metrics import (
    exchange_families,
    limit_families,
    offsite_families,
    order_families,
    result_families,
    safety_families,
    safety_venue_families,
    shared_families,
    strategy_families,
    stream_families,
)
from peak_observe.telemetry.metrics.family import (
    ATTEMPTS,
    CHANGES,
    SETTINGS,
    Family,
    Labels,
    Readings,
    histogram,
    living,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_INDICES = range(len(catalog.STATES))
_ONE_HOT = {state: tuple(float(state == index) for index in _INDICES) for state in (None, *_INDICES)}


def _share(window: tuple[int, int, int] | None, part: int) -> Sequence[float]:
    return () if window is None else (window[part] / window[0] if window[0] else 0.0,)


def _states(_: BreakerReading) -> Iterable[str]:
    return catalog.STATES


BREAKER_FAMILIES = (
    Family(catalog.BREAKER_STATE, lambda r: _ONE_HOT[r.state], _states, follows=CHANGES),
    Family(
        catalog.BREAKER_CALLS_TOTAL,
        attrgetter("calls"),
        lambda r: catalog.OBSERVED_CALL_OUTCOMES[: len(r.calls)],
        lambda r: r.exemplars,
    ),
    Family(catalog.BREAKER_CALL_DURATION_SECONDS, histogram, None, lambda r: r.bucket_exemplars),
    Family(catalog.BREAKER_TRANSITIONS_TOTAL, attrgetter("transitions"), _states, follows=CHANGES),
    Family(catalog.BREAKER_LAST_TRANSITION_TIMESTAMP_SECONDS, lambda r: (r.last_transition,), follows=CHANGES),
    Family(catalog.BREAKER_STATE_SECONDS_TOTAL, attrgetter("state_seconds"), _states, follows=None),
    Family(catalog.BREAKER_FAILURE_THRESHOLD, lambda r: living(r.failure_threshold), follows=SETTINGS),
    Family(catalog.BREAKER_RECOVERY_TIMEOUT_SECONDS, lambda r: (r.recovery_timeout,), follows=SETTINGS),
    Family(catalog.BREAKER_FAILURE_RATIO, lambda r: _share(r.window, 1)),
    Family(catalog.BREAKER_SLOW_CALL_RATIO, lambda r: _share(r.window, 2)),
)
RETRY_FAMILIES = (
    Family(
        catalog.RETRY_CALLS_TOTAL,
        attrgetter("calls"),
        lambda r: catalog.OBSERVED_RETRY_OUTCOMES[: len(r.calls)],
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
BUDGET_FAMILIES = (Family(catalog.RETRY_BUDGET_TOKENS, lambda r: living(r.tokens), follows=None),)
HEALTH_FAMILIES = (
    Family(catalog.HEALTH_CHECK_HEALTHY, lambda r: living(r.healthy), follows=CHANGES),
    Family(catalog.HEALTH_CHECK_DURATION_SECONDS, histogram, None, lambda r: r.bucket_exemplars),
    Family(
        catalog.HEALTH_CHECK_RUNS_TOTAL,
        attrgetter("runs"),
        lambda _: catalog.HEALTH_OUTCOMES,
        lambda r: r.exemplars,
    ),
    Family(catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS, lambda r: living(r.last_run), follows=CHANGES),
    Family(catalog.HEALTH_CHECK_INTERVAL_SECONDS, lambda r: living(r.interval), follows=CHANGES),
)


def _of_kinds(metric: catalog.Metric, value: Callable[[Any], float]) -> Family:
    """Return the family of something that each part of a backup has."""
    return Family(metric, lambda r: [value(kind) for kind in r.kinds.values()], lambda r: list(r.kinds))


def _of_outcomes(metric: catalog.Metric, name: str) -> Family:
    return Family(metric, attrgetter(name), lambda _: catalog.BACKUP_OUTCOMES)


def _one(metric: catalog.Metric, name: str) -> Family:
    """Return the family of a single value, which may not be there."""
    return Family(metric, lambda r: living(getattr(r, name)))


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
    Family(catalog.JOB_MAX_AGE_SECONDS, lambda r: (math.nan if r.max_age is None else r.max_age,)),
    _one(catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS, "running_since"),
)
BUILD_LABELS: Labels = (("python", platform.python_version()), ("version", __version__))


def about_process() -> tuple[tuple[catalog.Metric, Labels, float], ...]:
    """Return what is told of this process itself: metric, labels and value."""
    return (
        (catalog.OBSERVE_BUILD_INFO, BUILD_LABELS, 1.0),
        (catalog.OBSERVE_START_TIME_SECONDS, (), process_start.started()),
        (catalog.OBSERVE_TIME_SECONDS, (), SYSTEM_CLOCK.now().timestamp()),
    )


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of each kind of primitive with the readings of all names."""
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
        *shared_families.read(),
        *result_families.read(),
        *strategy_families.read(),
        (HEALTH_FAMILIES, checks),
        (JOB_FAMILIES, jobs),
        (BACKUP_FAMILIES, backups),
        (offsite_families.OFFSITE_FAMILIES, backups),
    ]
    pages = (exchange_families, order_families, stream_families, safety_families, safety_venue_families)
    return [*kinds, *(pair for page in pages for pair in page.read())]
