"""What the dashboard shows of the exporter itself."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels
from peak_observe.monitoring.panels import GREEN, RED, YELLOW, Json, query
from peak_observe.monitoring.promql import increase, select, total

SOURCE_TEXTS = {0: ("down", RED), 1: ("up", GREEN)}


def lowest(*labels: str) -> str:
    """Return whether each source tells something: 0 is not; one that has not answered yet has none."""
    return f"min by ({', '.join(labels)}) ({select(catalog.EXPORTER_SOURCE_UP)})"


def exporter() -> list[Json]:
    """Return whether the exporter can be believed: its sources, its configuration and its clock."""
    runs, duration = catalog.EXPORTER_SOURCE_RUNS_TOTAL, catalog.EXPORTER_SOURCE_DURATION_SECONDS
    loaded, clock = catalog.EXPORTER_CONFIG_LAST_RELOAD_TIMESTAMP_SECONDS, catalog.EXPORTER_TIME_SECONDS
    return [
        panels.row("Exporter"),
        panels.stat(
            "Sources down",
            "Sources that failed or hang. What they would tell is missing from all panels; the status page says why.",
            f"count({select(catalog.EXPORTER_SOURCE_UP)}) - sum({select(catalog.EXPORTER_SOURCE_UP)})",
            "none",
            steps={RED: 1},
            empty="no exporter",
        ),
        panels.stat(
            "Configurations not taken",
            "Exporters that go on with an older configuration, as the file was changed and makes no sense.",
            f"count({select(catalog.EXPORTER_CONFIG_RELOAD_SUCCESS)})"
            f" - sum({select(catalog.EXPORTER_CONFIG_RELOAD_SUCCESS)})",
            "none",
            steps={RED: 1},
            empty="no exporter",
        ),
        panels.stat(
            "Configuration read",
            "Time since the configuration in use was read, of the exporter that did so last.",
            f"min(time() - {select(loaded)})",
            "s",
            steps={},
            empty="no exporter",
        ),
        panels.stat(
            "Clocks apart",
            "How far the exporter's clock is from that of Prometheus; one of the two is wrong if it is seconds.",
            f"max(abs({select(clock)} - timestamp({select(clock)})))",
            "s",
            steps={YELLOW: 2, RED: 5},
            empty="no exporter",
        ),
        panels.timeseries(
            "Runs of sources that failed",
            "How many looks at a source ended in an error or were given up. Anything but 0 wants a look.",
            [
                query(
                    total(increase(runs, 'outcome=~"error|timeout"', window="$__rate_interval"), "source", "outcome"),
                    "{{source}} {{outcome}}",
                )
            ],
            "short",
            bars=True,
        ),
        panels.state_timeline(
            "Sources",
            "One bar a source of the exporter. Red: it failed or hangs. No bar: it was not asked yet.",
            [query(lowest("job", "instance", "source"), "{{source}} @ {{instance}}")],
            panels.mapped(SOURCE_TEXTS),
        ),
        panels.timeseries(
            "Time that sources take",
            "A source that comes near its timeout will fail soon; none of them holds up a scrape.",
            [query(f"max by (source) ({select(duration)})", "{{source}}")],
            "s",
            width=24,
        ),
        _sources(),
    ]


def _sources() -> Json:
    keys = {"source": "Source", "job": "Job", "instance": "Instance"}
    by = ", ".join(keys)
    success = f"time() - ({select(catalog.EXPORTER_SOURCE_LAST_SUCCESS_TIMESTAMP_SECONDS)} > 0)"
    state = {
        "mappings": panels.mapped(SOURCE_TEXTS),
        "custom__cellOptions": {"type": "color-background", "mode": "basic"},
    }

    def ended(outcome: str) -> str:
        return total(increase(catalog.EXPORTER_SOURCE_RUNS_TOTAL, f'outcome="{outcome}"'), *keys)

    return panels.table(
        "Sources of the exporter",
        "Every source with its present state, when it told something last, and how its runs ended in the time shown.",
        keys,
        [
            ("State", lowest(*keys), state),
            ("Told ago", f"min by ({by}) ({success})", {"unit": "s"}),
            ("Took", f"max by ({by}) ({select(catalog.EXPORTER_SOURCE_DURATION_SECONDS)})", {"unit": "s"}),
            *(
                (title, ended(outcome), {"decimals": 0})
                for title, outcome in zip(
                    ("Good runs", "Failed runs", "Overdue runs"), catalog.SOURCE_OUTCOMES, strict=True
                )
            ),
        ],
    )
