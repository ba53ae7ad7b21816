"""Every metric once: what it is called, what it counts, how it is labelled.

A metric's constant is its name without the prefix, in capitals: `peak_breaker_state` is `BREAKER_STATE`.
Nothing is imported from a metrics library, so dashboards, documents and tests can read this page alone.
"""

from __future__ import annotations

from peak_observe.vocabulary import *  # noqa: F403 - the words are part of this page
from peak_observe.vocabulary import Metric

BREAKER_STATE = Metric(
    "peak_breaker_state",
    "gauge",
    "1 for the state the circuit is in, 0 for the others.",
    ("breaker", "state"),
)
BREAKER_CALLS_TOTAL = Metric(
    "peak_breaker_calls_total",
    "counter",
    "Calls by how they ended; rejected calls were never made.",
    ("breaker", "outcome"),
)
BREAKER_CALL_DURATION_SECONDS = Metric(
    "peak_breaker_call_duration_seconds",
    "histogram",
    "Time that calls the circuit let through took, whatever their outcome.",
    ("breaker",),
)
BREAKER_TRANSITIONS_TOTAL = Metric(
    "peak_breaker_transitions_total",
    "counter",
    "Changes of state by the state that was entered.",
    ("breaker", "to"),
)
BREAKER_LAST_TRANSITION_TIMESTAMP_SECONDS = Metric(
    "peak_breaker_last_transition_timestamp_seconds",
    "gauge",
    "Unix time of the last change of state, 0 before the first.",
    ("breaker",),
)
BREAKER_STATE_SECONDS_TOTAL = Metric(
    "peak_breaker_state_seconds_total",
    "counter",
    "Time spent in each state, summed over the breakers that share the name.",
    ("breaker", "state"),
)
BREAKER_FAILURE_THRESHOLD = Metric(
    "peak_breaker_failure_threshold",
    "gauge",
    "Consecutive failures that open the circuit, as configured.",
    ("breaker",),
)
BREAKER_RECOVERY_TIMEOUT_SECONDS = Metric(
    "peak_breaker_recovery_timeout_seconds",
    "gauge",
    "Time an open circuit waits before it lets a probe through, as configured.",
    ("breaker",),
)
RETRY_CALLS_TOTAL = Metric(
    "peak_retry_calls_total",
    "counter",
    "Operations by how they ended; each is one or more attempts.",
    ("operation", "outcome"),
)
RETRY_RETRIES_TOTAL = Metric(
    "peak_retry_retries_total",
    "counter",
    "Attempts after the first.",
    ("operation",),
)
RETRY_ERRORS_TOTAL = Metric(
    "peak_retry_errors_total",
    "counter",
    "Failed attempts by the class of the exception; past 20 classes an operation the rest count as _other.",
    ("operation", "exception"),
)
RETRY_BACKOFF_SECONDS_TOTAL = Metric(
    "peak_retry_backoff_seconds_total",
    "counter",
    "Time spent waiting between attempts.",
    ("operation",),
)
RETRY_MAX_ATTEMPTS = Metric(
    "peak_retry_max_attempts",
    "gauge",
    "Attempts an operation may make, as configured.",
    ("operation",),
)
HEALTH_CHECK_HEALTHY = Metric(
    "peak_health_check_healthy",
    "gauge",
    "1 if the check counts as passed, 0 if not, NaN before its first run.",
    ("check",),
)
HEALTH_CHECK_DURATION_SECONDS = Metric(
    "peak_health_check_duration_seconds",
    "histogram",
    "Time that runs of the check took; one that hangs is given up, and counted, at its timeout.",
    ("check",),
)
HEALTH_CHECK_RUNS_TOTAL = Metric(
    "peak_health_check_runs_total",
    "counter",
    "Runs by what each found by itself, before thresholds.",
    ("check", "outcome"),
)
HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS = Metric(
    "peak_health_check_last_run_timestamp_seconds",
    "gauge",
    "Unix time at which the last run ended, 0 before the first.",
    ("check",),
)
JOB_RUNS_TOTAL = Metric(
    "peak_job_runs_total",
    "counter",
    "Runs of the job by how they ended; one whose process was killed counts as interrupted.",
    ("task", "outcome"),
)
JOB_LAST_SUCCESS_TIMESTAMP_SECONDS = Metric(
    "peak_job_last_success_timestamp_seconds",
    "gauge",
    "Unix time at which the last run that succeeded ended, 0 for never.",
    ("task",),
)
JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS = Metric(
    "peak_job_last_attempt_timestamp_seconds",
    "gauge",
    "Unix time at which the last run began, whatever came of it.",
    ("task",),
)
JOB_LAST_DURATION_SECONDS = Metric(
    "peak_job_last_duration_seconds",
    "gauge",
    "Time that the last run that ended took, whatever its outcome.",
    ("task",),
)
JOB_RUNNING_SINCE_TIMESTAMP_SECONDS = Metric(
    "peak_job_running_since_timestamp_seconds",
    "gauge",
    "Unix time at which the oldest run under way began, 0 if none is.",
    ("task",),
)
PROCESS_UP = Metric(
    "peak_process_up",
    "gauge",
    "1 while the process lives, 0 once it is gone; a job that ended in order has none.",
    ("process",),
)
PROCESS_START_TIME_SECONDS = Metric(
    "peak_process_start_time_seconds",
    "gauge",
    "Unix time at which the process began.",
    ("process",),
)
PROCESS_SNAPSHOT_AGE_SECONDS = Metric(
    "peak_process_snapshot_age_seconds",
    "gauge",
    "Time since the process last wrote its snapshot.",
    ("process",),
)
PROCESS_SNAPSHOTS_REJECTED_TOTAL = Metric(
    "peak_process_snapshots_rejected_total",
    "counter",
    "Snapshot files that were not read, by what is wrong with them; each state of a file counts once.",
    ("reason",),
)
BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS = Metric(
    "peak_backup_last_success_timestamp_seconds",
    "gauge",
    "Unix time at which the newest backup that succeeded was begun, 0 if there is none.",
    ("repository", "kind"),
)
BACKUP_AGE_SECONDS = Metric(
    "peak_backup_age_seconds",
    "gauge",
    "Age of the newest backup that succeeded; since the repository was configured if there is none.",
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
    "Unix time at which the repository was first used.",
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
    "What all backups take on the disk; a file that several share counts once.",
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
    "Stored files that are known not to be what was stored.",
    ("repository",),
)
EXCHANGE_REQUESTS_TOTAL = Metric(
    "peak_exchange_requests_total",
    "counter",
    "Requests to the exchange by what their answer means; ambiguous ones may or may not have changed something.",
    ("exchange", "endpoint", "outcome"),
)
EXCHANGE_REQUEST_DURATION_SECONDS = Metric(
    "peak_exchange_request_duration_seconds",
    "histogram",
    "Time from sending a request to the end of its answer, without the wait for the rate limiter.",
    ("exchange", "endpoint"),
)
EXCHANGE_DATA_AGE_SECONDS = Metric(
    "peak_exchange_data_age_seconds",
    "gauge",
    "Age of the data of that kind by the exchange's time, or since its receipt; NaN before the first.",
    ("exchange", "kind"),
)
EXCHANGE_CLOCK_SKEW_SECONDS = Metric(
    "peak_exchange_clock_skew_seconds",
    "gauge",
    "How far the exchange's clock is ahead of ours, 0 before the first answer that tells.",
    ("exchange",),
)
EXCHANGE_RATE_LIMIT_USED_RATIO = Metric(
    "peak_exchange_rate_limit_used_ratio",
    "gauge",
    "Share of the rate limit that is used up, as the exchange says or as its published rules count.",
    ("exchange",),
)
EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS = Metric(
    "peak_exchange_banned_until_timestamp_seconds",
    "gauge",
    "Unix time until which the exchange last asked to be left alone, 0 if it never did.",
    ("exchange",),
)
EXPORTER_SOURCE_UP = Metric(
    "peak_exporter_source_up",
    "gauge",
    "1 if the last run of the source told something in time, 0 if it failed or hangs, NaN before its first run.",
    ("source",),
)
EXPORTER_SOURCE_DURATION_SECONDS = Metric(
    "peak_exporter_source_duration_seconds",
    "gauge",
    "Time that the last run of the source took, or that the present one hangs.",
    ("source",),
)
EXPORTER_SOURCE_LAST_SUCCESS_TIMESTAMP_SECONDS = Metric(
    "peak_exporter_source_last_success_timestamp_seconds",
    "gauge",
    "Unix time at which the source last told something in time, 0 for never.",
    ("source",),
)
EXPORTER_SOURCE_RUNS_TOTAL = Metric(
    "peak_exporter_source_runs_total",
    "counter",
    "Runs of the source by how they ended; one that hangs counts once, at its timeout.",
    ("source", "outcome"),
)
EXPORTER_CONFIG_RELOAD_SUCCESS = Metric(
    "peak_exporter_config_reload_success",
    "gauge",
    "1 if the last look at the configuration succeeded, 0 if the exporter goes on with the one before.",
)
EXPORTER_CONFIG_LAST_RELOAD_TIMESTAMP_SECONDS = Metric(
    "peak_exporter_config_last_reload_timestamp_seconds",
    "gauge",
    "Unix time at which the configuration in use was read.",
)
EXPORTER_TIME_SECONDS = Metric(
    "peak_exporter_time_seconds",
    "gauge",
    "Unix time by the clock of the exporter; far from the time of the scrape, one of the two clocks is wrong.",
)
OBSERVE_BUILD_INFO = Metric(
    "peak_observe_build_info",
    "gauge",
    "1, labelled with the versions of peak_observe and Python.",
    ("version", "python"),
)

METRICS: tuple[Metric, ...] = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
"""All of them, in the order above, which is also the order of `/metrics`."""

IN_PROCESS: tuple[Metric, ...] = tuple(
    metric for metric in METRICS if not metric.name.startswith(("peak_exporter_", "peak_process_"))
)
"""Those that a process tells of itself; the others only the exporter knows."""
