"""Choice of the backup that is meant among the records of a store."""

from __future__ import annotations

from collections.abc import Collection

from peak_observe.backup_recovery.offsite.record import Record
from peak_observe.backup_recovery.offsite.store import Unreadable
from peak_observe.errors import BackupError, BackupNotFoundError
from peak_observe.support.loggers import logger

LATEST, EMPTY = "latest", "the store holds none of that name"
_log = logger("peak_observe.backup")


def choose(
    records: Collection[Record], bad: Collection[Unreadable], which: str, host: str, *, any_host: bool
) -> Record:
    """Return the record of the backup that is meant.

    Args:
        records: All records, the newest first.
        bad: Those that cannot be read, which is logged where the newest is meant.
        which: Its name, the beginning of it, or `latest`, the newest good one.
        host: Whose backup it is.
        any_host: Whether the only other host will do if this one has none.

    Raises:
        BackupNotFoundError: There is none.
        BackupError: Several are meant.
    """
    hosts = {record.host for record in records}
    mine = next(iter(hosts)) if any_host and host not in hosts and len(hosts) == 1 else host
    own = [record for record in records if record.host == mine]
    if which == LATEST:
        for item in bad:
            _log.warning("%s in the store cannot be read: %s", item.name, item.reason)
        found = [record for record in own if record.backup.good]
    else:
        found = [record for record in own if record.backup.backup_id.startswith(which)]
        found = [record for record in found if record.backup.backup_id == which] or found
    if not found:
        others = ", ".join(sorted(hosts - {mine}))
        raise BackupNotFoundError(which, f"the store holds backups of {others}: --host names one" if others else EMPTY)
    if which != LATEST and len(found) > 1:
        raise BackupError(f"{which!r} is the beginning of {len(found)} backups: write more of it")
    return found[0]


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
