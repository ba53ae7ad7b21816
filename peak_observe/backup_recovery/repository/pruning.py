"""Prune and delete backups, except those that must stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from peak_observe.backup_recovery.repository.metadata import BackupStatus
from peak_observe.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.backup_recovery.repository.repository import Repository
    from peak_observe.backup_recovery.repository.retention import RetentionPolicy, Selection


def select(repository: Repository, policy: RetentionPolicy) -> Selection:
    """Return what a policy keeps and removes; a backup known to be corrupt never passes for a good one.

    Raises:
        BackupError: It cannot be told what is corrupt.
    """
    return _select(repository, policy, _corrupt(repository))


def _corrupt(repository: Repository) -> set[str]:
    try:
        return set(repository.ledger.load().corrupt)
    except OSError as error:
        where = error.filename or repository.own
        raise BackupError(f"cannot tell what is corrupt: {error.strerror or error} ({where})") from error


def _select(repository: Repository, policy: RetentionPolicy, corrupt: set[str]) -> Selection:
    backups = [
        replace(backup, status=BackupStatus.PARTIAL)
        if backup.good and {backup.backup_id, backup.base} & corrupt
        else backup
        for backup in repository.backups()
    ]
    return policy.select(backups, now=repository.clock.now())


def prune(repository: Repository, policy: RetentionPolicy, is_whole: Callable[[str], bool]) -> Selection:
    """Remove what a policy does not keep; with the writer's lock held.

    Backups share the files that did not change. So where one is corrupt, those that are to stay as the last good ones
    are read before any other is removed.

    Args:
        repository: The repository.
        policy: The backups to keep.
        is_whole: Reads a backup, and returns whether it is what was stored.

    Raises:
        BackupError: A backup cannot be removed, or not be read.
    """
    corrupt, whole = _corrupt(repository), set[str]()
    selection = _select(repository, policy, corrupt)
    while corrupt and selection.remove and (unread := set(selection.last_good) - whole):
        for backup_id in unread:
            (whole if is_whole(backup_id) else corrupt).add(backup_id)
        selection = _select(repository, policy, corrupt)
    _remove(repository, [backup.backup_id for backup in selection.remove])
    return selection


def delete(repository: Repository, backup_id: str) -> None:
    """Remove one backup; with the writer's lock held.

    Raises:
        BackupNotFoundError: There is none of that name.
        BackupError: Another one needs it, or it cannot be removed.
    """
    if not repository.folder(backup_id).is_dir():
        repository.get(backup_id)
    needing = [backup.backup_id for backup in repository.backups() if backup.base == backup_id]
    if needing:
        raise BackupError(f"{backup_id} is not removed: {needing[-1]} holds only what changed since")
    _remove(repository, [backup_id])


def _remove(repository: Repository, backup_ids: list[str]) -> None:
    try:
        repository.remove(backup_ids)
    except OSError as error:
        where = error.filename or repository.root
        raise BackupError(f"not everything could be removed: {error.strerror or error} ({where})") from error
