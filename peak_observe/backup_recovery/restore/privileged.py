"""Setuid and setgid in a restore: who may have asked for them, and what is left without them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.create.left_out import summary
from peak_observe.backup_recovery.repository.repository import MANIFEST, METADATA
from peak_observe.backup_recovery.restore.ownership import PRIVILEGED
from peak_observe.backup_recovery.restore.plan import SAME
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peak_observe.backup_recovery.repository.repository import Repository
    from peak_observe.backup_recovery.restore.ownership import Ownership
    from peak_observe.backup_recovery.restore.plan import Action

_log = logger("peak_observe.backup")


def makers(repository: Repository, backup_id: str) -> set[int]:
    """Return the users, but for root and this one, who may have made a backup or can change it.

    Raises:
        OSError: It cannot be looked at.
    """
    folder, found = repository.folder(backup_id), set()
    for path in (repository.root, folder, folder / METADATA, folder / MANIFEST):
        with suppress(FileNotFoundError):
            found.add(path.stat().st_uid)
    return found - {0, os.geteuid()}


def log_privileged(actions: Iterable[Action], owners: Ownership) -> None:
    """Log what cannot be run as its owner or group any more: it has not those that it had, or a user asks for more.

    Raises:
        OSError: One cannot be looked at.
    """
    lost: list[str] = []
    withheld: list[str] = []
    for action in actions:
        wanted = action.entry.mode & PRIVILEGED if action.change != SAME else 0
        if wanted and (gone := wanted & ~os.lstat(action.target).st_mode):
            (lost if gone & ~owners.of(action.entry).withheld else withheld).append(action.target)
    what = "%d files and folders are without setuid or setgid, as %s: %s"
    if lost:
        _log.warning(what, len(lost), "not with the owner and group they had", summary(lost))
    if withheld:
        why = "the backup is in the hands of a user who may not make such files"
        _log.warning(what, len(withheld), why, summary(withheld))
