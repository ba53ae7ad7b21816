"""What results come to, in each of the forms that leave the program."""

import json
from datetime import UTC, datetime

from peak_observe import HealthCheckResult, __version__
from peak_observe.resilience.health import report

AT = datetime(2025, 12, 17, 15, 30, tzinfo=UTC)
STAMP = "2025-12-17T15:30:00+00:00"
GOOD = HealthCheckResult("db", healthy=True, message="fine", timestamp=AT, duration=0.0123456789)
BAD = HealthCheckResult("api", healthy=False, message="down", timestamp=AT, details={"code": 503}, status="unhealthy")
MINOR = BAD._replace(name="mail", critical=False, details=None)


def by_name(*results: HealthCheckResult) -> dict[str, HealthCheckResult]:
    """Return results as a run does."""
    return {result.name: result for result in results}


def test_the_verdict() -> None:
    """Critical failures outweigh others."""
    assert report.verdict([]) == report.verdict([GOOD]) == "healthy"
    assert report.verdict([GOOD, MINOR]) == "degraded"
    assert report.verdict([GOOD, MINOR, BAD]) == "unhealthy"


def test_the_json_report_has_the_known_form() -> None:
    """Exactly these keys in this order."""
    found = report.as_json(by_name(GOOD, BAD), AT)
    assert json.dumps(found) == json.dumps(
        {
            "timestamp": STAMP,
            "checks": {
                "db": {"name": "db", "healthy": True, "message": "fine", "timestamp": STAMP},
                "api": {
                    "name": "api",
                    "healthy": False,
                    "message": "down",
                    "timestamp": STAMP,
                    "details": {"code": 503},
                },
            },
            "summary": {"total": 2, "passed": 1, "failed": 1, "healthy": False},
        }
    )
    assert report.as_json(by_name(GOOD, MINOR), AT)["summary"] == {
        "total": 2,
        "passed": 1,
        "failed": 1,
        "healthy": True,
    }


def test_the_status_has_the_known_form() -> None:
    """With the third verdict beside the two-valued one."""
    found = report.status(by_name(GOOD, MINOR), AT)
    assert (found["healthy"], found["status"], found["timestamp"]) == (True, "degraded", STAMP)
    assert found["summary"] == {"total": 2, "passed": 1, "failed": 1}


def test_the_health_json_form() -> None:
    """As the draft wants it: lists below `component:measurement`, output only where something is amiss."""
    assert report.as_health_json(by_name(GOOD, BAD, MINOR), AT) == {
        "status": "fail",
        "releaseId": __version__,
        "time": STAMP,
        "checks": {
            "db:duration": [{"status": "pass", "observedValue": 0.012346, "observedUnit": "s", "time": STAMP}],
            "api:duration": [
                {
                    "status": "fail",
                    "observedValue": 0.0,
                    "observedUnit": "s",
                    "time": STAMP,
                    "output": "down",
                    "details": {"code": 503},
                }
            ],
            "mail:duration": [
                {"status": "warn", "observedValue": 0.0, "observedUnit": "s", "time": STAMP, "output": "down"}
            ],
        },
    }
    assert report.as_health_json({}, AT)["status"] == "pass"
    assert report.as_health_json(by_name(MINOR), AT)["status"] == "warn"
