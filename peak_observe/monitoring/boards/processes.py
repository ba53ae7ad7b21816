"""Dashboard section of processes and scrape targets."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import (
    SCRAPE_DURATION_SECONDS,
    SCRAPE_SAMPLES_SCRAPED,
    TROUBLES,
    UP,
    ago,
    lowest,
    ours,
    select,
    step_increase,
    total,
    worst,
)
from peak_observe.monitoring.style import AGE, COUNT, RED, SPAN, Json

NO_PROCESSES = "no process writes snapshots"
NO_TARGETS = "nothing is scraped"


def gone(link: Json | None = None) -> Json:
    """Return the tile that counts processes that died."""
    died = select(TROUBLES, 'alert="PeakProcessDied"')
    return panels.stat(
        "Processes gone",
        "Processes that ended without saying so within the last day, and have not come back. Start them again, and see "
        "the system's log for why.",
        f"count({died}) or 0 * count({select(catalog.PROCESS_UP)})",
        "none",
        steps={RED: 1},
        empty="no snapshots",
        link=link,
    )


def down() -> str:
    """Return how many targets cannot be scraped."""
    return f"sum({ours(f'{select(UP)} == bool 0')})"


def targets_down(link: Json | None = None) -> Json:
    """Return the tile that counts targets that cannot be scraped."""
    return panels.stat(
        "Targets down",
        "Programs and exporters that told of themselves in the time shown and cannot be scraped now. Do they run, and "
        "is their port open to Prometheus?",
        down(),
        "none",
        steps={RED: 1},
        empty="none scraped",
        link=link,
    )


def _state(*labels: str) -> str:
    """Return whether each process is up, and 2 for one that ended in good order."""
    ended = f"2 * ({select(catalog.PROCESS_ENDED_TIMESTAMP_SECONDS)} > bool 0)"
    return f"{lowest(select(catalog.PROCESS_UP), *labels)} or {lowest(ended, *labels)}"


def states(*, width: int = 24, link: Json | None = None) -> Json:
    """Return the course of every process."""
    keys = ("job", "instance", "process")
    return panels.state_timeline(
        "Processes that write snapshots",
        "One bar a process, as the exporter sees it. Red: it died, and is shown for 15 minutes; start it again. Grey: "
        "it ended in good order.",
        [query(_state(*keys), "{{process}} @ {{instance}}")],
        style.mapped(style.PROCESS_TEXTS),
        empty=NO_PROCESSES,
        size=(width, 6),
        link=link,
    )


def processes() -> list[Json]:
    """Return who lives and who does not."""
    rejected = step_increase(catalog.PROCESS_SNAPSHOTS_REJECTED_TOTAL)
    keys = {"process": "Process", "job": "Job", "instance": "Instance"}
    seen, told = ago(catalog.PROCESS_START_TIME_SECONDS), ago(catalog.OBSERVE_START_TIME_SECONDS)
    return [
        states(width=16),
        panels.timeseries(
            "Snapshots left out by reason",
            "Snapshot files that are no good. Anything but 0: the log of the exporter names the file.",
            [query(total(rejected, "reason"), "{{reason}}")],
            "short",
            empty="no exporter",
            bars=True,
        )
        | {"gridPos": {"w": 8, "h": 6}},
        panels.timeseries(
            "Limits of snapshots used",
            "How much of each limit the folder uses. At 100 % the last names of the alphabet are left out: remove "
            "files, or raise max_bytes or max_series of [processes].",
            [query(worst(select(catalog.PROCESS_SNAPSHOTS_USED_RATIO), "limit"), "{{limit}}")],
            "percentunit",
            empty="no exporter",
            width=24,
        ),
        tables.table(
            "Processes by name",
            "Every process that writes snapshots, and programs that serve themselves, which have no state here. One "
            "that is up and whose snapshot is old hangs, or its disk is full. Ended: in good order.",
            keys,
            [
                ("State", _state(*keys), style.state(style.PROCESS_TEXTS)),
                ("Began ago", f"{lowest(seen, *keys)} or {lowest(told, *keys)}", AGE),
                ("Snapshot age", worst(select(catalog.PROCESS_SNAPSHOT_AGE_SECONDS), *keys), SPAN),
            ],
            empty=NO_PROCESSES,
            size=(24, 5),
        ),
    ]


def targets() -> list[Json]:
    """Return what Prometheus scrapes, with versions."""
    return [
        panels.timeseries(
            "Time that scrapes take",
            "How long Prometheus waits for each target. Near its scrape timeout (10 s by default) data begins to be "
            "missing: look for names that are built from ids.",
            [query(worst(ours(select(SCRAPE_DURATION_SECONDS)), "job", "instance"), "{{job}} {{instance}}")],
            "s",
            empty=NO_TARGETS,
            width=12,
        ),
        panels.timeseries(
            "Samples scraped",
            "How many series each target has. If it grows without end, a name is built from something that does, like "
            "an order's id.",
            [query(worst(ours(select(SCRAPE_SAMPLES_SCRAPED)), "job", "instance"), "{{job}} {{instance}}")],
            "short",
            empty=NO_TARGETS,
            width=12,
        ),
        _targets(),
        _versions(),
    ]


def _targets() -> Json:
    keys = {"job": "Job", "instance": "Instance"}
    return tables.table(
        "Targets",
        "Everything that told of peak_observe in the time shown. Down: does it run, and is its port open to "
        "Prometheus?",
        keys,
        [
            ("State", lowest(ours(select(UP)), *keys), style.state(style.UP_TEXTS)),
            ("Scrape took", worst(ours(select(SCRAPE_DURATION_SECONDS)), *keys), SPAN),
            ("Samples", worst(ours(select(SCRAPE_SAMPLES_SCRAPED)), *keys), COUNT),
        ],
        empty=NO_TARGETS,
        size=(12, 6),
    )


def _versions() -> Json:
    keys = {"process": "Process", "instance": "Instance", "version": "peak_observe", "python": "Python"}
    return tables.table(
        "Versions",
        "Every process that is told of, with its versions. Two versions of peak_observe for long: somebody forgot to "
        "restart one.",
        keys,
        [("Processes", total(select(catalog.OBSERVE_BUILD_INFO), *keys), COUNT)],
        empty=NO_TARGETS,
        size=(12, 6),
    )
