"""Retention policy: select the backups to keep and to remove, by pure arithmetic over what the repository lists.

The rules are those of restic's `forget` (`internal/restic/snapshot_policy.go` there, and the chapter on removing
snapshots of its manual), but for two: restic also keeps the oldest snapshot while a count is not used up, and it groups
whole sets of paths, so that a set that nobody names any more keeps its snapshots for ever. Here each named path has a
series of its own, each state provider and each command too, and a backup stays while a series keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec.structs import replace

from peak_observe.backup_recovery.repository.metadata import COMMAND, STATE, BackupMetadata, BackupStatus
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_GOOD = "last good"
KEPT_FAILURES = 10
"""How many FAILED backups stay while there is no good one, to tell what is wrong."""

GROUPS = PART, ROOT = "part", "root"

_Judged: TypeAlias = list[tuple[BackupMetadata, list[str]]]
"""Backups with the reasons to keep each, the newest first."""

_BUCKETS: dict[str, Callable[[datetime], object]] = {
    "last": lambda _: object(),  # each backup is in a bucket of its own
    "hourly": lambda at: (at.date(), at.hour),
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}


class Kept(msgspec.Struct, frozen=True):
    """Backup that stays, with the reasons.

    Args:
        backup: The backup.
        reasons: Why it stays, at least one.
    """

    backup: BackupMetadata
    reasons: tuple[str, ...]


class Selection(msgspec.Struct, frozen=True):
    """Selection of a policy: each backup is kept or removed.

    Args:
        keep: Those that stay, the newest first.
        remove: Those that can go, the oldest first.
        corrupt: Those of both that have succeeded and are known to be corrupt since.
    """

    keep: tuple[Kept, ...]
    remove: tuple[BackupMetadata, ...]
    corrupt: tuple[str, ...] = ()

    @property
    def last_good(self) -> list[str]:
        """The backups that stay as the last good ones, of all or of a part and path."""
        return [kept.backup.backup_id for kept in self.keep if any(why.startswith(LAST_GOOD) for why in kept.reasons)]


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Retention policy: keep the newest good backup of each of the most recent hours, days, weeks … that have one.

    The rules apply to each part and named path by itself, as backups of the configuration must not push out those of
    the data, nor those of one program another's. The last good backup of each part and path always stays,
    and so does the last good one that has a file of it.

    Args:
        last: How many of the newest are kept.
        hourly: Of how many hours the newest is kept; hours and all the others are those of UTC.
        daily: The same for days.
        weekly: The same for ISO weeks, which begin on Monday.
        monthly: The same for months.
        yearly: The same for years.
        within: Keep all that are younger than this, counted back from the newest.
        keep_tags: Keep every backup that has one of these tags, also one that is not good.
        group_by: By what backups form a series of their own, to which the rules apply: `part` (config, data, state) and
            `root` (the named path, state provider or command); none puts all backups into one series.

    Raises:
        ValueError: An argument makes no sense, or nothing at all is asked for.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: timedelta | None = None
    keep_tags: Sequence[str] = ()
    group_by: Sequence[str] = GROUPS

    def __post_init__(self) -> None:
        for name in _BUCKETS:
            _check_count(name, getattr(self, name))
        if self.within is not None and not (isinstance(self.within, timedelta) and self.within > timedelta()):
            raise ValueError(f"within must be a timedelta of more than 0, not {self.within!r}")
        msgspec.structs.force_setattr(self, "keep_tags", _tags(self.keep_tags))
        msgspec.structs.force_setattr(self, "group_by", _groups(self.group_by))
        rules = [name for name in self.__struct_fields__ if name != "group_by"]
        if not any(getattr(self, name) for name in rules):
            raise ValueError(f"the policy is empty: set one of {', '.join(rules)}")

    def select(
        self, backups: Iterable[BackupMetadata], *, now: datetime | None = None, corrupt: Collection[str] = ()
    ) -> Selection:
        """Return which backups stay and which can go.

        Only good ones are counted, and the newest good one of each part and path always stays. One that is not good
        goes when it is older than every good one of its series that stays for its age; while there is no good one, only
        FAILED ones go, and the newest 10 of them stay. Backups with a kept tag stay in addition, and so do the bases of
        all that stay.

        Args:
            backups: All of a repository, in any order; the newest is that of the highest sequence, as clocks jump.
            now: The present, aware; if given, `within` counts from the newest one that is not from the future.
            corrupt: Those that are known to be corrupt, with what is based on them: they count as not good.
        """
        known = {backup.backup_id: backup for backup in sorted(backups, key=lambda item: item.order, reverse=True)}
        lost = {name for name, item in known.items() if item.good and name in corrupt}
        judged = [
            (replace(backup, status=BackupStatus.PARTIAL) if name in lost else backup, list[str]())
            for name, backup in known.items()
        ]
        _keep_last_good(judged)
        series = [self._series(backup) for backup, _ in judged]
        good = {key for (backup, _), keys in zip(judged, series, strict=True) if backup.good for key in keys}
        for key in dict.fromkeys(key for keys in series for key in keys):
            members = [
                pair for pair, keys in zip(judged, series, strict=True) if key in keys or (not keys and key in good)
            ]
            self._keep_of_one_series(members, now, lost)
        if not good:
            self._keep_of_one_series([pair for pair, keys in zip(judged, series, strict=True) if not keys], now, lost)
        for backup, why in judged:
            why += [f"tag '{tag}'" for tag in self.keep_tags if tag in backup.tags]
        _keep_bases(judged)
        kept = tuple(Kept(known[backup.backup_id], tuple(why)) for backup, why in judged if why)
        gone = tuple(known[backup.backup_id] for backup, why in reversed(judged) if not why)
        return Selection(kept, gone, tuple(sorted(lost)))

    def _series(self, backup: BackupMetadata) -> dict[tuple[str, ...], None]:
        """Return the series of a backup; one that does not tell what it holds is in all that have a good one."""
        held = _held(backup)
        by_part, by_root = PART in self.group_by, ROOT in self.group_by
        return dict.fromkeys((part,) * by_part + (root,) * by_root for part, root in held)

    def _keep_of_one_series(self, judged: _Judged, now: datetime | None, lost: Collection[str]) -> None:
        mine = [(backup, list[str]()) for backup, _ in judged]
        self._keep_for_their_age([(backup, why) for backup, why in mine if backup.good], now)
        _keep_what_is_not_good(mine, lost)
        for (_, why), (_, more) in zip(judged, mine, strict=True):
            why += [reason for reason in more if reason not in why and reason != LAST_GOOD]

    def _keep_for_their_age(self, good: _Judged, now: datetime | None) -> None:
        for _, why in good[:1]:
            why.append(LAST_GOOD)
        for name, bucket in _BUCKETS.items():
            for why in _newest_of_each(good, bucket, getattr(self, name)):
                why.append(name)
        if good and self.within:
            times = [backup.created for backup, _ in good]
            newest = next((at for at in times if now is None or at <= now), times[0])
            for at, (_, why) in zip(times, good, strict=True):
                if newest - at < self.within:
                    why.append(f"within {self.within}")


def check_policy(policy: object) -> None:
    """Look whether something is a policy.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(policy, RetentionPolicy):
        raise TypeError(f"policy must be a RetentionPolicy, not {shown(policy)}")


