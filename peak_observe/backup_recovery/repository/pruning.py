"""Prune and delete backups, except those that must stay."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.repository.choice import corrupt_of, lost
from peak_observe.backup_recovery.repository.metadata import BackupMetadata, BackupStatus, BackupType
from peak_observe.backup_recovery.repository.repository import Unread
from peak_observe.backup_recovery.repository.retention import Kept, Selection
from peak_observe.errors import BackupError
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peak_observe.backup_recovery.repository.repository import Repository
    from peak_observe.backup_recovery.repository.retention import RetentionPolicy

_STAMP = re.compile(r"backup_(\d+)_")
_log = logger("peak_observe.backup")


def select(repository: Repository, policy: RetentionPolicy) -> Selection:
    """Return what a policy keeps and removes; a backup known to be corrupt never passes for a good one.

    Raises:
        BackupError: It cannot be told what is corrupt.
    """
    return _with_possible_bases(repository, _select(repository, policy, _corrupt(repository)))


def _corrupt(repository: Repository) -> set[str]:
    try:
        backups = repository.backups()
        return corrupt_of(backups, repository.ledger.load().corrupt, lost(repository.root, backups))
    except OSError as error:
        where = error.filename or repository.own
        raise BackupError(f"cannot tell what is corrupt: {error.strerror or error} ({where})") from error


def _select(repository: Repository, policy: RetentionPolicy, corrupt: set[str]) -> Selection:
    return policy.select(repository.backups(), now=repository.clock.now(), corrupt=corrupt)


def _with_possible_bases(repository: Repository, selection: Selection) -> Selection:
    """Return a selection that keeps what a backup that cannot be read may be based on, and say so."""
    unread, dated = _unread(repository), _is_dated(repository.backups())
    bases = [(backup, name) for backup in selection.remove if (name := _user_of(backup, unread, dated=dated))]
    if not bases:
        return selection
    more = [Kept(backup, (f"{name} may need it, and cannot be read",)) for backup, name in bases]
    keep = sorted([*selection.keep, *more], key=lambda kept: kept.backup.order, reverse=True)
    ids = {backup.backup_id for backup, _ in bases}
    first = bases[0][1]
    _log.warning("%s cannot be read (%s): %d backups stay that it may need", first, unread[first], len(ids))
    gone = tuple(backup for backup in selection.remove if backup.backup_id not in ids)
    return Selection(tuple(keep), gone, selection.corrupt)


def _unread(repository: Repository) -> dict[str, str]:
    """Return the backups that cannot be read now, or by this version, and why: which others they need is not known."""
    return {name: reason for name, reason in repository.unreadable().items() if isinstance(reason, Unread)}


def _user_of(backup: BackupMetadata, unread: Iterable[str], *, dated: bool) -> str:
    """Return the backup that cannot be read and may be based on another one; empty if there is none.

    Args:
        backup: The other one.
        unread: The backups that cannot be read.
        dated: Whether names tell which backup is older.
    """
    if backup.backup_type is BackupType.INCREMENTAL or backup.status is BackupStatus.FAILED:
        return ""
    made = _stamp(backup.backup_id) if dated else None
    return next((name for name in unread if made is None or (other := _stamp(name)) is None or made < other), "")


def _is_dated(backups: Iterable[BackupMetadata]) -> bool:
    """Return whether the names of backups, the oldest first, are in the order in which they were made.

    They are not where the clock was set back meanwhile.
    """
    stamps = [stamp for backup in backups if (stamp := _stamp(backup.backup_id)) is not None]
    return stamps == sorted(stamps)


def _stamp(backup_id: str) -> int | None:
    found = _STAMP.match(backup_id)
    return int(found[1]) if found else None


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
        corrupt |= _corrupt(repository)  # what is based on one that turned out to be corrupt
        selection = _select(repository, policy, corrupt)
    selection = _with_possible_bases(repository, selection)
    _remove(repository, [backup.backup_id for backup in selection.remove])
    if whole:
        with suppress(OSError):  # then the next backup reads them once more
            repository.ledger.update(lambda known: known.whole(whole))
    return selection


def delete(repository: Repository, backup_id: str) -> None:
    """Remove one backup; with the writer's lock held.

    Raises:
        BackupNotFoundError: There is none of that name.
        BackupError: Another one needs it, or may need it, or it cannot be removed.
    """
    if not repository.folder(backup_id).is_dir():
        repository.get(backup_id)
    found = repository.backups()
    backups = {backup.backup_id: backup for backup in found}
    needing = [backup.backup_id for backup in found if backup.base == backup_id and backup.manifest]
    if needing:
        raise BackupError(f"{backup_id} is not removed: {needing[-1]} holds only what changed since")
    user = ""
    if backup_id in backups:
        user = _user_of(backups[backup_id], _unread(repository), dated=_is_dated(found))
    if user:
        raise BackupError(f"{backup_id} is not removed: {user} may need it, and cannot be read: remove that first")
    _remove(repository, [backup_id])


def _remove(repository: Repository, backup_ids: list[str]) -> None:
    try:
        repository.remove(backup_ids)
    except OSError as error:
        where = error.filename or repository.root
        raise BackupError(f"not everything could be removed: {error.strerror or error} ({where})") from error
