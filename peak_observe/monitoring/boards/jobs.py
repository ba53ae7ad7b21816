"""Dashboard section of jobs."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import ago, increase, lowest, select, step_increase, total, worst
from peak_observe.monitoring.style import AGE, AMBER, COUNT, RUNNING, SPAN, Json

NO_JOBS = "no jobs"


def jobs() -> list[Json]:
    """Return how jobs ended."""
    runs = catalog.JOB_RUNS_TOTAL
    return [
        panels.timeseries(
            "Runs of jobs by outcome",
            "How many runs ended how. Interrupted: by Ctrl-C, or because the process was killed: see whether memory "
            "ran out.",
            [query(total(step_increase(runs), "outcome"), "{{outcome}}")],
            "short",
            empty=NO_JOBS,
            width=12,
            stacked=True,
            bars=True,
            colours=style.JOB_COLOURS,
        ),
        panels.timeseries(
            "Duration of the last run by job",
            "Time that the last run that ended took. One that grows towards the time between two runs will soon "
            "overlap with itself.",
            [query(worst(select(catalog.JOB_LAST_DURATION_SECONDS), "task"), "{{task}}")],
            "s",
            empty=NO_JOBS,
            width=12,
        ),
        _jobs(),
    ]


def _jobs() -> Json:
    keys = {"task": "Task", "process": "Process", "job": "Job", "instance": "Instance"}

    def ended(outcome: str) -> str:
        return total(increase(catalog.JOB_RUNS_TOTAL, f'outcome="{outcome}"'), *keys)

    return tables.table(
        "Jobs",
        "Every job with its last runs, and how runs ended in the time shown. Begun long ago and no success since: look "
        "at its log.",
        keys,
        [
            ("Last success ago", lowest(ago(catalog.JOB_LAST_SUCCESS_TIMESTAMP_SECONDS), *keys), AGE),
            ("Promised", worst(f"({select(catalog.JOB_MAX_AGE_SECONDS)} > 0)", *keys), SPAN),
            ("Begun ago", lowest(ago(catalog.JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS), *keys), AGE),
            ("Took", worst(select(catalog.JOB_LAST_DURATION_SECONDS), *keys), SPAN),
            ("Running for", worst(ago(catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS), *keys), RUNNING),
            ("Succeeded", ended("success"), COUNT),
            ("Failed", ended("failed"), style.bad()),
            ("Interrupted", ended("interrupted"), style.bad(AMBER)),
        ],
        empty=NO_JOBS,
        size=(24, 6),
        sort="Failed",
    )
