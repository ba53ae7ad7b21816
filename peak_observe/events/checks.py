"""Events of health checks."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from peak_observe.support.shown import record_repr


class HealthChanged(NamedTuple):
    """A health check changed from healthy to unhealthy or back, or its first run found it unhealthy.

    Args:
        name: The check's name.
        healthy: Whether it is healthy now, by its thresholds.
        status: The result of the run: `healthy`, `unhealthy`, `error`, `timeout` or `skipped`.
        at: When, in UTC.
        message: One line for a person, without secrets.
        critical: Whether its failure makes the system unhealthy rather than degraded.
    """

    name: str
    healthy: bool
    status: str
    at: datetime
    message: str
    critical: bool = True

    def __repr__(self) -> str:
        return record_repr(self)
