"""Choice of the backup that is meant among the records of a store."""

from __future__ import annotations

from collections.abc import Collection

from peak_observe.backup_recovery.offsite.record import Record
from peak_observe.backup_recovery.offsite.store import Unreadable
from peak_observe.backup_recovery.repository.manifest import source_of
from peak_observe.backup_recovery.repository.metadata import BackupStatus
from peak_observe.errors import BackupError, BackupNotFoundError
from peak_observe.support.loggers import logger

LATEST, EMPTY = "latest", "the store holds none of that name"
_log = logger("peak_observe.backup")


def choose(
    records: Collection[Record],
    bad: Collection[Unreadable],
    which: str,
    host: str | None,
    *,
    own: str,
    parts: Collection[str] = (),
    places: Collection[str] = (),
    allow_partial: bool = False,
) -> Record:
    """Return the record of the backup that is meant.

    Args:
        records: All records, the newest first.
        bad: Those that cannot be read, which is logged where the newest is meant.
        which: Its name, the beginning of it, or `latest`, the newest good one that holds what is wanted.
        host: Whose backup it is; None for this host, or the only other one if this one has none.
        own: This host.
        parts: The parts that are wanted; none for what was named when the newest one was made.
        places: The paths that are wanted, as far as any backup holds them.
        allow_partial: Whether `latest` may be a partial one where no good one holds the parts.

    Raises:
        BackupNotFoundError: There is none.
        BackupError: Several are meant.
    """
    hosts = {record.host for record in records}
    mine = host or (own if own in hosts or len(hosts) != 1 else next(iter(hosts)))
    left = [record for record in records if record.host == mine]
    if which == LATEST:
        for item in bad:
            _log.warning("%s in the store cannot be read: %s", item.name, item.reason)
        found = _holding(_usable(left, parts, allow_partial=allow_partial), parts, places)
    else:
        found = [record for record in left if _begins(record, which)]
        found = [record for record in found if record.backup.backup_id == which] or found
    if not found:
        others = ", ".join(sorted(hosts - {mine}))
        raise BackupNotFoundError(which, f"the store holds backups of {others}: --host names one" if others else EMPTY)
    if which != LATEST and len(found) > 1:
        one = found[0].backup.backup_id
        raise _SeveralError(f"{which!r} is the beginning of {len(found)} backups, of {one} too: write more of it")
    return found[0]


class _SeveralError(BackupError):
    """A beginning that several backups have."""

    exit_code = 2


def _begins(record: Record, which: str) -> bool:
    name = record.backup.backup_id
    return bool(which) and (name.startswith(which) or name[len("backup_") :].startswith(which))


def _usable(records: list[Record], parts: Collection[str], *, allow_partial: bool) -> list[Record]:
    """Return the records of good backups; if none of them holds the parts, those of partial ones where one does.

    Raises:
        BackupNotFoundError: There are partial ones alone, and they are not wanted.
    """
    good = [record for record in records if record.backup.good]
    partial = [record for record in records if record.backup.status is BackupStatus.PARTIAL]
    good_fits, partial_fits = (any(set(parts) <= set(item.backup.parts) for item in found) for found in (good, partial))
    if allow_partial and partial_fits and not good_fits:
        return partial
    if partial and not good:
        mend = f"{partial[0].backup.backup_id} is partial: --allow-partial restores what there is"
        raise BackupNotFoundError(LATEST, f"no good one is in the store; {mend}")
    return good


def _holding(good: list[Record], parts: Collection[str], places: Collection[str]) -> list[Record]:
    """Return the records of backups that hold what is wanted; newer ones that do not are logged.

    Raises:
        BackupNotFoundError: No good one holds the parts.
    """
    held = {part for record in good for part in record.backup.parts}
    wanted = set(parts) or held & {part for record in good[:1] for part in record.backup.parts_named_for()}
    found = [record for record in good if wanted <= set(record.backup.parts) or not record.backup.parts]
    if good and not found and parts:
        raise BackupNotFoundError(LATEST, f"no good one in the store holds {' and '.join(sorted(parts))}")
    there = [place for place in map(source_of, places) if any(record.backup.holds(place) for record in found)]
    found = [record for record in found if all(map(record.backup.holds, there))] or found or good
    for newer in good[: good.index(found[0])] if found else ():
        _log.warning("%s in the store is newer and does not hold all that is wanted", newer.backup.backup_id)
    return found


def bases(records: Collection[Record], record: Record) -> list[Record]:
    """Return what a backup is based on.

    Raises:
        BackupNotFoundError: It is not in the store.
    """
    base = record.backup.base
    found = [item for item in records if item.host == record.host and item.backup.backup_id == base]
    if base and not found:
        raise BackupNotFoundError(base, f"{record.backup.backup_id} is based on it")
    return found[:1]
