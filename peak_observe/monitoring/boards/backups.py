"""Dashboard of backups, health checks and jobs."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import dashboard, panels, style
from peak_observe.monitoring.boards import checks, jobs, offsite, repositories
from peak_observe.monitoring.boards.repositories import NO_BACKUPS, against_promise
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import by_our_clock, longest_since, select, step_increase, total, worst
from peak_observe.monitoring.style import AMBER, DAY, RED, YELLOW, Json

PARTS = ("repository", "kind")
NOT_YET = "no backup yet"


def board() -> Json:
    """Return the dashboard."""
    return dashboard.board(
        "peak-backups",
        "peak_observe: backups, health and jobs",
        "Could we restore, how proven is that, which checks fail, and which jobs did not run?",
        [
            panels.row("Backups"),
            *_tiles(),
            *_courses(),
            repositories.parts(),
            repositories.repositories(),
            offsite.places(),
            *offsite.courses(),
            panels.row("Health"),
            checks.states(),
            *checks.checks(),
            panels.row("Jobs"),
            *jobs.jobs(),
        ],
        variables=("repository", "check", "task"),
        marks=[*dashboard.backups(), *dashboard.restarts()],
    )


def overdue(link: Json | None = None) -> Json:
    """Return the tile that counts what is older than promised."""
    return panels.stat(
        "Overdue backups",
        "Parts whose newest backup is older than promised (`max_age`). Anything but 0: see if the schedule runs, then "
        "make one by hand with `peak-observe backup create`.",
        total(against_promise("> bool")),
        "none",
        steps={RED: 1},
        empty="no promise",
        link=link,
    )


def promised(*, width: int = 8, link: Json | None = None) -> Json:
    """Return how much of its promise each part has used up."""
    shown = panels.timeseries(
        "Backup age against promise",
        "Age of the newest backup as a share of what its owner promised (`max_age`). A saw's teeth below 100 % are "
        "what you want; above it is late: see if the schedule runs.",
        [query(worst(against_promise("/"), *PARTS), "{{repository}} {{kind}}")],
        "percentunit",
        empty="no promise",
        width=width,
    )
    shown["fieldConfig"]["defaults"] |= {"thresholds": style.thresholds({RED: 1}), "links": [link] if link else []}
    shown["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] = {"mode": "dashed"}
    return shown


def _tiles() -> list[Json]:
    return [
        overdue(),
        panels.stat(
            "Never backed up",
            "Parts that something is named for and of which there is no good backup: none has succeeded, or those that "
            "did are corrupt or gone. Make one now with `peak-observe backup create`; it says what is in the way.",
            total(f"{select(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS)} == bool 0"),
            "none",
            steps={RED: 1},
            empty=NO_BACKUPS,
        ),
        panels.stat(
            "Oldest newest backup",
            "How much would be lost if a disk died now: the age of the newest backup that succeeded, of the part that "
            "is worst off. More than you can bear to lose, or never: make them more often.",
            longest_since(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS),
            "s",
            steps={},
            mappings=style.never(),
            empty="never",
        ),
        panels.stat(
            "Verified ago",
            "When every byte of a backup was last found to be right, of the repository where that is longest ago; "
            "never, if one was never verified. More than a week: `peak-observe backup drill`.",
            longest_since(catalog.BACKUP_LAST_VERIFIED_TIMESTAMP_SECONDS),
            "s",
            steps={YELLOW: 7 * DAY, RED: 30 * DAY},
            mappings=style.never(),
            empty="never",
        ),
        panels.stat(
            "Corrupt files",
            "Stored files that are not what was stored. Anything but 0: `peak-observe backup verify --all` names them; "
            "make a new backup and look at the disk.",
            total(select(catalog.BACKUP_CORRUPT_FILES)),
            "none",
            steps={RED: 1},
            empty=NO_BACKUPS,
        ),
        panels.stat(
            "Running for",
            "Time since the backup under way was begun; 0 if none is. Longer than it ever took: it hangs, or its "
            "process was killed.",
            worst(_running()),
            "s",
            steps={AMBER: DAY / 4},
            mappings=style.mapped({0: ("idle", style.GREEN)}),
            empty=NO_BACKUPS,
        ),
    ]


def _running() -> str:
    since_when = select(catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS)
    return f"(time() - {by_our_clock(since_when)}) * ({since_when} > bool 0)"


def _courses() -> list[Json]:
    part = "{{repository}} {{kind}}"
    return [
        promised(),
        panels.timeseries(
            "Age of the newest backup",
            "Since the newest backup that succeeded was begun, or since something is named if none has. The dashed "
            "line is what was promised; what crosses it is late.",
            [
                query(worst(select(catalog.BACKUP_AGE_SECONDS), *PARTS), part),
                query(worst(select(catalog.BACKUP_MAX_AGE_SECONDS), "repository"), "promised for {{repository}}"),
            ],
            "s",
            empty=NO_BACKUPS,
            limit="promised for",
        ),
        panels.timeseries(
            "Backups by outcome",
            "Backups that ended within four scrapes, or a step if that is longer. Partial: something named is missing; "
            "`peak-observe backup show` names it. Interrupted: a crash or Ctrl-C.",
            [query(total(step_increase(catalog.BACKUP_RUNS_TOTAL), "outcome"), "{{outcome}}")],
            "short",
            empty=NO_BACKUPS,
            bars=True,
            colours=style.BACKUP_COLOURS,
        ),
        panels.timeseries(
            "Size of the newest backup",
            "Of the files as they were at their source. After a sudden drop look whether something was lost.",
            [query(worst(select(catalog.BACKUP_SIZE_BYTES), *PARTS), part)],
            "bytes",
            empty=NOT_YET,
            width=6,
        ),
        panels.timeseries(
            "Duration of the newest backup",
            "Time that it took. It grows with what changed, and with a disk that fails: if the size did not grow too, "
            "look at the disk.",
            [query(worst(select(catalog.BACKUP_LAST_DURATION_SECONDS), *PARTS), part)],
            "s",
            empty=NOT_YET,
            width=6,
        ),
        panels.timeseries(
            "Stored on the disk",
            "What all backups take; a file that several share counts once. `peak-observe backup prune` makes room.",
            [query(worst(select(catalog.BACKUP_STORED_BYTES), "repository"), "{{repository}}")],
            "bytes",
            empty=NO_BACKUPS,
            width=6,
            stacked=True,
        ),
        panels.timeseries(
            "Restores by outcome",
            "Restores that ended; drills and dry runs do not count. Anything but success is worth a look at the log.",
            [query(total(step_increase(catalog.BACKUP_RESTORES_TOTAL), "outcome"), "{{outcome}}")],
            "short",
            empty=NO_BACKUPS,
            width=6,
            bars=True,
            colours=style.BACKUP_COLOURS,
        ),
    ]