def keep_count(count: int) -> RetentionPolicy:
    """Return the policy that keeps the newest `count` good backups; also for 0 the newest one stays.

    Raises:
        ValueError: It is no whole number of at least 0.
    """
    _check_count("keep_count", count)
    return RetentionPolicy(last=max(count, 1))


def _held(backup: BackupMetadata) -> list[tuple[str, str]]:
    """Return the parts of a backup, each with what was named for it; older backups do not tell states apart."""
    kinds = dict.fromkeys((*backup.parts, *(backup.sources or ())))
    whole = [(STATE, "")] if STATE in kinds else []
    return list(dict.fromkeys([*whole, *((kind, path) for kind in kinds for path in backup.sources_of(kind) or [""])]))


def _keep_last_good(judged: _Judged) -> None:
    """Keep the newest good backup of all, and of each part and path, and the newest that has a file of it."""
    good = [(backup, why) for backup, why in judged if backup.good]
    seen: set[tuple[str, str]] = set()
    filled: set[tuple[str, str]] = set()
    for number, (backup, why) in enumerate(good):
        held = _held(backup)
        missed = [item for item in held if item not in seen]
        more = [item for item in held if item in seen - filled and backup.has_files(*item)]
        seen.update(held)
        filled.update(item for item in held if backup.has_files(*item))
        if number == 0:
            why.append(LAST_GOOD)
        elif missed:
            why.append(f"{LAST_GOOD} of {', '.join(_shown(missed))}")
        if more:
            why.append(f"{LAST_GOOD} with files of {', '.join(_shown(more))}")


