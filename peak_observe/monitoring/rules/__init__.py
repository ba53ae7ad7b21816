"""Alert rules, one module a subject."""

from __future__ import annotations

import re
from functools import partial
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
    calls.BREAKER_CALLS,
    calls.RETRY_STORMS,
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
    exchange.DURATIONS,
    checks.HEALTH,
    checks.JOBS,
    backups.BACKUPS,
    offsite.OFFSITE,
    exporter.PROCESSES,
    exporter.TARGETS,
    exporter.EXPORTER,
    exporter.WATCHDOG,
)
"""All rules, in the order of the runbook."""

_COUNTED = re.compile(r"\b(peak_\w+)\[")


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
    recorded = sorted(recordings(), key=lambda recording: -len(recording.name))
    while any(recording.name in expression for recording in recorded):  # some are made of others
        for recording in recorded:
            chosen = partial(_chosen, recording.expression)
            expression = re.sub(rf"{recording.name}({{[^}}]*}})?(\[\w+\])?", chosen, expression)
    return expression


def _chosen(recorded: str, found: re.Match[str]) -> str:
    """Return what was recorded, of those series alone that the matchers behind its name choose."""
    matchers, window = found[1] or "", found[2]
    written = f"({_COUNTED.sub(lambda metric: f'{metric[1]}{matchers}[', recorded)})"
    return f"{written}{window[:-1]}:15s]" if window else written  # of an expression only a subquery has a past
