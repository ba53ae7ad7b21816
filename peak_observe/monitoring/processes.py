"""What the dashboard shows of processes and jobs that write snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.monitoring import panels
from peak_observe.monitoring.panels import GREEN, ORANGE, RED, Json, query
from peak_observe.monitoring.promql import increase, select, total

if TYPE_CHECKING:
    from peak_observe.catalog import Metric

JOB_COLOURS = dict(zip(catalog.JOB_OUTCOMES, (GREEN, RED, ORANGE), strict=True))
UP_TEXTS = {0: ("gone", RED), 1: ("up", GREEN)}


def processes_and_jobs() -> list[Json]:
    """Return who lives, who does not, and how jobs ended."""
    runs, rejected = catalog.JOB_RUNS_TOTAL, catalog.PROCESS_SNAPSHOTS_REJECTED_TOTAL
    return [
        panels.row("Processes and jobs"),
        panels.state_timeline(
            "Processes that write snapshots",
            "One bar a process, as the exporter sees it. Red: it is gone, and is shown for 15 minutes. A job that "
            "ended in order has no bar.",
            [query(f"min by (job, instance, process) ({select(catalog.PROCESS_UP)})", "{{process}} @ {{instance}}")],
            panels.mapped(UP_TEXTS),
        ),
        panels.timeseries(
            "Runs of jobs by outcome",
            "How many runs ended how. Interrupted: by Ctrl-C, or because the process was killed.",
            [query(total(increase(runs, window="$__rate_interval"), "outcome"), "{{outcome}}")],
            "short",
            width=12,
            stacked=True,
            bars=True,
            colours=JOB_COLOURS,
        ),
        panels.timeseries(
            "Snapshots left out by reason",
            "Snapshot files that are no good; the log of the exporter names them. Anything but 0 wants a look.",
            [query(total(increase(rejected, window="$__rate_interval"), "reason"), "{{reason}}")],
            "short",
            width=12,
            bars=True,
        ),
        _processes(),
        _jobs(),
    ]


def _ago(metric: Metric, by: str) -> str:
    return f"min by ({by}) (time() - ({select(metric)} > 0))"


def _processes() -> Json:
    keys = {"process": "Process", "job": "Job", "instance": "Instance"}
    by = ", ".join(keys)
    state = {
        "mappings": panels.mapped(UP_TEXTS),
        "custom__cellOptions": {"type": "color-background", "mode": "basic"},
    }
    return panels.table(
        "Processes by name",
        "Every process that writes snapshots. One that is up and whose snapshot is old hangs, or its disk is full.",
        keys,
        [
            ("State", f"min by ({by}) ({select(catalog.PROCESS_UP)})", state),
            ("Began ago", _ago(catalog.PROCESS_START_TIME_SECONDS, by), {"unit": "s"}),
            ("Snapshot age", f"max by ({by}) ({select(catalog.PROCESS_SNAPSHOT_AGE_SECONDS)})", {"unit": "s"}),
        ],
    )


def _jobs() -> Json:
    keys = {"task": "Task", "job": "Job", "instance": "Instance"}
    by = ", ".join(keys)

    def ended(outcome: str) -> str:
        return total(increase(catalog.JOB_RUNS_TOTAL, f'outcome="{outcome}"'), *keys)

    return panels.table(
        "Jobs",
        "Every job with its last runs, and how runs ended in the time shown.",
        keys,
        [
            ("Last success ago", _ago(catalog.JOB_LAST_SUCCESS_TIMESTAMP_SECONDS, by), {"unit": "s"}),
            ("Begun ago", _ago(catalog.JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS, by), {"unit": "s"}),
            ("Took", f"max by ({by}) ({select(catalog.JOB_LAST_DURATION_SECONDS)})", {"unit": "s"}),
            ("Running for", _ago(catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS, by), {"unit": "s"}),
            ("Succeeded", ended("success"), {"decimals": 0}),
            ("Failed", ended("failed"), {"decimals": 0}),
            ("Interrupted", ended("interrupted"), {"decimals": 0}),
        ],
    )