def _shown(held: list[tuple[str, str]]) -> Iterator[str]:
    """Yield parts with what was named for them, each once."""
    found = dict.fromkeys((kind, path.partition(COMMAND)[0]) for kind, path in held)
    several = {kind for kind, path in found if path}
    yield from (f"{kind} {path}".strip() for kind, path in found if path or kind not in several)


def _newest_of_each(good: _Judged, bucket: Callable[[datetime], object], count: int) -> Iterator[list[str]]:
    """Yield the reasons of the newest backup in each of the first `count` buckets."""
    seen: set[object] = set()
    for backup, why in good:
        here = bucket(backup.created.astimezone(UTC))
        if len(seen) < count and here not in seen:
            seen.add(here)
            yield why


def _keep_what_is_not_good(judged: _Judged, lost: Collection[str]) -> None:
    places = [place for place, (_, why) in enumerate(judged) if why]
    if not places:
        _keep_without_a_good_one(judged, lost)
    for backup, why in judged[: max(places, default=0)]:
        if not backup.good:
            why.append(f"{_status(backup, lost)}, newer than the oldest kept")


def _keep_without_a_good_one(judged: _Judged, lost: Collection[str]) -> None:
    failures = 0
    for backup, why in judged:
        failures += backup.status is BackupStatus.FAILED
        if backup.status is not BackupStatus.FAILED or failures <= KEPT_FAILURES:
            why.append(f"{_status(backup, lost)}, and there is no good one")


def _keep_bases(judged: _Judged) -> None:
    known = {backup.backup_id: (backup, why) for backup, why in judged}
    waiting = [backup for backup, why in reversed(judged) if why]
    while waiting:
        user = waiting.pop()
        base, why = known.get(user.base, (user, [""]))
        if not why:
            why.append(f"base of {user.backup_id}")
            waiting.append(base)


def _status(backup: BackupMetadata, lost: Collection[str]) -> str:
    return "corrupt" if backup.backup_id in lost else backup.status.value.replace("_", " ")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, not {shown(value)}")


def _groups(value: object) -> tuple[str, ...]:
    """Return what to group by; a string may hold several, with commas between them."""
    found = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [None]
    found = [item.strip() if isinstance(item, str) else item for item in found]
    if found in ([""], ["none"]):
        return ()
    if not all(item in GROUPS for item in found):
        raise ValueError(f"group_by must be 'part', 'root', both or none, not {shown(value)}")
    return tuple(name for name in GROUPS if name in found)


def _tags(value: object) -> tuple[str, ...]:
    """Return a string as a tuple of one, and several as a tuple."""
    found = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(tag, str) and tag for tag in found):
        raise ValueError(f"keep_tags must be strings that are not empty, not {shown(value)}")
    return found
