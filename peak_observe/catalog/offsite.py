"""Metrics of off-site stores, as the host that pushes knows them; kept on its disk."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

OFFSITE_LAST_BACKUP_TIMESTAMP_SECONDS = Metric(
    "peak_offsite_last_backup_timestamp_seconds",
    "gauge",
    "Unix time at which the newest good backup in the off-site store was made, 0 if there is none.",
    ("repository",),
)
OFFSITE_AGE_SECONDS = Metric(
    "peak_offsite_age_seconds",
    "gauge",
    "Age of the newest good backup in the off-site store; since the store was first used if there is none.",
    ("repository",),
)
OFFSITE_MAX_AGE_SECONDS = Metric(
    "peak_offsite_max_age_seconds",
    "gauge",
    "Age that the newest backup in the off-site store may reach, as its owner promised.",
    ("repository",),
)
OFFSITE_CONFIGURED_TIMESTAMP_SECONDS = Metric(
    "peak_offsite_configured_timestamp_seconds",
    "gauge",
    "Unix time at which the off-site store was first used from here.",
    ("repository",),
)
OFFSITE_LAST_PUSH_TIMESTAMP_SECONDS = Metric(
    "peak_offsite_last_push_timestamp_seconds",
    "gauge",
    "Unix time at which a push last succeeded, 0 for never.",
    ("repository",),
)
OFFSITE_LAST_ATTEMPT_TIMESTAMP_SECONDS = Metric(
    "peak_offsite_last_attempt_timestamp_seconds",
    "gauge",
    "Unix time at which the last push was begun, whatever came of it; 0 before the first.",
    ("repository",),
)
OFFSITE_PUSHES_TOTAL = Metric(
    "peak_offsite_pushes_total",
    "counter",
    "Pushes to the off-site store by how they ended; kept on the disk.",
    ("repository", "outcome"),
)
OFFSITE_SENT_BYTES_TOTAL = Metric(
    "peak_offsite_sent_bytes_total",
    "counter",
    "Bytes sent to the off-site store, compressed and encrypted.",
    ("repository",),
)
OFFSITE_REUSED_BYTES_TOTAL = Metric(
    "peak_offsite_reused_bytes_total",
    "counter",
    "Bytes of backups that were not sent, as the off-site store had them already.",
    ("repository",),
)
OFFSITE_OBJECTS = Metric(
    "peak_offsite_objects",
    "gauge",
    "Objects in the off-site store, when it was last looked at.",
    ("repository",),
)
OFFSITE_STORED_BYTES = Metric(
    "peak_offsite_stored_bytes",
    "gauge",
    "Bytes of the objects in the off-site store, when it was last looked at.",
    ("repository",),
)
OFFSITE_DAMAGED = Metric(
    "peak_offsite_damaged",
    "gauge",
    "Objects and records of the off-site store that are known to be missing, cut or unreadable.",
    ("repository",),
)
OFFSITE_LAST_VERIFIED_TIMESTAMP_SECONDS = Metric(
    "peak_offsite_last_verified_timestamp_seconds",
    "gauge",
    "Unix time at which the off-site store was last found to be whole, 0 for never.",
    ("repository",),
)
OFFSITE_LAST_DRILL_TIMESTAMP_SECONDS = Metric(
    "peak_offsite_last_drill_timestamp_seconds",
    "gauge",
    "Unix time at which the newest backup was last restored from the off-site store alone, 0 for never.",
    ("repository",),
)
