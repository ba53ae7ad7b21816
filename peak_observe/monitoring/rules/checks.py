"""Alerts about health checks and jobs."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import AT, MOMENT, SPAN, WARNING, WHERE, Alert, Group, twins

_CHECK = f"{WHERE}, check"
_FAILING = f"min by ({_CHECK}) ({catalog.HEALTH_CHECK_HEALTHY.name}) == 0"
_LAST_RUN = f"time() - (max by ({_CHECK}) ({catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS.name}) > 0)"
# Seconds from one run to the next on average of a day; infinite where there was none.
_RHYTHM = f"86400 / sum by ({_CHECK}) (increase({catalog.HEALTH_CHECK_RUNS_TOTAL.name}[1d]))"

_TASK = f"{WHERE}, task"
_SUCCESS = f"max by ({_TASK}) ({catalog.JOB_LAST_SUCCESS_TIMESTAMP_SECONDS.name})"
_ATTEMPT = f"max by ({_TASK}) ({catalog.JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS.name})"
_SINCE = f"max by ({_TASK}) ({catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS.name}) > 0"
_LONGEST = f"max by ({_TASK}) (max_over_time({catalog.JOB_LAST_DURATION_SECONDS.name}[7d]))"

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
                "What the message says.",
                keep="2m",
                subject="check",
            ),
            lasting="15m",
        ),
        Alert(
            "PeakHealthCheckStale",
            WARNING,
            f"({_LAST_RUN} > 900) and ({_LAST_RUN} > 3 * {_RHYTHM})",
            "5m",
            "a check has not run for 15 minutes, and for three times as long as is usual for it",
            f"Health check {{{{ $labels.check }}}} of {AT} does not run any more.",
            f"It ran {SPAN} ago.",
            "A check that is not run says nothing: its last state is shown as if it still held.",
            "Does the program still run its checks (`health_check.start()`), and does `/livez` answer?",
            "Start the background runs again; for checks that only a probe runs, look at the probe.",
            subject="check",
        ),
    ),
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
            "PeakJobStuck",
            WARNING,
            f"(time() - ({_SINCE}) > 3600) and (time() - ({_SINCE}) > 3 * {_LONGEST})",
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
    notes="How often a job has to succeed is not written anywhere, so no alert knows it. Say it yourself: "
    '`time() - peak_job_last_success_timestamp_seconds{task="nightly-backup"} > 26 * 3600`.',
)
