"""The alerts themselves: what is wrong, how bad that is, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from peak_observe import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

WARNING, CRITICAL, NONE = "warning", "critical", "none"

# Where a series comes from: a process by itself, or one of several behind an exporter.
WHERE = "job, instance, process"
AT = "{{ $labels.instance }}{{ with $labels.process }} ({{ . }}){{ end }}"


class Alert(NamedTuple):
    """One alert.

    Args:
        name: Its name; one name may come in two severities.
        group: The group of rules it belongs to, which is also a chapter of the runbook.
        severity: `warning`, `critical`, or `none` for what is no alarm.
        expression: PromQL; what it returns is wrong.
        lasting: How long it has to be wrong first.
        summary: One sentence with the names in it.
        description: What it means, with the value in human units.
        meaning: For the runbook: what has happened.
        look: Where to look first.
        mend: What to do.
        keep: For how long it stays after it was right again, so that a flapping cause is one alarm.
    """

    name: str
    group: str
    severity: str
    expression: str
    lasting: str
    summary: str
    description: str
    meaning: str = ""
    look: str = ""
    mend: str = ""
    keep: str = ""


def alerts() -> list[Alert]:
    """Return all alerts, group by group."""
    return [*_breakers(), *_retries(), *_health(), *_backups(), *_watchdog()]


def _breakers() -> Iterator[Alert]:
    bad = f'{catalog.BREAKER_STATE.name}{{state=~"open|half_open|forced_open"}}'
    not_closed = f"sum by ({WHERE}, breaker) ({bad}) > 0"
    name = "PeakBreakerNotClosed"
    summary = f"Circuit {{{{ $labels.breaker }}}} of {AT} is not closed."
    description = "It has been open or probing for {lasting}: its calls are refused, and probes have not closed it."
    yield Alert(
        name,
        "breakers",
        WARNING,
        not_closed,
        "2m",
        summary,
        description.format(lasting="2 minutes"),
        "A circuit is open, half-open or forced open. Calls through it fail at once; nothing reaches the service.",
        "The panel *Circuit states*: since when? The log line of its opening names the last error. Does the "
        "exchange's status page tell of maintenance?",
        "Mostly wait: the circuit probes by itself and closes when the service is back. Close open positions by hand "
        "where risk demands it. `get_breaker(name).reset()` closes it at once, if you know better.",
        keep="5m",
    )
    yield Alert(
        name,
        "breakers",
        CRITICAL,
        not_closed,
        "15m",
        summary,
        description.format(lasting="15 minutes"),
        keep="5m",
    )
    opened = f'increase({catalog.BREAKER_TRANSITIONS_TOTAL.name}{{to="open"}}[30m])'
    yield Alert(
        "PeakBreakerFlapping",
        "breakers",
        WARNING,
        f"sum by ({WHERE}, breaker) ({opened}) >= 5",
        "0m",
        f"Circuit {{{{ $labels.breaker }}}} of {AT} opens again and again.",
        "It has opened {{ $value | humanize }} times within 30 minutes.",
        "Probes succeed, and soon afterwards enough calls fail again: the service is overloaded or half broken.",
        "The panels *Failed calls by circuit* and *Latency*: which calls fail between two openings?",
        "Ask less of the service: a longer `recovery_timeout`, fewer workers. If it is only some calls, give them a "
        "circuit of their own.",
        keep="10m",
    )
    calls = f"sum by ({WHERE}, breaker) (rate({catalog.BREAKER_CALLS_TOTAL.name}[5m]))"
    rejected = f'sum by ({WHERE}, breaker) (rate({catalog.BREAKER_CALLS_TOTAL.name}{{outcome="rejected"}}[5m]))'
    yield Alert(
        "PeakBreakerRejecting",
        "breakers",
        CRITICAL,
        f"{rejected} / ({calls} > 0) > 0.1",
        "5m",
        f"Circuit {{{{ $labels.breaker }}}} of {AT} refuses calls.",
        "{{ $value | humanizePercentage }} of its calls were refused within 5 minutes.",
        "The program goes on calling while the circuit is open: what it wants to do is not done.",
        "What does the program do with `CircuitOpenError`? The table *Circuits* shows how many calls were refused.",
        "Let the program pause for `error.retry_after` seconds, or fall back on another source.",
        keep="5m",
    )


def _retries() -> Iterator[Alert]:
    calls = f"sum by ({WHERE}, operation) (rate({catalog.RETRY_CALLS_TOTAL.name}[10m]))"
    retries = f"sum by ({WHERE}, operation) (rate({catalog.RETRY_RETRIES_TOTAL.name}[10m]))"
    yield Alert(
        "PeakRetryStorm",
        "retries",
        WARNING,
        f"{retries} / ({calls} > 0) > 1",
        "10m",
        f"Operation {{{{ $labels.operation }}}} of {AT} is retried more often than it is called.",
        "It takes {{ $value | humanize }} more attempts on average: the service is asked more than twice as often.",
        "Retries multiply the load on a service that is in trouble, and count towards its rate limit.",
        "The panel *Errors by class*: what is retried? A 429 or a refused key does not get better by asking.",
        "Retry less (`max_attempts`), later (`base_delay`), or only what passes by waiting (`expected_exception`).",
    )
    exhausted = f'increase({catalog.RETRY_CALLS_TOTAL.name}{{outcome="exhausted"}}[15m])'
    yield Alert(
        "PeakRetriesExhausted",
        "retries",
        WARNING,
        f"sum by ({WHERE}, operation) ({exhausted}) >= 3",
        "0m",
        f"Operation {{{{ $labels.operation }}}} of {AT} fails in spite of its retries.",
        "It gave up {{ $value | humanize }} times within 15 minutes.",
        "All attempts of an operation failed, several times: the trouble outlasts the delays.",
        "The panel *Errors by class*, and the log lines `gave up after …`, which name the last error.",
        "If the service is down, nothing. If it is slow, raise `max_delay` or `max_attempts`.",
        keep="10m",
    )


def _health() -> Iterator[Alert]:
    failing = f"min by ({WHERE}, check) ({catalog.HEALTH_CHECK_HEALTHY.name}) == 0"
    for severity, lasting, words in ((WARNING, "2m", "2 minutes"), (CRITICAL, "15m", "15 minutes")):
        yield Alert(
            "PeakHealthCheckFailing",
            "health",
            severity,
            failing,
            lasting,
            f"Health check {{{{ $labels.check }}}} of {AT} fails.",
            f"It has been failing for {words}; /readyz?verbose of the program tells why.",
            "A check counts as failed, by its thresholds.",
            "`peak-observe health`, or `/readyz?verbose` of the program: the line of the check says what is wrong.",
            "What the message says.",
            keep="2m",
        )
    last_run = catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS.name
    yield Alert(
        "PeakHealthCheckStale",
        "health",
        WARNING,
        f"time() - (min by ({WHERE}, check) ({last_run}) > 0) > 900",
        "5m",
        f"Health check {{{{ $labels.check }}}} of {AT} does not run any more.",
        "It ran {{ $value | humanizeDuration }} ago.",
        "A check that is not run says nothing: its last state is shown as if it still held.",
        "Does the program still run its checks (`health_check.start()`), and does `/livez` answer?",
        "Start the background runs again; for checks that only a probe runs, look at the probe.",
    )


def _backups() -> Iterator[Alert]:
    by = f"{WHERE}, repository"
    age, last = catalog.BACKUP_AGE_SECONDS.name, catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS.name
    promised = f"on ({by}) group_left () max by ({by}) ({catalog.BACKUP_MAX_AGE_SECONDS.name})"
    old = f"max by ({by}, kind) ({age}) > {promised}"
    ever = f"max by ({by}, kind) ({last})"
    what = f"{{{{ $labels.kind }}}} in {{{{ $labels.repository }}}} of {AT}"
    yield Alert(
        "PeakBackupStale",
        "backups",
        CRITICAL,
        f"({old}) and ({ever} > 0)",
        "5m",
        f"The newest backup of {what} is too old.",
        "It is {{ $value | humanizeDuration }} old, which is more than its owner promised (max_age).",
        "No backup has succeeded for longer than `max_age`; partial ones do not count.",
        "`peak-observe backup list`: did later ones fail, or were there none? Does the schedule or the cron job run?",
        "Mend what the metadata of the failed ones says, and make one now: `peak-observe backup create`.",
    )
    yield Alert(
        "PeakBackupNeverSucceeded",
        "backups",
        CRITICAL,
        f"({old}) and ({ever} == 0)",
        "5m",
        f"There has never been a backup of {what}.",
        "It is named for backups since {{ $value | humanizeDuration }}, longer than max_age, and none has succeeded.",
        "Something is named for backups, and not one backup holds it.",
        "`peak-observe backup list`, and the log lines of `peak_observe.backup`. Is it included (`include_data=True`)?",
        "Make one now, and verify it: `peak-observe backup create`, `peak-observe backup verify latest`.",
    )
    attempt = f"max by ({by}) ({catalog.BACKUP_LAST_ATTEMPT_TIMESTAMP_SECONDS.name})"
    succeeded = f"max by ({by}) ({last})"
    idle = f"max by ({by}) ({catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS.name}) == 0"
    unsuccessful = f"({attempt} > {succeeded}) and ({idle})"
    runs = catalog.BACKUP_RUNS_TOTAL.name
    for name, outcomes, severity, ended, meaning in (
        ("PeakBackupFailed", "failed|interrupted", CRITICAL, "failed", "No backup was made; older ones still stand."),
        ("PeakBackupPartial", "partial", WARNING, "is partial", "Something named is missing or could not be read."),
    ):
        recently = f'sum by ({by}) (increase({runs}{{outcome=~"{outcomes}"}}[2d])) > 0'
        yield Alert(
            name,
            "backups",
            severity,
            f"({unsuccessful}) and ({recently})",
            "2m",
            f"The last backup in {{{{ $labels.repository }}}} of {AT} {ended}.",
            "No backup has succeeded since {{ $value | humanizeTimestamp }}, when the last one was begun.",
            meaning,
            "`peak-observe backup list` and `show`: the metadata says what is missing or went wrong.",
            "Mend that (a full disk, a file that is gone, a log that never rests: exclude it), and make another.",
        )
    running = catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS.name
    yield Alert(
        "PeakBackupStuck",
        "backups",
        WARNING,
        f"time() - (max by ({by}) ({running}) > 0) > 7200",
        "0m",
        f"A backup in {{{{ $labels.repository }}}} of {AT} does not end.",
        "It was begun {{ $value | humanizeDuration }} ago, and has neither ended nor been followed by another.",
        "A backup hangs, or its process was killed and nothing has run since.",
        "Does its process live? The lock names it: `cat .peak-observe/lock` in the repository.",
        "Kill what hangs; the next run clears what it left. Is the schedule still on?",
    )
    size = f"max by ({by}, kind) ({catalog.BACKUP_SIZE_BYTES.name})"
    usual = f"quantile_over_time(0.5, {catalog.BACKUP_SIZE_BYTES.name}[7d])"
    yield Alert(
        "PeakBackupShrank",
        "backups",
        WARNING,
        f"{size} / (max by ({by}, kind) ({usual}) > 0) < 0.5",
        "0m",
        f"The newest backup of {what} is much smaller than usual.",
        "It has {{ $value | humanizePercentage }} of the size that was usual in the last 7 days.",
        "A backup succeeded, but holds less than half of what backups used to hold: was something lost, or moved away?",
        "`peak-observe backup diff` between it and the one before.",
        "If it was lost, restore it from the older one. If it is meant to be so, the alert ends within a week.",
    )
    verified = f"max by ({by}) ({catalog.BACKUP_LAST_VERIFIED_TIMESTAMP_SECONDS.name})"
    since = f"max by ({by}) ({catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS.name})"
    week = 8 * 86_400
    yield Alert(
        "PeakBackupNotVerified",
        "backups",
        WARNING,
        f"(time() - {verified} > {week}) and (time() - {since} > {week})",
        "1h",
        f"No backup in {{{{ $labels.repository }}}} of {AT} has been verified for more than a week.",
        "A backup that was never read again is a hope. Let a drill run every night: peak-observe backup drill.",
        "Nobody has read back what is stored, so nobody knows whether it restores.",
        "`peak-observe backup drill` restores the newest into a temporary folder and verifies it.",
        "Run it, and put it into the schedule.",
    )
    yield Alert(
        "PeakBackupCorrupt",
        "backups",
        CRITICAL,
        f"max by ({by}) ({catalog.BACKUP_CORRUPT_FILES.name}) > 0",
        "0m",
        f"Backups in {{{{ $labels.repository }}}} of {AT} are corrupt.",
        "{{ $value | humanize }} stored files are not what was stored.",
        "Verification found files that have changed, or are missing. The disk may be dying.",
        "`peak-observe backup verify` names the files; `dmesg` and SMART tell of the disk.",
        "Make a new backup, to another disk if need be, and remove the corrupt one; nothing is linked to it any more.",
    )
    configured = catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS.name
    yield Alert(
        "PeakBackupMetricsAbsent",
        "backups",
        CRITICAL,
        f"max by ({by}) (last_over_time({configured}[1d])) unless max by ({by}) ({configured})",
        "15m",
        f"Nothing is heard of the backups in {{{{ $labels.repository }}}} of {AT} any more.",
        "Their metrics were there within the last day, and are gone.",
        "The program or exporter that told of a repository has stopped, or does not know of it any more.",
        "Is it up? Was its configuration changed? Is the disk of the repository mounted?",
        "Start it again. If the repository is gone for good, the alert ends after a day.",
    )


def _watchdog() -> Iterator[Alert]:
    yield Alert(
        "PeakWatchdog",
        "watchdog",
        NONE,
        "vector(1)",
        "0m",
        "Alerting works.",
        "This alert always fires. Send it to a dead man's switch outside, which calls when it stops.",
        "Nothing is wrong: it proves that Prometheus evaluates rules and Alertmanager delivers.",
        "If the outside switch calls, look whether Prometheus and Alertmanager run.",
        "Start them again.",
    )
