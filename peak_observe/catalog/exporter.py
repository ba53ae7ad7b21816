"""Metrics of the exporter: processes, sources and itself."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

PROCESS_UP = Metric(
    "peak_process_up",
    "gauge",
    "1 while the process lives, 0 once it died; one that ended in good order has none.",
    ("process",),
)
PROCESS_ENDED_TIMESTAMP_SECONDS = Metric(
    "peak_process_ended_timestamp_seconds",
    "gauge",
    "Unix time at which the process ended in good order: by its own end, Ctrl-C or SIGTERM.",
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
PROCESS_CLOCK_OFFSET_SECONDS = Metric(
    "peak_process_clock_offset_seconds",
    "gauge",
    "How far the clock of the process is ahead of the exporter's; 0 on the same host.",
    ("process",),
)
PROCESS_SNAPSHOTS_REJECTED_TOTAL = Metric(
    "peak_process_snapshots_rejected_total",
    "counter",
    "Snapshot files that were not read, by what is wrong with them; each state of a file counts once.",
    ("reason",),
)
PROCESS_SNAPSHOTS_USED_RATIO = Metric(
    "peak_process_snapshots_used_ratio",
    "gauge",
    "Share of each limit on snapshots that the folder uses; where it would be over 1, snapshots are left out.",
    ("limit",),
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
OBSERVE_START_TIME_SECONDS = Metric(
    "peak_observe_start_time_seconds",
    "gauge",
    "Unix time at which the process that is scraped began.",
)
OBSERVE_TIME_SECONDS = Metric(
    "peak_observe_time_seconds",
    "gauge",
    "Unix time by the clock of the process that is scraped; far from the time of the scrape, one of them is wrong.",
)
