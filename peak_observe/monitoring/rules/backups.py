"""Alerts about backups: stale, missing, failed, stuck, shrunken, unverified or corrupt."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import (
    AT,
    COUNT,
    CRITICAL,
    LOOK,
    MOMENT,
    SHARE,
    SPAN,
    WARNING,
    Alert,
    Group,
    Recording,
    by_our_clock,
    last,
    lately,
    shrunk,
    undone,
)

_EVER = last(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS)
_OLD = f"{last(catalog.BACKUP_AGE_SECONDS)} > ignoring (kind) group_left () {last(catalog.BACKUP_MAX_AGE_SECONDS)}"
_WHAT = f"{{{{ $labels.kind }}}} in {{{{ $labels.repository }}}} of {AT}"

_ATTEMPT = last(catalog.BACKUP_LAST_ATTEMPT_TIMESTAMP_SECONDS)
_SUCCEEDED = f"max without (kind) ({_EVER})"
_SINCE = last(catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS)
_UNSUCCESSFUL = f"({_ATTEMPT} > {_SUCCEEDED}) and ({_SINCE} == 0)"
_RUNNING = f"time() - {by_our_clock(f'{_SINCE} > 0')}"
_USUAL_TIME = f"max without (kind) (max_over_time({catalog.BACKUP_LAST_DURATION_SECONDS.name}[7d:1h]))"

_SINCE_CONFIGURED = last(catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS)
_WITHIN_A_DAY = lately(catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS, "1d")
# A bot that was renamed, or moved to another instance, tells of the same repository: in use since the same moment.
_GONE = f'count_values without () ("since", {_WITHIN_A_DAY} unless {_SINCE_CONFIGURED})'
_THERE = f'count_values by (job, repository) ("since", {_SINCE_CONFIGURED})'
_WEEK = 8 * 86_400


# To look at two days of counters each minute would cost more than all else.
_ENDED = {
    metric: Recording(
        f"instance_repository_outcome:{metric.name.removesuffix('_total')}:increase1h",
        f"increase({metric.name}[1h]) > 0",
    )
    for metric in (catalog.BACKUP_RUNS_TOTAL, catalog.BACKUP_RESTORES_TOTAL)
}


def _recently(outcomes: str, metric: catalog.Metric = catalog.BACKUP_RUNS_TOTAL) -> str:
    """Return that a run ended so in the last two days, also before the first scrape, which `increase` cannot see."""
    chosen = f'{{outcome=~"{outcomes}"}}'
    now = f"sum without (outcome) (last_over_time({metric.name}{chosen}[5m]))"
    before = f"sum without (outcome) (last_over_time({metric.name}{chosen}[5m] offset 2d))"
    # A counter that began anew may be what it was two days ago: it has risen since, which was recorded.
    risen = f"sum without (outcome) (max_over_time({_ENDED[metric].name}{chosen}[2d:15m])) > 0"
    return f"({now} - {before} > 0) or ({now} > 0 unless {now} >= {before}) or ({risen})"


def _unsuccessful(name: str, severity: str, outcomes: str, ended: str, meaning: str) -> Alert:
    """Return an alert that a backup ended so; which outcome was that of the last one, no metric tells."""
    return Alert(
        name,
        severity,
        f"({_UNSUCCESSFUL}) and ({_recently(outcomes)})",
        "2m",
        f"a backup {ended} within two days, and the last one that was begun is no good one",
        f"A backup in {{{{ $labels.repository }}}} of {AT} {ended} within the last two days.",
        f"The last one was begun at {MOMENT}, and there is no good one of that time or later.",
        meaning,
        "`peak-observe backup list` and `show`: the metadata says what is missing or went wrong.",
        "Mend that (a full disk, a file that is gone, a log that never rests: exclude it), and make another.",
        subject="repository",
        verdict=LOOK,
    )


BACKUPS = Group(
    "backups",
    "peak-backups",
    (
        Alert(
            "PeakBackupStale",
            CRITICAL,
            f"({_OLD}) and ({_EVER} > 0)",
            "5m",
            "the newest backup is older than `max_age` promised",
            f"The newest backup of {_WHAT} is too old.",
            f"It is {SPAN} old, which is more than its owner promised (max_age).",
            "There is no good backup that is younger than `max_age`; partial ones and those known to be corrupt do not "
            "count.",
            "`peak-observe backup list`: did later ones fail, are they corrupt, were there none, or do they lack what "
            "is named? Does the schedule or cron job run? Is one in the future, as a clock was ahead?",
            "Mend what the metadata of the failed ones says, and make one now: `peak-observe backup create`.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakBackupNeverSucceeded",
            CRITICAL,
            f"({_OLD}) and ({_EVER} == 0)",
            "5m",
            "something is named for longer than `max_age`, and no good backup holds it",
            f"There is no good backup of {_WHAT}.",
            f"It is named for backups since {SPAN}, longer than max_age, and no good backup holds it.",
            "Something is named for backups, and not one backup holds it that succeeded and is not known to be "
            "corrupt: there was never one, or those that there were are corrupt or gone.",
            "`peak-observe backup list`, and the log lines of `peak_observe.backup`. Does every run leave it out "
            "(`include_data=False`, `--only`)? `peak-observe backup show` says so. Is the disk of the repository "
            "mounted?",
            "Make one now, and verify it: `peak-observe backup create`, `peak-observe backup verify latest`.",
            subject="repository",
            verdict=LOOK,
        ),
        _unsuccessful(
            "PeakBackupFailed",
            CRITICAL,
            "failed|interrupted",
            "failed",
            "A run made no backup; older ones still stand.",
        ),
        _unsuccessful(
            "PeakBackupPartial",
            WARNING,
            "partial",
            "was partial",
            "Something named is missing or could not be read, or a state provider took longer than its time limit.",
        ),
        Alert(
            "PeakBackupStuck",
            WARNING,
            f"({_RUNNING} > 7200) unless ({_RUNNING} < 3 * {_USUAL_TIME})",
            "0m",
            "a backup has been running for 2 hours, and for three times as long as any of the last week",
            f"A backup in {{{{ $labels.repository }}}} of {AT} does not end.",
            f"It was begun {SPAN} ago, and has neither ended nor been followed by another.",
            "A backup hangs, or its process was killed and nothing has run since.",
            "Does its process live? The lock names it: `cat .peak-observe/lock` in the repository. Without a lock it "
            "waits for a state provider, which is given up after its `timeout` (30 s unless registered with more).",
            "Kill what hangs; the next run clears what it left. Is the schedule still on?",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakBackupShrank",
            WARNING,
            shrunk(catalog.BACKUP_SIZE_BYTES),
            "0m",
            "a backup has less than half of the size that was usual in the last week",
            f"The newest backup of {_WHAT} is much smaller than usual.",
            f"It has {SHARE} of the size that was usual in the last 7 days.",
            "A backup succeeded, but holds less than half of what backups used to hold: was something lost, or moved "
            "away?",
            "`peak-observe backup diff` between it and the one before.",
            "If it was lost, restore it from the older one. If it is meant to be so, the alert ends within a week.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakBackupNotVerified",
            WARNING,
            undone(catalog.BACKUP_LAST_VERIFIED_TIMESTAMP_SECONDS, catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS, _WEEK),
            "1h",
            "nobody has read a backup for more than a week",
            f"No backup in {{{{ $labels.repository }}}} of {AT} has been verified for more than a week.",
            f"Nobody has read one for {SPAN}: until somebody does, it is a hope.",
            "Nobody has read back what is stored, so nobody knows whether it restores.",
            "`peak-observe backup drill` restores the newest into a temporary folder and verifies it.",
            "Run it, and put it into the schedule, every night.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakBackupCorrupt",
            CRITICAL,
            f"{last(catalog.BACKUP_CORRUPT_FILES)} > 0",
            "0m",
            "stored files are not what was stored",
            f"Backups in {{{{ $labels.repository }}}} of {AT} are corrupt.",
            f"{COUNT} stored files are not what was stored.",
            "Verification found files that have changed or are missing, the base of a backup is gone, or the account "
            "of what was verified was damaged. The disk may be dying.",
            "`peak-observe backup verify` names the files, and the log of `peak_observe.backup` an account that is not "
            "readable; `dmesg` and SMART tell of the disk.",
            "Make a new backup, to another disk if need be, and remove the corrupt one; nothing is linked to it any "
            "more.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakRestoreFailed",
            CRITICAL,
            _recently("failed|interrupted|partial", catalog.BACKUP_RESTORES_TOTAL),
            "0m",
            "a restore failed or was interrupted within two days",
            f"A restore from {{{{ $labels.repository }}}} of {AT} did not succeed.",
            f"{COUNT} restores failed, were interrupted or left something out within two days.",
            "Somebody needed what was stored, and did not get all of it.",
            "The output and log of the restore: they name the files. `peak-observe backup verify` tells what is right.",
            "Run it again when its reason is gone; `--to` restores into another folder without touching anything.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakBackupMetricsAbsent",
            CRITICAL,
            f"max without (since) ({_GONE} unless on (job, repository, since) {_THERE})",
            "15m",
            "a repository that was reported within a day is no longer reported",
            f"Nothing is heard of the backups in {{{{ $labels.repository }}}} of {AT} any more.",
            "Their metrics were there within the last day, and are gone.",
            "The program or exporter that reported the repository has stopped, or no longer knows it.",
            "Is it up? Was its configuration changed? Is the disk of the repository mounted?",
            "Start it again. If the repository is gone for good, the alert ends after a day.",
            subject="repository",
            verdict=LOOK,
        ),
    ),
    recordings=tuple(_ENDED.values()),
    every="2m",
)
