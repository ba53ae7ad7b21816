"""Dashboard section of backup repositories and their parts."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import style, tables
from peak_observe.monitoring.promql import ago, lowest, select, worst
from peak_observe.monitoring.style import AGE, AMBER, BYTES, COUNT, RUNNING, SPAN, Json

NO_BACKUPS = "no repositories"


def against_promise(comparison: str) -> str:
    """Return the age of each part compared with what the owner of its repository promised."""
    age, promise = select(catalog.BACKUP_AGE_SECONDS), select(catalog.BACKUP_MAX_AGE_SECONDS)
    return f"{age} {comparison} on (job, instance, process, repository) group_left () {promise}"


def parts() -> Json:
    """Return what a restore would bring back."""
    keys = {"repository": "Repository", "kind": "Part", "process": "Process", "job": "Job", "instance": "Instance"}
    return tables.table(
        "Newest backup by part",
        "What a restore would bring back. Without an age none has succeeded yet; over 100 % of the promise is late. "
        "`peak-observe backup list` shows all of them.",
        keys,
        [
            ("Of the promise", worst(against_promise("/"), *keys), style.of_promise()),
            ("Made ago", worst(ago(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS), *keys), AGE),
            ("Files", worst(select(catalog.BACKUP_FILES), *keys), COUNT),
            ("Size", worst(select(catalog.BACKUP_SIZE_BYTES), *keys), BYTES),
            ("Took", worst(select(catalog.BACKUP_LAST_DURATION_SECONDS), *keys), SPAN),
        ],
        empty=NO_BACKUPS,
        size=(24, 6),
        sort="Of the promise",
    )


def repositories() -> Json:
    """Return what is in each repository."""
    keys = {"repository": "Repository", "process": "Process", "instance": "Instance"}

    def stored(status: str) -> str:
        return worst(select(catalog.BACKUP_STORED, f'status="{status}"'), *keys)

    return tables.table(
        "Repositories",
        "Every repository: what is in it, and when something was last tried and proven there. Never verified: "
        "`peak-observe backup drill` proves that a restore would work.",
        keys,
        [
            ("Succeeded", stored("success"), COUNT),
            ("Partial", stored("partial"), style.bad(AMBER)),
            ("Failed", stored("failed"), style.bad()),
            ("Corrupt files", worst(select(catalog.BACKUP_CORRUPT_FILES), *keys), style.bad()),
            ("Tried ago", lowest(ago(catalog.BACKUP_LAST_ATTEMPT_TIMESTAMP_SECONDS), *keys), AGE),
            ("Verified ago", lowest(ago(catalog.BACKUP_LAST_VERIFIED_TIMESTAMP_SECONDS), *keys), AGE),
            ("Running for", worst(ago(catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS), *keys), RUNNING),
            ("In use for", worst(ago(catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS), *keys), AGE),
            ("Promised", worst(select(catalog.BACKUP_MAX_AGE_SECONDS), *keys), SPAN),
            ("On the disk", worst(select(catalog.BACKUP_STORED_BYTES), *keys), BYTES),
        ],
        empty=NO_BACKUPS,
        size=(24, 6),
    )
