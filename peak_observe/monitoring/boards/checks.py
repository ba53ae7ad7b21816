"""Dashboard section of health checks."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import (
    CHECK_P95,
    CHECK_STATES,
    ago,
    increase,
    lowest,
    missing,
    rate,
    select,
    since,
    total,
    with_exemplars,
    worst,
)
from peak_observe.monitoring.style import AGE, AMBER, COUNT, EVERY, PURPLE, RED, Json

KEYS = ("job", "instance", "process", "check")
NO_CHECKS = "no checks"
NO_RUNS = "no check has run in this time"


def healthy(*labels: str) -> str:
    """Return the state of each check: 0 is failing; one that has not run yet has none."""
    return lowest(select(catalog.HEALTH_CHECK_HEALTHY), *labels)


def silent(*labels: str) -> str:
    """Return the seconds since the last run of each check that has not run for long, as its alert counts it."""
    age = worst(since(catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS), *labels)
    return f"({age} > 300) > 3 * {worst(select(catalog.HEALTH_CHECK_INTERVAL_SECONDS), *labels)}"


def failing(link: Json | None = None) -> Json:
    """Return the tile that counts failing checks."""
    return panels.stat(
        "Checks failing",
        "Health checks that fail now, or have not run for three times their interval. Anything but 0: `peak-observe "
        "health` and /readyz?verbose say why.",
        f"count({healthy(*KEYS)} == 0 or {silent(*KEYS)}) or {missing(catalog.HEALTH_CHECK_HEALTHY)}",
        "none",
        steps={RED: 1},
        empty=NO_CHECKS,
        link=link,
    )


def states(*, width: int = 24, link: Json | None = None) -> Json:
    """Return the course of every check."""
    return panels.state_timeline(
        "Health of checks",
        "One bar a check, by its thresholds. Red: `peak-observe health` and /readyz?verbose tell why. Amber: it "
        "passed, and has not run for three times its interval since. No bar: it has not run yet.",
        [
            query(
                lowest(select(CHECK_STATES), *KEYS),
                "{{check}} {{process}} @ {{instance}}",
            )
        ],
        style.mapped(style.HEALTH_TEXTS),
        empty=NO_RUNS,
        size=(width, 7),
        link=link,
    )


def checks() -> list[Json]:
    """Return what the checks say, how long they take, and whether they run at all."""
    runs, duration = catalog.HEALTH_CHECK_RUNS_TOTAL, catalog.HEALTH_CHECK_DURATION_SECONDS
    return [
        panels.timeseries(
            "Runs by outcome",
            "Runs a second by what each found by itself. Error: it raised or answered nonsense, mend the check; "
            "timeout: it hung.",
            [query(total(rate(runs), "outcome"), "{{outcome}}")],
            "ops",
            empty=NO_RUNS,
            stacked=True,
            width=12,
            colours=style.CHECK_COLOURS,
        ),
        panels.timeseries(
            "Duration by check, 95th percentile",
            "A check should take less than a second; one that comes near its timeout will fail soon. Dots are "
            "exemplars: each leads to the trace of one run.",
            [{**query(with_exemplars(worst(select(CHECK_P95), "check"), duration), "{{check}}"), "exemplar": True}],
            "s",
            empty=NO_RUNS,
            width=12,
        ),
        _checks(),
    ]


def _checks() -> Json:
    keys = {"check": "Check", "process": "Process", "job": "Job", "instance": "Instance"}

    def ended(outcome: str) -> str:
        return total(increase(catalog.HEALTH_CHECK_RUNS_TOTAL, f'outcome="{outcome}"'), *keys)

    return tables.table(
        "Checks",
        "Every check with its present state, when it ran last, and what its runs found in the time shown. One that has "
        "not run for long: is `health_check.start()` called?",
        keys,
        [
            ("Health", healthy(*keys), {**style.state(style.HEALTH_TEXTS)}),
            ("Every", worst(select(catalog.HEALTH_CHECK_INTERVAL_SECONDS), *keys), EVERY),
            ("Ran ago", lowest(ago(catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS), *keys), AGE),
            ("Passed", ended("healthy"), COUNT),
            ("Not passed", ended("unhealthy"), style.bad()),
            ("Errors", ended("error"), style.bad(PURPLE)),
            ("Timeouts", ended("timeout"), style.bad(AMBER)),
        ],
        empty=NO_CHECKS,
        sort="Not passed",
    )
