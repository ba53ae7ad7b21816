"""What the dashboard shows of the health checks."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels
from peak_observe.monitoring.panels import GREEN, ORANGE, PURPLE, RED, Json, query
from peak_observe.monitoring.promql import increase, quantile, rate, select, total

RUN_COLOURS = dict(zip(catalog.HEALTH_OUTCOMES, (GREEN, RED, PURPLE, ORANGE), strict=True))
HEALTH_TEXTS = {0: ("failing", RED), 1: ("healthy", GREEN)}


def lowest(*labels: str) -> str:
    """Return the state of each check: 0 is failing; one that has not run yet has none."""
    return f"min by ({', '.join(labels)}) ({select(catalog.HEALTH_CHECK_HEALTHY)})"


def checks() -> list[Json]:
    """Return what the checks say, how long they take, and whether they run at all."""
    runs, duration = catalog.HEALTH_CHECK_RUNS_TOTAL, catalog.HEALTH_CHECK_DURATION_SECONDS
    return [
        panels.row("Health"),
        panels.state_timeline(
            "Health of checks",
            "One bar a check, by its thresholds. Red: `peak-observe health` and /readyz?verbose tell why. No bar: it "
            "has not run yet.",
            [query(lowest("job", "instance", "check"), "{{check}} @ {{instance}}")],
            panels.mapped(HEALTH_TEXTS),
        ),
        panels.timeseries(
            "Runs by outcome",
            "Runs a second by what each found by itself. Error: it raised or answered nonsense; timeout: it hung.",
            [query(total(rate(runs), "outcome"), "{{outcome}}")],
            "ops",
            stacked=True,
            width=12,
            colours=RUN_COLOURS,
        ),
        panels.timeseries(
            "Duration by check, 95th percentile",
            "A check should take less than a second; one that comes near its timeout will fail soon.",
            [query(quantile(0.95, duration, "check"), "{{check}}")],
            "s",
            width=12,
        ),
        _checks(),
    ]


def _checks() -> Json:
    keys = {"check": "Check", "job": "Job", "instance": "Instance"}
    by = ", ".join(keys)
    last_run = f"time() - ({select(catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS)} > 0)"
    state = {
        "mappings": panels.mapped(HEALTH_TEXTS),
        "custom__cellOptions": {"type": "color-background", "mode": "basic"},
    }
    counted = {"decimals": 0}

    def ended(outcome: str) -> str:
        return total(increase(catalog.HEALTH_CHECK_RUNS_TOTAL, f'outcome="{outcome}"'), *keys)

    return panels.table(
        "Checks",
        "Every check with its present state, when it ran last, and what its runs found in the time shown.",
        keys,
        [
            ("Health", lowest(*keys), state),
            ("Ran ago", f"min by ({by}) ({last_run})", {"unit": "s"}),
            ("Passed", ended("healthy"), counted),
            ("Not passed", ended("unhealthy"), counted),
            ("Errors", ended("error"), counted),
            ("Timeouts", ended("timeout"), counted),
        ],
    )
