"""Reports of results: verdict, status, the JSON report, and the `application/health+json` form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from peak_observe.resilience.health.result import HealthCheckResult

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"
PASS, WARN, FAIL = "pass", "warn", "fail"
WORDS = {HEALTHY: PASS, DEGRADED: WARN, UNHEALTHY: FAIL}


def verdict(results: Iterable[HealthCheckResult]) -> str:
    """Return `healthy`, `degraded` if only checks that are not critical fail, or `unhealthy`."""
    failed = [result for result in results if not result.healthy]
    if not failed:
        return HEALTHY
    return UNHEALTHY if any(result.critical for result in failed) else DEGRADED


def status(results: Mapping[str, HealthCheckResult], at: datetime) -> dict[str, Any]:
    """Return what `get_status()` tells; `healthy` is True also when the system is degraded."""
    found = verdict(results.values())
    return {"healthy": found != UNHEALTHY, "status": found, **_facts(results, at), "summary": _summary(results)}


def as_json(results: Mapping[str, HealthCheckResult], at: datetime) -> dict[str, Any]:
    """Return the report that `peak-observe health` writes."""
    summary = {**_summary(results), "healthy": verdict(results.values()) != UNHEALTHY}
    return {**_facts(results, at), "summary": summary}


def as_health_json(results: Mapping[str, HealthCheckResult], at: datetime) -> dict[str, Any]:
    """Return the same in the form `application/health+json` (IETF draft-inadarei-api-health-check-06)."""
    return {
        "status": WORDS[verdict(results.values())],
        "releaseId": __version__,
        "time": at.isoformat(timespec="seconds"),
        "checks": {f"{name}:duration": [_measured(result)] for name, result in results.items()},
    }


def _facts(results: Mapping[str, HealthCheckResult], at: datetime) -> dict[str, Any]:
    checks = {name: result.to_dict() for name, result in results.items()}
    return {"timestamp": at.isoformat(timespec="seconds"), "checks": checks}


def _summary(results: Mapping[str, HealthCheckResult]) -> dict[str, Any]:
    passed = sum(result.healthy for result in results.values())
    return {"total": len(results), "passed": passed, "failed": len(results) - passed}


def _measured(result: HealthCheckResult) -> dict[str, Any]:
    word = PASS if result.healthy else FAIL if result.critical else WARN
    measured = {
        "status": word,
        "observedValue": round(result.duration, 6),
        "observedUnit": "s",
        "time": result.timestamp.isoformat(timespec="seconds"),
    }
    # The draft wants no output of checks that passed.
    output = {} if result.healthy else {"output": result.message}
    details = {"details": result.details} if result.details else {}
    return {**measured, **output, **details}
