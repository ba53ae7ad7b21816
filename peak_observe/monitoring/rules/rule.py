"""Types of alerting and recording rules, and the texts that name the source of a series."""

from __future__ import annotations

import re
from typing import NamedTuple

INFO, WARNING, CRITICAL = "info", "warning", "critical"

# Where a series comes from: a process by itself, or one of several behind an exporter.
WHERE = "job, instance, process"
HOST = "job, instance"
AT = "{{ $labels.instance }}{{ with $labels.process }} ({{ . }}){{ end }}"
COUNT = '{{ $value | printf "%.0f" }}'
SHARE = "{{ $value | humanizePercentage }}"
SPAN = "{{ $value | humanizeDuration }}"
MOMENT = "{{ $value | humanizeTimestamp }}"

_DURATION = re.compile(r"(\d+)([mh])")
_UNITS = {"m": "minute", "h": "hour"}


class Recording(NamedTuple):
    """Recording rule.

    Args:
        name: Its name, as level:metric:operations; `job` is always kept and not named in the level.
        expression: PromQL.
    """

    name: str
    expression: str


class Alert(NamedTuple):
    """Alerting rule with its sentences.

    Args:
        name: Its name; one name may come in two severities.
        severity: `critical` wakes somebody, `warning` waits for the morning, `info` is no alarm.
        expression: PromQL; what it returns is wrong.
        lasting: How long it has to be wrong first.
        when: For tables: what has to be the case.
        summary: One sentence with the names in it.
        description: What it means, with the value in human units.
        meaning: For the runbook: what has happened.
        look: Where to look first.
        mend: What to do.
        keep: For how long it stays after it was right again, so that a flapping cause is one alarm.
        subject: The label by which its dashboard is narrowed, if there is such a variable.
    """

    name: str
    severity: str
    expression: str
    lasting: str
    when: str
    summary: str
    description: str
    meaning: str
    look: str
    mend: str
    keep: str = ""
    subject: str = ""


class Group(NamedTuple):
    """Group of rules, evaluated in order; also a chapter of the runbook.

    Args:
        name: Its name.
        dashboard: The uid of the dashboard that shows its subject.
        alerts: What it watches for.
        recordings: What its alerts read.
        notes: For the runbook: what holds for all of its alerts.
    """

    name: str
    dashboard: str
    alerts: tuple[Alert, ...]
    recordings: tuple[Recording, ...] = ()
    notes: str = ""


def twins(alert: Alert, **graver: str) -> tuple[Alert, Alert]:
    """Return an alert as a warning, and as critical with what is different then, such as `lasting`."""
    return alert, alert._replace(severity=CRITICAL, **graver)


def spoken(duration: str) -> str:
    """Return a duration of PromQL in words, such as `5 minutes`."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(f"a duration has to be minutes or hours, such as '5m', not {duration!r}")
    count = int(found[1])
    return f"{count} {_UNITS[found[2]]}{'' if count == 1 else 's'}"
