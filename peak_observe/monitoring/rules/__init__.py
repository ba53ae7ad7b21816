"""Alert rules, one module a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.monitoring.rules import (
    account_safety,
    backups,
    calls,
    checks,
    exchange,
    exporter,
    limits,
    offsite,
    orders,
    policies,
    safety,
    shared,
    streams,
)
from peak_observe.monitoring.rules.rule import of_trouble

if TYPE_CHECKING:
    from peak_observe.monitoring.rules.rule import Alert, Group, Recording

GROUPS: tuple[Group, ...] = (
    calls.BREAKERS,
    calls.RETRIES,
    policies.POLICIES,
    limits.LIMITS,
    shared.SHARED,
    exchange.REQUESTS,
    exchange.EXCHANGES,
    exchange.OBJECTIVES,
    safety.SAFETY,
    account_safety.ACCOUNT_SAFETY,
    orders.ORDERS,
    streams.STREAMS,
    checks.HEALTH,
    checks.JOBS,
    backups.BACKUPS,
    offsite.OFFSITE,
    exporter.PROCESSES,
    exporter.EXPORTER,
    exporter.WATCHDOG,
)
"""All rules, in the order of the runbook."""


def alerts() -> list[Alert]:
    """Return all alerts, group by group."""
    return [alert for group in GROUPS for alert in group.alerts]


def recordings() -> list[Recording]:
    """Return the recordings that alerts are made of."""
    return [recording for group in GROUPS for recording in group.recordings]


def troubles() -> list[Recording]:
    """Return the recordings of what alerts wait for."""
    return [recording for group in GROUPS for recording in group.troubles.values()]


def expanded(expression: str) -> str:
    """Return an expression with what is recorded in the place of the recordings' names."""
    for trouble in troubles():
        expression = expression.replace(of_trouble(trouble), trouble.expression)
    for recording in sorted(recordings(), key=lambda recording: -len(recording.name)):
        expression = expression.replace(recording.name, f"({recording.expression})")
    return expression
