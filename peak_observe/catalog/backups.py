"""Metrics of backup repositories, read from the disk at scrape time."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS = Metric(
    "peak_backup_last_success_timestamp_seconds",
    "gauge",
    "Unix time at which the newest backup that succeeded, and is not known to be corrupt, was begun; 0 if none is.",
    ("repository", "kind"),
)
BACKUP_AGE_SECONDS = Metric(
    "peak_backup_age_seconds",
    "gauge",
    "Age of the newest good backup, not known to be corrupt, of the path that is worst off; since named if none is.",
    ("repository", "kind"),
)
BACKUP_SIZE_BYTES = Metric(
    "peak_backup_size_bytes",
    "gauge",
    "Size of the files in the newest backup that succeeded.",
    ("repository", "kind"),
)
BACKUP_FILES = Metric(
    "peak_backup_files",
    "gauge",
    "Files in the newest backup that succeeded.",
    ("repository", "kind"),
)
BACKUP_LAST_DURATION_SECONDS = Metric(
    "peak_backup_last_duration_seconds",
    "gauge",
    "Time that the newest backup that succeeded took.",
    ("repository", "kind"),
)
BACKUP_CONFIGURED_TIMESTAMP_SECONDS = Metric(
    "peak_backup_configured_timestamp_seconds",
    "gauge",
    "Unix time at which the repository was first used, or first seen if it does not tell; absent if nothing is there.",
    ("repository",),
)
BACKUP_LAST_ATTEMPT_TIMESTAMP_SECONDS = Metric(
    "peak_backup_last_attempt_timestamp_seconds",
    "gauge",
    "Unix time at which the last backup was begun, whatever came of it; 0 before the first.",
    ("repository",),
)
BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS = Metric(
    "peak_backup_running_since_timestamp_seconds",
    "gauge",
    "Unix time at which the backup under way was begun, 0 if none is.",
    ("repository",),
)
BACKUP_MAX_AGE_SECONDS = Metric(
    "peak_backup_max_age_seconds",
    "gauge",
    "Age that the newest backup may reach, as its owner promised.",
    ("repository",),
)
BACKUP_STORED_BYTES = Metric(
    "peak_backup_stored_bytes",
    "gauge",
    "Disk space of all backups; a file that several share counts once.",
    ("repository",),
)
BACKUP_STORED = Metric(
    "peak_backup_stored",
    "gauge",
    "Backups in the repository by how they ended.",
    ("repository", "status"),
)
BACKUP_RUNS_TOTAL = Metric(
    "peak_backup_runs_total",
    "counter",
    "Backups by how they ended, also those that are gone; kept on the disk.",
    ("repository", "outcome"),
)
BACKUP_RESTORES_TOTAL = Metric(
    "peak_backup_restores_total",
    "counter",
    "Restores by how they ended; kept on the disk.",
    ("repository", "outcome"),
)
BACKUP_LAST_VERIFIED_TIMESTAMP_SECONDS = Metric(
    "peak_backup_last_verified_timestamp_seconds",
    "gauge",
    "Unix time at which every byte of a backup was last found to be right, 0 for never.",
    ("repository",),
)
BACKUP_CORRUPT_FILES = Metric(
    "peak_backup_corrupt_files",
    "gauge",
    "Stored files that are known not to be what was stored; a lost base and a damaged account count as one each.",
    ("repository",),
)
