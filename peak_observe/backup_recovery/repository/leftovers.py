"""Leftovers of a repository: staging folders, trash, drills and failed runs, emptied first and then accounted for.

A full disk has no room for the account before something is removed. The empty folder stays until the account is
written, so that a crash in between forgets nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

from msgspec.structs import replace

from peak_observe.backup_recovery.repository import uncounted
from peak_observe.backup_recovery.repository.ledger import INTERRUPTED
from peak_observe.backup_recovery.repository.uncounted import FAILURE
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from peak_observe.backup_recovery.repository.ledger import Ledger
    from peak_observe.backup_recovery.repository.metadata import BackupMetadata

STAGING, TRASH, DRILL = ".staging-", ".trash-", ".drill-"
PREFIXES = (STAGING, TRASH, DRILL, FAILURE)
OFFSITE = ".peak-observe-offsite-"
"""Begins the name of a repository that was fetched from an off-site store."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

_log = logger("peak_observe.backup")


def empty(folder: Path) -> None:
    """Remove everything in a folder, and keep the folder; whatever else stands there is removed itself.

    Raises:
        OSError: Something cannot be removed.
    """
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink()
        return
    with os.scandir(folder) as listing:
        entries = list(listing)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def clear(root: Path, ledger: Ledger, backups: Collection[BackupMetadata]) -> None:
    """Remove what runs have left that a crash or a full disk ended, and count them; with the writer's lock held.

    Args:
        root: The repository's folder.
        ledger: Its ledger.
        backups: All its backups.

    Raises:
        OSError: Something cannot be removed or written; that there is no room for the account is no error.
    """
    ledger.clear()
    left = [root / name for name in os.listdir(root) if name.startswith(PREFIXES)]
    for path in left:
        empty(path)
    try:
        _account_for(root, ledger, backups, [path.name for path in left])
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _log.warning("%s: no room to account for what earlier runs have left; the next run does so", root)
        return
    for path in left:
        if os.path.lexists(path):
            path.rmdir()


def _account_for(root: Path, ledger: Ledger, backups: Collection[BackupMetadata], left: Collection[str]) -> None:
    staging = [name for name in left if name.startswith(STAGING)]
    # How much of the trash was accounted for when the crash came is not known.
    trash: dict[str, int | None] = {name.removeprefix(TRASH): None for name in left if name.startswith(TRASH)}
    known, failed = uncounted.pending(root, ledger)
    # A backup may have become visible in the instant before the crash, and is counted as what it is.
    unseen = [backup for backup in backups if backup.sequence > known.sequence]
    begun = bool(known.running_since and not unseen and not failed)
    crashed = len(set(staging) - set(known.cleared)) or (begun and not staging)
    if not (crashed or unseen or failed or trash or known.running_since):
        return
    outcomes = [run.status.value for run in unseen] + [run.outcome for run in failed] + [INTERRUPTED] * crashed
    sequences = [run.sequence for run in unseen] + [run.sequence for run in failed]
    newest = max(sequences, default=known.sequence)
    # What is cleared is not counted again if a crash comes before it is removed.
    ledger.update(lambda account: replace(account.ended(outcomes, newest).forgotten(trash), cleared=staging))
