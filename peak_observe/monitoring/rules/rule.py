"""Types of alerting and recording rules, and the texts that name the source of a series."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from peak_observe.catalog import Metric

INFO, WARNING, CRITICAL = "info", "warning", "critical"
NO, LOOK = "no", "look"
"""Answers to "may we trade?": not now, and only after a look."""

GAP = "5m"
"""Time for which what was last scraped still counts: every second scrape may fail, and no alert begins anew."""

TROUBLE = "instance:peak_trouble:value"
"""Recording of all that alerts wait for, which the overview reads too; its label `alert` names the alert."""

STATE_NUMBER = "instance_breaker:peak_breaker_state:number"
"""Recording of the state of each circuit as a number, by its place in `catalog.STATES` from 1 on."""

REQUEST_RATES = "instance_exchange_outcome:peak_exchange_requests:rate5m"
REQUESTS_10M = "instance_exchange_endpoint:peak_exchange_requests:increase10m"
FAILURES = "instance_exchange_endpoint:peak_exchange_failures:increase10m"
REQUEST_DURATIONS = "instance_exchange_le:peak_exchange_request_duration_seconds_bucket:rate5m"
REQUEST_P95 = "instance_exchange_endpoint:peak_exchange_request_duration_seconds:p95_rate5m"
RETRY_CALLS_10M = "instance_operation_outcome:peak_retry_calls:increase10m"
CHECK_STATE = "instance_check:peak_health_check_state:number"
CHECK_P95 = "instance_check:peak_health_check_duration_seconds:p95_rate5m"
CALL_DURATIONS = "instance_breaker_le:peak_breaker_call_duration_seconds_bucket:rate5m"
"""Recordings that the dashboards read in the place of counters, of which a bot has hundreds."""

WATCHED = "instance:peak_watched:value"
"""Recording of the targets that tell of peak_observe; without it, nothing that is recorded says anything."""

CLOCK_OFFSET = "instance_process:peak_clock_offset:seconds"
"""Recording of how far the clock of a process, or of an exporter, is ahead of that of Prometheus."""
OFFSET_NOW = f"last_over_time({CLOCK_OFFSET}[10m])"
_OFFSET_LATELY = f"min_over_time({CLOCK_OFFSET}[10m])"

# Aggregations name what they drop, so that the owner's labels, such as `env` or `team`, stay for Alertmanager's routes.
HOST = "job, instance"
AT = "{{ $labels.instance }}{{ with $labels.process }} ({{ . }}){{ end }}"
COUNT = '{{ $value | printf "%.0f" }}'
SHARE = "{{ $value | humanizePercentage }}"
SPAN = "{{ $value | humanizeDuration }}"
MOMENT = "{{ $value | humanizeTimestamp }}"

_DURATION = re.compile(r"(\d+)([mh])")
_UNITS = {"m": "minute", "h": "hour"}


def last(metric: Metric, *matchers: str) -> str:
    """Return the last values of a gauge, also where a scrape or two have failed since."""
    return f"last_over_time({chosen(metric, *matchers)}[{GAP}])"


def by_our_clock(moments: str, offsets: str = _OFFSET_LATELY) -> str:
    """Return Unix times told by processes as times of Prometheus' clock, with which alone `time()` compares.

    Args:
        moments: PromQL; what no offset is known of stays as it is.
        offsets: How far the clocks are ahead. Without, the least of the last minutes: a clock that is set makes what
            was told before no older, until it is told anew.
    """
    ahead = f"on (job, instance, process) group_left () max by (job, instance, process) ({offsets})"
    return f"((({moments}) - {ahead}) or ({moments}))"


def lately(metric: Metric, window: str) -> str:
    """Return the last values of a gauge within hours or days, of which it reads the last 20 minutes in full."""
    return f"(last_over_time({metric.name}[20m]) or last_over_time({metric.name}[{window}:5m]))"


def shrunk(size: Metric) -> str:
    """Return the share that is left of the size that was usual in the last week, where it is less than half."""
    return f"{last(size)} / (quantile_over_time(0.5, {size.name}[7d:1h]) > 0) < 0.5"


def undone(done: Metric, configured: Metric, seconds: int) -> str:
    """Return for how long something was not done, or not since its first use, where that is too long."""
    since = by_our_clock(f"({last(done)} > {last(configured)}) or {last(configured)}")
    return f"time() - {since} > {seconds}"


def chosen(metric: Metric, *matchers: str) -> str:
    """Return the series of a metric that match."""
    return f"{metric.name}{{{', '.join(matchers)}}}" if matchers else metric.name


class Recording(NamedTuple):
    """Recording rule.

    Args:
        name: Its name, as level:metric:operations; `job` is always kept and not named in the level.
        expression: PromQL.
        labels: Labels that it adds, with their values.
    """

    name: str
    expression: str
    labels: tuple[tuple[str, str], ...] = ()


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
        verdict: What it means for "may we trade?": `no`, `look`, or empty for what its severity says.
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
    verdict: str = ""


class Group(NamedTuple):
    """Group of rules, evaluated in order; also a chapter of the runbook.

    Args:
        name: Its name.
        dashboard: The uid of the dashboard that shows its subject.
        alerts: What it watches for.
        recordings: What its alerts read.
        notes: For the runbook: what holds for all of its alerts.
        every: Time between two evaluations, where it is not that of Prometheus.
    """

    name: str
    dashboard: str
    alerts: tuple[Alert, ...]
    recordings: tuple[Recording, ...] = ()
    notes: str = ""
    every: str = ""

    @property
    def troubles(self) -> dict[str, Recording]:
        """Conditions that its alerts wait for, one recording an expression."""
        found: dict[str, Recording] = {}
        for alert in sorted(self.alerts, key=lambda alert: alert.severity != CRITICAL):
            if alert.severity != INFO and alert.expression not in found:
                verdict = alert.verdict or (NO if alert.severity == CRITICAL else LOOK)
                labels = (("alert", alert.name), ("severity", alert.severity), ("verdict", verdict))
                found[alert.expression] = Recording(TROUBLE, alert.expression, labels)
        return found


def of_trouble(recording: Recording) -> str:
    """Return an expression for what was recorded of a trouble, with the labels that it had before."""
    matchers = ", ".join(f'{label}="{value}"' for label, value in recording.labels)
    names = ", ".join(label for label, _ in recording.labels)
    return f"max without ({names}) ({recording.name}{{{matchers}}})"


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
