"""Restoring a backup: look at all of it first, then change everything or nothing."""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.backup_recovery.files.safe_read import content
from peak_observe.backup_recovery.repository.manifest import STATE_FILE, Manifest, Root, decode_name
from peak_observe.backup_recovery.repository.metadata import BackupMetadata, BackupStatus
from peak_observe.backup_recovery.repository.stored_files import Stored
from peak_observe.backup_recovery.restore import legacy
from peak_observe.backup_recovery.restore.plan import NEW, REPLACED, SAME, Places, RestorePlan, actions, extra
from peak_observe.backup_recovery.restore.transaction import Transaction, changes
from peak_observe.backup_recovery.state import snapshot
from peak_observe.errors import BackupCorruptError, BackupError, RestoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from peak_observe.backup_recovery.files.workers import Progress
    from peak_observe.backup_recovery.repository.repository import Repository


BETWEEN = "files are between old and new until the next use of the repository brings them to one of both"

_log = logging.getLogger("peak_observe.backup")


class RestoreReport(NamedTuple):
    """What a restore has done, or would do.

    Args:
        plan: What changed, or would change.
        state: The state of the program as it was, by provider; None where it was not asked for.
        unapplied: State providers that could not take their state back, and why.
    """

    plan: RestorePlan
    state: dict[str, Any] | None = None
    unapplied: tuple[str, ...] = ()


class Restore:
    """The restore of one backup, ready to be looked at and then carried out.

    Args:
        repository: Where the backup is.
        backup: The backup.
        manifest: What is in it.
        kinds: The parts to restore.
        named: The paths that may be written.
        inside: A folder that gets everything instead.

    Raises:
        RestoreRefusedError: It would do harm.
    """

    def __init__(
        self,
        repository: Repository,
        backup: BackupMetadata,
        manifest: Manifest,
        *,
        kinds: Collection[str],
        named: Iterable[Root],
        inside: Path | None,
    ) -> None:
        self._repository = repository
        self._backup_id = backup.backup_id
        self._stored = Stored(repository.root, manifest)
        self.entries = [entry for entry in manifest.entries if entry.kind in kinds]
        folder = None if inside is None else os.path.realpath(inside)
        places = Places(manifest, named, folder)
        problems = [
            f"{decode_name(root.source)} is not named: add it, or restore into a folder of its own"
            for root in places.unnamed
            if root.kind in kinds
        ]
        problems += _links_out(folder, kinds)
        try:
            self.actions = [] if problems else actions(self.entries, places, problems)
        except OSError as error:
            problems.append(f"{error.filename}: {error.strerror}")
        if problems:
            raise RestoreRefusedError(self._backup_id, tuple(problems))
        self.plan = self._plan(places, kinds)

    def _plan(self, places: Places, kinds: Collection[str]) -> RestorePlan:
        by_change: dict[str, list[str]] = {NEW: [], REPLACED: [], SAME: []}
        for action in self.actions:
            if action.entry.type != "folder":
                by_change[action.change].append(action.target)
        sides = {side for action in self.actions for side in action.sides}
        others = extra(places.roots(kinds), {action.target for action in self.actions}, sides)
        new, replaced, same = (tuple(by_change[change]) for change in (NEW, REPLACED, SAME))
        return RestorePlan(self._backup_id, new, replaced, same, tuple(others))

    def verify(self, tell: Callable[[Progress], object] | None = None, *, all_entries: bool = True) -> None:
        """Read what is stored of all entries, or of those that will not be copied.

        Raises:
            BackupCorruptError: Something is not what was stored.
        """
        copied = set() if all_entries else {action.entry.stored for action in changes(self.actions)}
        problems = self._stored.check_all([entry for entry in self.entries if entry.stored not in copied], tell)
        if problems:
            raise BackupCorruptError(self._backup_id, tuple(problems))

    def carry_out(self, tell: Callable[[Progress], object] | None = None) -> None:
        """Change the files, all or none; what is copied is checked on the way, before the first live file changes.

        Raises:
            BackupCorruptError: Something is not what was stored.
            BackupError: Something could not be written.
        """
        self.verify(tell, all_entries=False)
        if not self.actions:
            return
        transaction = Transaction.of(self.actions, self._repository.own, secrets.token_hex(4), self._backup_id)
        try:
            transaction.run(self.actions, self._stored, tell)
        except ValueError as error:
            raise BackupCorruptError(self._backup_id, (str(error),)) from None
        except OSError as error:
            what = BETWEEN if transaction.unsettled else "nothing was restored"
            where = f" ({error.filename})" if error.filename else ""
            raise BackupError(f"{what}, as writing failed: {error.strerror}{where}") from error

    def state(self) -> dict[str, Any]:
        """Return the state of the program as it was; empty if the backup holds none.

        Raises:
            BackupCorruptError: It is not what was stored.
        """
        entries = [entry for entry in self.entries if entry.stored == STATE_FILE]
        if not entries:
            return {}
        try:
            return snapshot.decode(content(Path(self._stored.path(entries[0]))))
        except (OSError, ValueError) as error:
            raise BackupCorruptError(self._backup_id, (f"{STATE_FILE}: {error}",)) from None


def prepare(
    repository: Repository,
    backup_id: str,
    *,
    kinds: Collection[str],
    named: Collection[Root],
    inside: Path | None,
    allow_partial: bool,
) -> Restore:
    """Return the restore of a backup, after finding out what it would do; see `Restore` for the arguments.

    Raises:
        BackupNotFoundError: There is no such backup.
        BackupCorruptError: Its metadata or manifest is not what was written.
        RestoreRefusedError: It would do harm.
    """
    backup = repository.get(backup_id)
    problem = _refusal(backup, allow_partial=allow_partial)
    if problem:
        raise RestoreRefusedError(backup_id, (problem,))
    manifest = manifest_of(repository, backup, named)
    return Restore(repository, backup, manifest, kinds=kinds, named=named, inside=inside)


def _refusal(backup: BackupMetadata, *, allow_partial: bool) -> str:
    if backup.status is BackupStatus.PARTIAL and not allow_partial:
        missing = backup.error_message or "something named is not in it"
        return f"it is partial ({missing}); allow_partial=True restores what there is"
    if backup.status in (BackupStatus.FAILED, BackupStatus.IN_PROGRESS):
        return f"it is {backup.status.value}, so there is nothing to restore: {backup.error_message}"
    return ""


def manifest_of(repository: Repository, backup: BackupMetadata, named: Iterable[Root]) -> Manifest:
    """Return what is in a backup, also in one of the original code base, which has no manifest.

    Raises:
        BackupCorruptError: It cannot be found out.
    """
    if backup.manifest:
        return repository.manifest(backup)
    if backup.status in (BackupStatus.SUCCESS, BackupStatus.PARTIAL):
        _log.warning("%s has no manifest: nothing proves that its files are what they were", backup.backup_id)
    try:
        return legacy.manifest(repository.folder(backup.backup_id), named)
    except OSError as error:
        raise BackupCorruptError(backup.backup_id, (str(error.strerror),)) from None


def _links_out(folder: str | None, kinds: Collection[str]) -> list[str]:
    if folder is None:
        return []
    found = []
    with suppress(OSError):
        found = [name for name in (*kinds, STATE_FILE) if os.path.islink(f"{folder}/{name}")]
    return [f"{folder}/{name} is a symbolic link: remove it" for name in found]
