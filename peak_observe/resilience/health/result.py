"""What a check found, and how its answer is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.support.redact import describe, redact, redact_data

if TYPE_CHECKING:
    from datetime import datetime

HEALTHY, UNHEALTHY, ERROR, TIMEOUT, SKIPPED = "healthy", "unhealthy", "error", "timeout", "skipped"
FORMS = "bool, (bool, str) or (bool, str, dict)"


class HealthCheckResult(NamedTuple):
    """What one check found.

    Args:
        name: The check's name.
        healthy: Whether the check counts as passed, by its thresholds.
        message: One line for a person, without secrets.
        timestamp: When the check ended, in UTC.
        details: What else the check told, without secrets.
        status: What this run found by itself: `healthy`, `unhealthy`, `error` (it raised, or answered in no known
            form), `timeout` or `skipped`.
        duration: Seconds it took.
        critical: Whether its failure makes the system unhealthy rather than degraded.
        tags: The check's tags.
    """

    name: str
    healthy: bool
    message: str
    timestamp: datetime
    details: dict[str, Any] | None = None
    status: str = HEALTHY
    duration: float = 0.0
    critical: bool = True
    tags: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return name, healthy, message, timestamp and, where there are any, details; JSON can hold it."""
        found = {
            "name": self.name,
            "healthy": self.healthy,
            "message": self.message,
            "timestamp": self.timestamp.isoformat(timespec="seconds"),
        }
        return {**found, "details": self.details} if self.details else found


class Finding(NamedTuple):
    """The answer of one run, before thresholds."""

    status: str
    message: str
    details: dict[str, Any] | None = None


def of_answer(answer: object) -> Finding:
    """Read what a check returned: `bool`, `(bool, str)` or `(bool, str, dict)`."""
    match answer:
        case bool(passed):
            return Finding(HEALTHY if passed else UNHEALTHY, HEALTHY if passed else UNHEALTHY)
        case (bool(passed), str(message)):
            return Finding(HEALTHY if passed else UNHEALTHY, _line(message))
        case (bool(passed), str(message), dict(details)):
            return Finding(HEALTHY if passed else UNHEALTHY, _line(message), redact_data(details))
    return Finding(ERROR, _line(f"the check returned {redact(repr(answer))} instead of {FORMS}"))


def of_error(error: BaseException) -> Finding:
    """Read what a check raised."""
    return Finding(ERROR, _line(f"the check raised {describe(error)}"))


def _line(message: str) -> str:
    # What is printed or logged must not steer the terminal it ends on, whoever wrote it.
    return "".join(char if char.isprintable() else "�" for char in " ".join(redact(message).split()))
