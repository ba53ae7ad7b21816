"""Metrics of health checks and jobs."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

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
HEALTH_CHECK_INTERVAL_SECONDS = Metric(
    "peak_health_check_interval_seconds",
    "gauge",
    "Time from one run to the next: as scheduled, else as is usual; NaN until that is known.",
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
JOB_MAX_AGE_SECONDS = Metric(
    "peak_job_max_age_seconds",
    "gauge",
    "Time that may pass from one success to the next, as was promised; NaN without a promise.",
    ("task",),
)
JOB_RUNNING_SINCE_TIMESTAMP_SECONDS = Metric(
    "peak_job_running_since_timestamp_seconds",
    "gauge",
    "Unix time at which the oldest run under way began, 0 if none is.",
    ("task",),
)
