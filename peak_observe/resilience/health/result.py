"""Results of health checks, and how the answer of a check is read."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, Self

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.support.redact import message_of, redact, redact_data
from peak_observe.support.shown import shown

HEALTHY, UNHEALTHY, ERROR, TIMEOUT, SKIPPED = "healthy", "unhealthy", "error", "timeout", "skipped"
FORMS = "bool, (bool, str) or (bool, str, dict)"


class _Fields(NamedTuple):
    name: str
    healthy: bool
    message: str
    timestamp: datetime
    details: dict[str, Any] | None = None
    status: str = HEALTHY
    duration: float = 0.0
    critical: bool = True
    tags: tuple[str, ...] = ()


class HealthCheckResult(_Fields):
    """Result of one check.

    Args:
        name: The check's name.
        healthy: Whether the check counts as passed, by its thresholds.
        message: One line for a person, without secrets; empty where the check answered with a plain `bool`.
        timestamp: When the check ended, in UTC; now if not given.
        details: Further facts from the check, without secrets.
        status: Outcome of this run by itself: `healthy`, `unhealthy`, `error` (it raised, or answered in no known
            form), `timeout` or `skipped`; by default as `healthy` says.
        duration: Seconds it took.
        critical: Whether its failure makes the system unhealthy rather than degraded.
        tags: The check's tags.
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0917 - a tuple, whose fields have an order
        cls,
        name: str,
        healthy: bool,
        message: str,
        timestamp: datetime | None = None,
        details: dict[str, Any] | None = None,
        status: str | None = None,
        duration: float = 0.0,
        critical: bool = True,
        tags: tuple[str, ...] = (),
    ) -> Self:
        """Make a result; see the class."""
        at = SYSTEM_CLOCK.now() if timestamp is None else timestamp
        found = (HEALTHY if healthy else UNHEALTHY) if status is None else status
        return super().__new__(cls, name, healthy, message, at, details, found, duration, critical, tags)

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
    """Answer of one run, before thresholds."""

    status: str
    message: str
    details: dict[str, Any] | None = None


def of_answer(answer: object) -> Finding:
    """Read what a check returned: `bool`, `(bool, str)` or `(bool, str, dict)`."""
    parts: list[Any] = [*answer] if isinstance(answer, list | tuple) else [answer]
    passed = _truth(parts[0]) if parts else None
    if passed is not None:
        status = HEALTHY if passed else UNHEALTHY
        match parts[1:]:
            case [] if not isinstance(answer, list | tuple):
                return Finding(status, "")
            case [str(message)]:
                return Finding(status, _line(message))
            case [str(message), dict(details)]:
                return Finding(status, _line(message), redact_data(details))
    return Finding(ERROR, _line(f"the check returned {redact(shown(answer))} instead of {FORMS}"))


def _truth(value: Any) -> bool | None:
    """Return a truth value, also one of numpy, which is no bool; None for anything else."""
    if not isinstance(value, bool) and hasattr(value, "item"):
        try:
            value = value.item()
        except Exception:  # noqa: BLE001 - of an array of several values, or of something else that is called so
            return None
    return value if isinstance(value, bool) else None


def of_error(error: BaseException) -> Finding:
    """Read what a check raised."""
    message, kind = message_of(error), type(error).__name__
    if type(error) is not Exception:
        message = f"{message} ({kind})" if message else kind
    return Finding(ERROR, _line(f"Exception: {message}".rstrip()))


def _line(message: str) -> str:
    # What is printed or logged must not steer the terminal it ends on, whoever wrote it.
    return "".join(char if char.isprintable() else "�" for char in " ".join(redact(message).split()))
