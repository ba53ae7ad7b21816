"""Alerts about off-site stores: late, refused, damaged, shrunken or never proven."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import (
    AT,
    COUNT,
    CRITICAL,
    GAP,
    LOOK,
    MOMENT,
    SHARE,
    SPAN,
    WARNING,
    Alert,
    Group,
    by_our_clock,
    last,
    shrunk,
    undone,
)

_WHERE = f"of {{{{ $labels.repository }}}} of {AT}"
_OLD = f"{last(catalog.OFFSITE_AGE_SECONDS)} > {last(catalog.OFFSITE_MAX_AGE_SECONDS)}"
_ATTEMPT, _PUSHED = (
    last(catalog.OFFSITE_LAST_ATTEMPT_TIMESTAMP_SECONDS),
    last(catalog.OFFSITE_LAST_PUSH_TIMESTAMP_SECONDS),
)
_FAILED = last(catalog.OFFSITE_PUSHES_TOTAL, 'outcome="failed"')
_SAME = "on (job, instance, process, repository)"
_LATEST = f"last_over_time({catalog.OFFSITE_LAST_PUSH_TIMESTAMP_SECONDS.name}[{GAP}] @ end())"
# The counter never falls, and an attempt under way looks like one that was killed. So both are compared with what they
# were since the last push that succeeded: another failure, or another attempt, tells that one has not.
_FAILED_SINCE = f"{_FAILED} > min_over_time(({_FAILED} and {_SAME} ({_PUSHED} == {_LATEST}))[2d:5m])"
_NEVER_PUSHED = f"{_FAILED} > 0 and {_SAME} ({_PUSHED} == 0)"
_BEGUN_ANEW = f"{_ATTEMPT} > min_over_time(({_ATTEMPT} > {_LATEST})[2d:5m])"
_NEVER_ENDED = f"time() - {by_our_clock(f'{_ATTEMPT} > {_PUSHED}')} > 86400"
_MONTH = 32 * 86_400

OFFSITE = Group(
    "offsite",
    "peak-backups",
    (
        Alert(
            "PeakOffsiteStale",
            CRITICAL,
            _OLD,
            "5m",
            "the newest backup in the off-site store is older than `max_age` promised",
            f"The newest off-site backup {_WHERE} is too old.",
            f"It is {SPAN} old, which is more than its owner promised (max_age of [backup.offsite]).",
            "If this machine died now, more would be lost than was promised: no backup succeeds, or none is sent.",
            "`peak-observe backup list` shows those here, `peak-observe backup offsite list` those in the store.",
            "Mend what its error says, and send one: `peak-observe backup push`.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakOffsitePushFailed",
            WARNING,
            f"({_ATTEMPT} > {_PUSHED}) and {_SAME} "
            f"(({_FAILED_SINCE}) or ({_NEVER_PUSHED}) or ({_BEGUN_ANEW}) or ({_NEVER_ENDED}))",
            "30m",
            "pushes to the off-site store fail or are killed, or one was begun a day ago and has not ended",
            f"Backups {_WHERE} are not sent off-site.",
            f"No push has succeeded since {MOMENT}, when the last one was begun.",
            "Backups are made here and do not reach the store: credentials, network, a full store, or a lost key. Or "
            "each push is killed before it ends, for want of memory or of time.",
            "The log of `peak_observe.backup`, or `peak-observe backup push` by hand: one line tells the reason. Of "
            "one that was killed `journalctl` or `dmesg` tells; one under way for a day may be the first, of very "
            "much, over a slow line.",
            "Mend that; the next push sends what is missing and nothing twice.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakOffsiteDamaged",
            CRITICAL,
            f"{last(catalog.OFFSITE_DAMAGED)} > 0",
            "0m",
            "objects of the off-site store are missing, cut or unreadable",
            f"The off-site store {_WHERE} is damaged.",
            f"{COUNT} objects or records are missing, cut or unreadable.",
            "Somebody or something has removed or changed what was stored; from it, backups do not restore.",
            "`peak-observe backup offsite verify --all` names them. Who has credentials that may remove? With "
            "versioning or object lock the provider still has the older versions.",
            "`peak-observe backup push` sends again what is missing of backups that are still here. Change the "
            "credentials if it was a stranger.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakOffsiteShrank",
            CRITICAL,
            shrunk(catalog.OFFSITE_STORED_BYTES),
            "0m",
            "the off-site store has less than half of the size that was usual in the last week",
            f"The off-site store {_WHERE} is much smaller than usual.",
            f"It has {SHARE} of the size that was usual in the last 7 days.",
            "Backups were removed from the store: by a prune with other rules, by hand, or by a thief before he asks "
            "for money.",
            "`peak-observe backup offsite list`: which backups are left? What does the provider's log of accesses say?",
            "If nobody meant it, change the credentials first, then bring the versions back at the provider.",
            subject="repository",
            verdict=LOOK,
        ),
        Alert(
            "PeakOffsiteNotDrilled",
            WARNING,
            undone(catalog.OFFSITE_LAST_DRILL_TIMESTAMP_SECONDS, catalog.OFFSITE_CONFIGURED_TIMESTAMP_SECONDS, _MONTH),
            "1h",
            "nobody has restored from the off-site store alone for more than a month",
            f"No backup {_WHERE} has been restored from the off-site store for more than a month.",
            f"Nobody has done so for {SPAN}: until somebody does, nobody knows whether the private key still opens it.",
            "Only a drill proves that the store and the private key together bring everything back.",
            "`peak-observe backup offsite drill --identity FILE` on the host, with the key brought there for it.",
            "Run it, and take the key away again.",
            subject="repository",
            verdict=LOOK,
        ),
    ),
    every="1m",
)
