"""Dashboard of the exporter, the processes and the scrapes: can the other dashboards be believed?"""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import dashboard, panels, style, tables
from peak_observe.monitoring.boards import processes
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import ago, increase, lowest, missing, select, since, step_increase, total, worst
from peak_observe.monitoring.style import AGE, AMBER, COUNT, RED, SPAN, YELLOW, Json

NO_EXPORTER = "no exporter"


def board() -> Json:
    """Return the dashboard."""
    return dashboard.board(
        "peak-exporter",
        "peak_observe: exporter and processes",
        "Can the other dashboards be believed: is everything scraped, and do all sources and processes tell of "
        "themselves?",
        [
            panels.row("Now"),
            *_tiles(),
            panels.row("Processes"),
            *processes.processes(),
            panels.row("Sources of the exporter"),
            *_sources(),
            panels.row("Scraped by Prometheus"),
            *processes.targets(),
        ],
        variables=("source",),
        marks=dashboard.restarts(),
    )


def answers(*labels: str) -> str:
    """Return whether each source tells something: 0 is not; one that has not answered yet has none."""
    return lowest(select(catalog.EXPORTER_SOURCE_UP), *labels)


def _tiles() -> list[Json]:
    loaded = catalog.EXPORTER_CONFIG_LAST_RELOAD_TIMESTAMP_SECONDS
    clocks = [select(clock) for clock in (catalog.OBSERVE_TIME_SECONDS, catalog.EXPORTER_TIME_SECONDS)]
    offsets = [*(f"{clock} - timestamp({clock})" for clock in clocks), select(catalog.PROCESS_CLOCK_OFFSET_SECONDS)]
    return [
        processes.targets_down(),
        processes.gone(),
        panels.stat(
            "Sources down",
            "Sources that failed or hang. What they would tell is missing from all panels; the exporter's status page "
            "says why.",
            missing(catalog.EXPORTER_SOURCE_UP),
            "none",
            steps={RED: 1},
            empty=NO_EXPORTER,
        ),
        panels.stat(
            "Configurations not taken",
            "Exporters that go on with an older configuration, as the file was changed and makes no sense. Its log "
            "names the line.",
            missing(catalog.EXPORTER_CONFIG_RELOAD_SUCCESS),
            "none",
            steps={RED: 1},
            empty=NO_EXPORTER,
        ),
        panels.stat(
            "Configuration read",
            "Time since the configuration in use was read, of the exporter that did so last. Older than your last "
            "change: it was not taken.",
            f"min({since(loaded)})",
            "s",
            steps={},
            empty=NO_EXPORTER,
        ),
        panels.stat(
            "Clocks apart",
            "How far the clock of a bot or exporter is from that of Prometheus, of the one that is furthest. If it is "
            "seconds one of the two is wrong: see that NTP runs on both.",
            worst(f"abs({' or '.join(f'({offset})' for offset in offsets)})"),
            "s",
            steps={YELLOW: 2, RED: 5},
            empty=NO_EXPORTER,
        ),
    ]


def _sources() -> list[Json]:
    runs = total(
        step_increase(catalog.EXPORTER_SOURCE_RUNS_TOTAL, 'outcome=~"error|timeout"'),
        "source",
    )
    return [
        panels.state_timeline(
            "Sources",
            "One bar a source of the exporter. Red: it failed or hangs, and its status page says why. No bar: it was "
            "not asked yet.",
            [query(f"{answers('job', 'instance', 'source')} >= 0", "{{source}} @ {{instance}}")],
            style.mapped(style.UP_TEXTS),
            empty=NO_EXPORTER,
            size=(24, 6),
        ),
        panels.timeseries(
            "Time that sources take",
            "A source that comes near its timeout will fail soon: ask it more rarely or give it more time. None of "
            "them holds up a scrape.",
            [query(worst(select(catalog.EXPORTER_SOURCE_DURATION_SECONDS), "source"), "{{source}}")],
            "s",
            empty=NO_EXPORTER,
            width=12,
        ),
        panels.timeseries(
            "Runs of sources that failed",
            "How many looks at a source ended in an error or were given up. Anything but 0 wants a look at the "
            "exporter's log.",
            [query(runs, "{{source}}")],
            "short",
            empty=NO_EXPORTER,
            width=12,
            bars=True,
        ),
        _table(),
    ]


def _table() -> Json:
    keys = {"source": "Source", "job": "Job", "instance": "Instance"}
    outcomes = zip(
        ("Good runs", "Failed runs", "Overdue runs"),
        catalog.SOURCE_OUTCOMES,
        (COUNT, style.bad(), style.bad(AMBER)),
        strict=True,
    )

    def ended(outcome: str) -> str:
        return total(increase(catalog.EXPORTER_SOURCE_RUNS_TOTAL, f'outcome="{outcome}"'), *keys)

    return tables.table(
        "Sources of the exporter",
        "Every source with its present state, when it told something last, and how its runs ended in the time shown. "
        "Down: see the status page for its error.",
        keys,
        [
            ("State", answers(*keys), style.state(style.UP_TEXTS)),
            ("Told ago", lowest(ago(catalog.EXPORTER_SOURCE_LAST_SUCCESS_TIMESTAMP_SECONDS), *keys), AGE),
            ("Took", worst(select(catalog.EXPORTER_SOURCE_DURATION_SECONDS), *keys), SPAN),
            *((title, ended(outcome), settings) for title, outcome, settings in outcomes),
        ],
        empty=NO_EXPORTER,
        sort="Failed runs",
    )
