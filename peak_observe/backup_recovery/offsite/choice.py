"""Choice of the backup that is meant among the records of a store."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from peak_observe.backup_recovery.offsite.record import Record, StoredBackup
from peak_observe.backup_recovery.offsite.store import Unreadable
from peak_observe.backup_recovery.repository.choice import Choice, newest_holding, restorable, why_none
from peak_observe.backup_recovery.repository.manifest import source_of
from peak_observe.backup_recovery.repository.metadata import KINDS, BackupMetadata
from peak_observe.backup_recovery.repository.repository import Repository
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
    damaged: Collection[tuple[str, str]] = (),
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
        damaged: Hosts and names of backups known to be damaged: `latest` is another one, if that holds as much.
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
        found = _newest(left, parts, places, damaged, allow_partial=allow_partial)
    else:
        found = [record for record in left if _begins(record, which)]
        found = [record for record in found if record.backup.backup_id == which] or found
    if not found:
        others = ", ".join(sorted(hosts - {mine}))
        elsewhere = f"the store holds backups of {others}: --host names one"
        raise BackupNotFoundError(which, _nothing(which, left) if left or not others else elsewhere)
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


def _nothing(which: str, records: Collection[Record]) -> str:
    backups = [record.backup for record in records]
    return why_none(backups, {}, "the store") if which == LATEST and backups else EMPTY


def _newest(
    records: Collection[Record],
    parts: Collection[str],
    places: Collection[str],
    damaged: Collection[tuple[str, str]],
    *,
    allow_partial: bool,
) -> list[Record]:
    """Return the record of the newest backup that holds what is wanted; newer ones that do not are logged.

    Raises:
        BackupNotFoundError: No good one holds the parts.
    """
    held = [record.backup for record in records]
    lost = {backup_id for _, backup_id in corrupt(records)}
    for name in sorted(lost, reverse=True):
        _log.warning("%s in the store is passed over: what it is based on is missing or damaged", name)
    backups = restorable(held, lost, fits=lambda backup: set(parts) <= set(backup.parts), allow_partial=allow_partial)
    if not backups:
        return []
    choice = newest_holding(backups, only=parts, places=lambda _: map(source_of, places))
    if choice is None:
        raise BackupNotFoundError(LATEST, f"no good one in the store holds {' and '.join(sorted(parts))}")
    choice = _whole(choice, backups, {backup_id for _, backup_id in corrupt(records, damaged)})
    for newer in choice.newer:
        _log.warning("%s in the store is newer and does not hold all that is wanted", newer.backup_id)
    if not choice.backup.good:
        name = choice.backup.backup_id
        _log.warning("%s in the store is partial: none of this host that has succeeded holds what is wanted", name)
    return [record for record in records if record.backup.backup_id == choice.backup.backup_id]


def _whole(choice: Choice, backups: list[BackupMetadata], damaged: Collection[str]) -> Choice:
    """Return the choice without those that are known to be damaged, which is logged; as it is if no other one fits."""
    whole = [backup for backup in backups if backup.backup_id not in damaged]
    other = newest_holding(whole, only=choice.parts, places=lambda _: choice.places) if whole else None
    if choice.backup in whole or other is None or not all(map(other.backup.holds, choice.places)):
        return choice
    for backup in backups[: backups.index(other.backup)]:
        if backup.backup_id in damaged:
            _log.warning("%s in the store is passed over: it is known to be damaged", backup.backup_id)
    return other


def to_push(repository: Repository, backup_id: str | None) -> BackupMetadata:
    """Return the backup of a name, or the newest good one: one that is known to be corrupt lets a push fail.

    Raises:
        BackupNotFoundError: There is none.
    """
    if backup_id is not None:
        return repository.get(backup_id)
    backups, unreadable = repository.look()
    good = [backup for backup in backups if backup.good]
    if not good:
        raise BackupNotFoundError(LATEST, why_none(backups[::-1], unreadable, repository.root))
    return good[-1]


def corrupt(stored: Iterable[Record | StoredBackup], damaged: Collection[tuple[str, str]] = ()) -> set[tuple[str, str]]:
    """Return the hosts and names of backups of a store that nobody restores.

    Args:
        stored: All backups.
        damaged: The hosts and names of those that are known to be damaged; what is based on one is, too.
    """
    found = {(item.host, item.backup.backup_id): item.backup.base for item in stored}
    lost = {(host, name) for (host, name), base in found.items() if base and (host, base) not in found}
    return lost | {
        (host, name) for (host, name), base in found.items() if not {(host, name), (host, base)}.isdisjoint(damaged)
    }


def of_this(repository: Repository, records: list[Record], host: str) -> list[Record]:
    """Return records without those of this host that hold nothing of what a repository here does: another program's.

    All of them where none that is good holds any of it, as on a new machine.
    """
    known: set[str] = set()
    with suppress(BackupError):  # what cannot be listed hinders nobody who needs the store for that reason
        known = {source for backup in repository.look()[0] for source in _sources(backup)}

    def fits(record: Record) -> bool:
        return not known.isdisjoint(_sources(record.backup))

    if not any(record.host == host and record.backup.good and fits(record) for record in records):
        return records
    return [record for record in records if record.host != host or fits(record)]


def _sources(backup: BackupMetadata) -> list[str]:
    return [source for kind in KINDS for source in backup.sources_of(kind)]


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
