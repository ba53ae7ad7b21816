"""What the dashboard shows of the backups."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels
from peak_observe.monitoring.panels import GREEN, ORANGE, PURPLE, RED, YELLOW, Json, query
from peak_observe.monitoring.promql import increase, select, since, total, worst

RUN_COLOURS = dict(zip(catalog.BACKUP_OUTCOMES, (GREEN, YELLOW, RED, PURPLE), strict=True))
DAY = 86_400
PARTS = ("repository", "kind")


def _against_promise(comparison: str) -> str:
    """Return the age of each part compared with what the owner of its repository promised."""
    age, promise = select(catalog.BACKUP_AGE_SECONDS), select(catalog.BACKUP_MAX_AGE_SECONDS)
    return f"{age} {comparison} on (job, instance, repository) group_left () {promise}"


def backups() -> list[Json]:
    """Return whether there is something to restore, how proven it is, and what making it takes."""
    return [panels.row("Backups"), *_tiles(), *_courses(), _parts(), _repositories()]


def _tiles() -> list[Json]:
    never = f"{select(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS)} == bool 0"
    return [
        panels.stat(
            "Overdue backups",
            "Parts whose newest backup is older than promised (`max_age`). Anything but 0: see if the schedule runs.",
            total(_against_promise("> bool")),
            "none",
            steps={RED: 1},
            empty="no promise",
        ),
        panels.stat(
            "Never backed up",
            "Parts that something is named for and of which no backup has ever succeeded. Make one now.",
            total(never),
            "none",
            steps={RED: 1},
            empty="no backups",
        ),
        panels.stat(
            "Oldest newest backup",
            "How much would be lost if a disk died now: the age of the newest backup that succeeded, of the part that "
            "is worst off.",
            worst(since(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS)),
            "s",
            steps={},
            empty="never",
        ),
        panels.stat(
            "Verified ago",
            "When every byte of a backup was last found to be right. More than a week: `peak-observe backup drill`.",
            worst(since(catalog.BACKUP_LAST_VERIFIED_TIMESTAMP_SECONDS)),
            "s",
            steps={YELLOW: 7 * DAY, RED: 30 * DAY},
            empty="never",
        ),
        panels.stat(
            "Corrupt files",
            "Stored files that are not what was stored. Anything but 0: `peak-observe backup verify --all` names them; "
            "make a new backup and look at the disk.",
            total(select(catalog.BACKUP_CORRUPT_FILES)),
            "none",
            steps={RED: 1},
            empty="no backups",
        ),
        panels.stat(
            "Running",
            "Time since the backup under way was begun. Longer than it ever took: it hangs, or its process was killed.",
            worst(since(catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS)),
            "s",
            steps={ORANGE: DAY / 4},
            empty="idle",
        ),
    ]


def _courses() -> list[Json]:
    part = "{{repository}} {{kind}}"

    def ended(metric: catalog.Metric) -> Json:
        counted = total(increase(metric, window="$__rate_interval"), "outcome")
        return {**query(f"{counted} > 0", "{{outcome}}"), "interval": "1m"}

    return [
        panels.timeseries(
            "Age of the newest backup",
            "Since the newest backup that succeeded was begun, or since something is named if none has. The dashed "
            "line is what was promised; a saw's teeth below it are what you want.",
            [
                query(worst(select(catalog.BACKUP_AGE_SECONDS), *PARTS), part),
                query(worst(select(catalog.BACKUP_MAX_AGE_SECONDS), "repository"), "promised for {{repository}}"),
            ],
            "s",
            limit="promised for",
        ),
        panels.timeseries(
            "Backups by outcome",
            "Backups that ended, a minute at least a bar. Partial: something named is missing; `peak-observe backup "
            "show` names it. Interrupted: a crash or Ctrl-C.",
            [ended(catalog.BACKUP_RUNS_TOTAL)],
            "short",
            bars=True,
            colours=RUN_COLOURS,
        ),
        panels.timeseries(
            "Restores by outcome",
            "Restores that ended; drills and dry runs do not count. Anything but success is worth a look at the log.",
            [ended(catalog.BACKUP_RESTORES_TOTAL)],
            "short",
            bars=True,
            colours=RUN_COLOURS,
        ),
        panels.timeseries(
            "Size of the newest backup",
            "Of the files as they were at their source. After a sudden drop look whether something was lost.",
            [query(worst(select(catalog.BACKUP_SIZE_BYTES), *PARTS), part)],
            "bytes",
        ),
        panels.timeseries(
            "Duration of the newest backup",
            "Time that it took. It grows with what changed, and with a disk that fails.",
            [query(worst(select(catalog.BACKUP_LAST_DURATION_SECONDS), *PARTS), part)],
            "s",
        ),
        panels.timeseries(
            "Stored on the disk",
            "What all backups take; a file that several share counts once. `peak-observe backup prune` makes room.",
            [query(worst(select(catalog.BACKUP_STORED_BYTES), "repository"), "{{repository}}")],
            "bytes",
            stacked=True,
        ),
    ]


def _parts() -> Json:
    keys = {"repository": "Repository", "kind": "Part", "job": "Job", "instance": "Instance"}
    used = {
        "unit": "percentunit",
        "decimals": 0,
        "mappings": [
            {"type": "special", "options": {"match": "null", "result": {"text": "-", "color": "transparent"}}}
        ],
        "thresholds": panels.thresholds({YELLOW: 0.8, RED: 1}),
        "custom__cellOptions": {"type": "color-background", "mode": "basic"},
    }
    return panels.table(
        "Newest backup by part",
        "What a restore would bring back. Without an age none has succeeded yet; over 100 % of the promise is late.",
        keys,
        [
            ("Of the promise", worst(_against_promise("/"), *keys), used),
            ("Made ago", worst(since(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS), *keys), {"unit": "s"}),
            ("Files", worst(select(catalog.BACKUP_FILES), *keys), {"decimals": 0}),
            ("Size", worst(select(catalog.BACKUP_SIZE_BYTES), *keys), {"unit": "bytes"}),
            ("Took", worst(select(catalog.BACKUP_LAST_DURATION_SECONDS), *keys), {"unit": "s"}),
        ],
        height=8,
    )


def _repositories() -> Json:
    keys = {"repository": "Repository", "job": "Job", "instance": "Instance"}
    counted, time = {"decimals": 0}, {"unit": "s"}

    def stored(status: str) -> str:
        return worst(select(catalog.BACKUP_STORED, f'status="{status}"'), *keys)

    return panels.table(
        "Repositories",
        "Every repository: what is in it, and when something was last tried and proven there.",
        keys,
        [
            ("Succeeded", stored("success"), counted),
            ("Partial", stored("partial"), counted),
            ("Failed", stored("failed"), counted),
            ("Corrupt files", worst(select(catalog.BACKUP_CORRUPT_FILES), *keys), counted),
            ("Tried ago", worst(since(catalog.BACKUP_LAST_ATTEMPT_TIMESTAMP_SECONDS), *keys), time),
            ("Verified ago", worst(since(catalog.BACKUP_LAST_VERIFIED_TIMESTAMP_SECONDS), *keys), time),
            ("Running for", worst(since(catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS), *keys), time),
            ("In use for", worst(since(catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS), *keys), time),
            ("Promised", worst(select(catalog.BACKUP_MAX_AGE_SECONDS), *keys), time),
            ("On the disk", worst(select(catalog.BACKUP_STORED_BYTES), *keys), {"unit": "bytes"}),
        ],
        height=6,
    )
