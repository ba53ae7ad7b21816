"""Leftovers of a repository: staging folders, trash, drills and failed runs, emptied first and then accounted for.

A full disk has no room for the account before something is removed. The empty folder stays until the account is
written, so that a crash in between forgets nothing.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from peak_observe.backup_recovery.repository import uncounted
from peak_observe.backup_recovery.repository.ledger import INTERRUPTED
from peak_observe.backup_recovery.repository.uncounted import FAILURE
from peak_observe.support import posix
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Collection

    from peak_observe.backup_recovery.repository.ledger import Account, Ledger
    from peak_observe.backup_recovery.repository.metadata import BackupMetadata

STAGING, TRASH, DRILL = ".staging-", ".trash-", ".drill-"
PREFIXES = (STAGING, TRASH, DRILL, FAILURE)
OFFSITE = ".peak-observe-offsite-"
"""Begins the name of a repository that was fetched from an off-site store."""
DUMPS, DUMP, MARK = ".dumps", ".sql", ".taking"
"""Ends the name of a folder beside the repository to which the output of commands is restored; ends the names of files
in it; lists there those that commands of an earlier version were writing, which wrote to the same folder."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_MARKED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}" + re.escape(DUMP))
_OPEN = os.O_RDONLY | posix.CLOEXEC | posix.NOFOLLOW | posix.NONBLOCK

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


def clear_dumps(folder: Path) -> None:
    """Remove what a crash of an earlier version has left of the output of commands; what a restore has put there stays.

    Nothing that is there keeps a run from its own work: what is not ours is left alone, and what cannot be removed is
    told in the log.
    """
    try:
        descriptor = os.open(folder, _OPEN)
    except OSError:  # there is nothing, or what no command can have written to
        return
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) and _is_ours(descriptor) and _clear_marked(descriptor):
            with suppress(OSError):  # something else is in it
                os.rmdir(folder)
    except OSError as error:
        _log.warning("%s: what an earlier version has left there cannot be removed: %s", folder, error.strerror)
    finally:
        os.close(descriptor)


def _clear_marked(folder: int) -> bool:
    """Remove the files that the mark in a folder lists, and the mark; return whether there was one of ours.

    Args:
        folder: The folder's descriptor.
    """
    try:
        mark = os.open(MARK, _OPEN, dir_fd=folder)
    except FileNotFoundError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(mark).st_mode) or not _is_ours(mark):
            return False
        names = os.read(mark, os.fstat(mark).st_size).decode(errors="replace").split("\n")
    finally:
        os.close(mark)
    for name in filter(_MARKED.fullmatch, names):
        with suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(name, dir_fd=folder)
    os.unlink(MARK, dir_fd=folder)
    return True


def _is_ours(descriptor: int) -> bool:
    """Return whether only this user can have written to a file or folder, and nobody else has made it."""
    status = os.fstat(descriptor)
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


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
    clear_dumps(Path(f"{root.absolute()}{DUMPS}"))
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
    with uncounted.counting(root, ledger) as (known, failed, restores):
        # A backup may have become visible in the instant before the crash, and is counted as what it is.
        unseen = [backup for backup in backups if backup.sequence > known.sequence]
        begun = bool(known.running_since and not unseen and not failed)
        crashed = len(set(staging) - set(known.cleared)) or (begun and not staging)
        if not (crashed or unseen or failed or trash or restores or known.running_since):
            return
        outcomes = [run.status.value for run in unseen] + [run.outcome for run in failed] + [INTERRUPTED] * crashed
        sequences = [run.sequence for run in unseen] + [run.sequence for run in failed]
        newest = max(sequences, default=known.sequence)

        def settled(account: Account) -> Account:
            # What is cleared is not counted again if a crash comes before it is removed.
            ended = account.ended(outcomes, newest).forgotten(trash)
            for outcome in restores:
                ended = ended.counted(outcome, restores=True)
            return replace(ended, cleared=staging)

        ledger.update(settled)
