"""Alerts about health checks and jobs."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import (
    AT,
    CHECK_STATE,
    COUNT,
    MOMENT,
    SPAN,
    WARNING,
    Alert,
    Group,
    Recording,
    by_our_clock,
    last,
    twins,
)

_HEALTHY = catalog.HEALTH_CHECK_HEALTHY.name
_FAILING = f"{last(catalog.HEALTH_CHECK_HEALTHY)} == 0"
_FLAPPING = f"changes({catalog.HEALTH_CHECK_HEALTHY.name}[30m]) >= 6"

_SUCCESS = last(catalog.JOB_LAST_SUCCESS_TIMESTAMP_SECONDS)
_ATTEMPT = last(catalog.JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS)
_SINCE = f"{last(catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS)} > 0"
_RUNNING = f"time() - {by_our_clock(_SINCE)}"
_MAX_AGE = last(catalog.JOB_MAX_AGE_SECONDS)
_BORN = f"{last(catalog.PROCESS_START_TIME_SECONDS)} or {last(catalog.OBSERVE_START_TIME_SECONDS)}"
# One that was never begun is waited for since its process began.
_NEVER = f"0 * ({_ATTEMPT} == 0) + on (job, instance, process) group_left () max by (job, instance, process) ({_BORN})"
_OVERDUE = f"(time() - {by_our_clock(f'{_SUCCESS} > 0 or {_ATTEMPT} > 0 or {_NEVER}')}) > {_MAX_AGE}"
_LONGEST = f"max_over_time({catalog.JOB_LAST_DURATION_SECONDS.name}[7d:1h])"

_LAST_RUN = f"time() - {by_our_clock(f'{last(catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS)} > 0')}"
_TOO_LONG = f"clamp_min(3 * {last(catalog.HEALTH_CHECK_INTERVAL_SECONDS)}, 300)"
# One look for alert and dashboard; most checks run, and are not in it.
_SILENT = Recording("instance_check:peak_health_check_silent:seconds", f"({_LAST_RUN}) > {_TOO_LONG}")
# Failing, passed, or passed long ago: the numbers of the dashboard's texts.
_STATE = f"({_HEALTHY} == 0) or (2 + 0 * ({_SILENT.name} and {_HEALTHY})) or ({_HEALTHY} >= 0)"

HEALTH = Group(
    "health",
    "peak-backups",
    (
        *twins(
            Alert(
                "PeakHealthCheckFailing",
                WARNING,
                _FAILING,
                "2m",
                "a check fails",
                f"Health check {{{{ $labels.check }}}} of {AT} fails.",
                "It has been failing for {lasting}; /readyz?verbose of the program tells why.",
                "A check counts as failed, by its thresholds.",
                "`peak-observe health`, or `/readyz?verbose` of the program: the line of the check says what is wrong.",
                "The message.",
                keep="2m",
                subject="check",
            ),
            lasting="15m",
        ),
        Alert(
            "PeakHealthCheckFlapping",
            WARNING,
            _FLAPPING,
            "0m",
            "a check has changed between passed and failed six times within half an hour",
            f"Health check {{{{ $labels.check }}}} of {AT} fails again and again.",
            f"It has changed {COUNT} times within 30 minutes.",
            "A check fails, passes, and fails again: each time too short for an alert.",
            "`/readyz?verbose` of the program, several times: what does it say when it fails?",
            "The message. If it is noise, let it fail several times first: `failure_threshold`.",
            keep="10m",
            subject="check",
        ),
        Alert(
            "PeakHealthCheckStale",
            WARNING,
            _SILENT.name,
            "2m",
            "a check has not run for 5 minutes, and for three times its interval",
            f"Health check {{{{ $labels.check }}}} of {AT} does not run any more.",
            f"It ran {SPAN} ago.",
            "A check that is not run says nothing: its last state is shown as if it still held.",
            "Does the program still run its checks (`health_check.start()`), and does `/livez` answer?",
            "Start the background runs again; for checks that only a probe runs, look at the probe.",
            subject="check",
        ),
    ),
    recordings=(_SILENT, Recording(CHECK_STATE, _STATE)),
    every="1m",
)

JOBS = Group(
    "jobs",
    "peak-backups",
    (
        Alert(
            "PeakJobFailed",
            WARNING,
            # A job whose process was killed has no series of running any more, hence `unless`.
            f"({_ATTEMPT} > {_SUCCESS}) unless ({_SINCE})",
            "1m",
            "the last run of a job failed or was interrupted",
            f"The last run of job {{{{ $labels.task }}}} of {AT} did not succeed.",
            f"It was begun at {MOMENT}, and has failed or was interrupted.",
            "A job raised, ended with a code other than 0, or its process was killed. It stays until a run succeeds.",
            "The output of the job: cron's mail, or `journalctl`. `peak_job_runs_total` says whether it failed or was "
            "interrupted.",
            "Mend what its output says, and run it again.",
            subject="task",
        ),
        Alert(
            "PeakJobOverdue",
            WARNING,
            _OVERDUE,
            "1m",
            "a job has not succeeded for longer than was promised (`max_age`)",
            f"Job {{{{ $labels.task }}}} of {AT} is overdue.",
            f"Its last success was {SPAN} ago, or it has not succeeded since it first began.",
            "No run has succeeded within the time that the program promises by `job(…, max_age=…)`: it failed, hangs, "
            "or nothing starts it any more.",
            "Did its timer fire (`systemctl list-timers`, `crontab -l`)? Then its output: cron's mail, `journalctl`.",
            "Run it by hand, and mend the timer. If it may be older, promise less.",
            subject="task",
        ),
        Alert(
            "PeakJobStuck",
            WARNING,
            f"({_RUNNING} > 3600) and ({_RUNNING} > 3 * {_LONGEST})",
            "0m",
            "a job runs for an hour, and for three times as long as its longest run of the week",
            f"Job {{{{ $labels.task }}}} of {AT} does not end.",
            f"It was begun {SPAN} ago, and no run of the last 7 days took a third of that.",
            "A run hangs. The next one may wait for it, or work beside it.",
            "What does its process wait for? `py-spy dump` or `/proc/PID/stack` tell.",
            "End it; give what it waits for a timeout. A job that has never ended before is not judged.",
            subject="task",
        ),
    ),
    notes='How often a job has to succeed is known where the program says it: `job("nightly-backup", max_age="26h")`.',
    every="2m",
)
