"""Restore of one backup: look at all of it first, then change everything or nothing."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.backup_recovery.create.left_out import summary
from peak_observe.backup_recovery.files.helper_names import BESIDE, PREFIX
from peak_observe.backup_recovery.files.safe_read import check_is_of_file, content
from peak_observe.backup_recovery.repository.manifest import FOLDER, STATE_FILE, Entry, Manifest, Root
from peak_observe.backup_recovery.repository.metadata import BackupMetadata, BackupStatus
from peak_observe.backup_recovery.repository.repository import unusable
from peak_observe.backup_recovery.repository.stored_files import NoAccessError, StoredFiles
from peak_observe.backup_recovery.restore import legacy
from peak_observe.backup_recovery.restore.attributes import attribute, mend
from peak_observe.backup_recovery.restore.hard_links import written_through
from peak_observe.backup_recovery.restore.layout import takes_journal, too_long, unrecorded, without_room
from peak_observe.backup_recovery.restore.ownership import Ownership
from peak_observe.backup_recovery.restore.places import Places, RestoreOptions
from peak_observe.backup_recovery.restore.plan import (
    BLOCKED,
    NEW,
    REPLACED,
    SAME,
    Refusal,
    RestorePlan,
    actions,
    changes,
    extra,
    file_of,
    first_names,
    is_copied,
)
from peak_observe.backup_recovery.restore.privileged import log_privileged, makers
from peak_observe.backup_recovery.restore.state_file import StateFile
from peak_observe.backup_recovery.restore.transaction import Transaction
from peak_observe.backup_recovery.restore.unchangeable import forbidden
from peak_observe.backup_recovery.restore.ways_out import command_of
from peak_observe.backup_recovery.state import snapshot
from peak_observe.errors import BackupCorruptError, BackupError, BackupUnreadableError, RestoreRefusedError
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from peak_observe.backup_recovery.files.workers import Progress
    from peak_observe.backup_recovery.repository.repository import Repository

PARTIAL, FAILED = "partial", "failed"

_log = logger("peak_observe.backup")


class RestoreReport(NamedTuple):
    """Result of a restore, or of a dry run.

    Args:
        plan: The changes, made or planned.
        state: The state of the program as it was, by provider; None where it was not asked for.
        unapplied: State providers that could not take their state back, and why.
        left: Parts that the backup holds and that were not asked for.
        moved: Named paths that go to another place than they came from: the old one and the new one.
        not_handed_back: State providers whose state is in `state` alone, as no `restore=` function takes it.
    """

    plan: RestorePlan
    state: dict[str, Any] | None = None
    unapplied: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    not_handed_back: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the backup holds nothing of what was asked for, so that nothing was restored and none is counted."""
        plan = self.plan
        return bool(self.left) and self.state is None and not (plan.new or plan.replaced or plan.times or plan.same)


def log_left(report: RestoreReport) -> None:
    """Log what a backup holds that its restore did not bring back, each with its mend."""
    backup_id = report.plan.backup_id
    for name in report.not_handed_back:
        mend = "register its provider with restore=, a function that takes it, or read it from restore().state"
        _log.warning("the state '%s' of %s was not handed back: %s", name, backup_id, mend)
    for part in report.left:
        _log.warning("%s also holds the %s, which is not restored: restore_%s=True does so", backup_id, part, part)


class Restore:
    """The restore of one backup, ready to be looked at and then carried out.

    Args:
        repository: Where the backup is.
        backup: The backup.
        manifest: What is in it.
        options: What to restore, and where to.
        tell: Called with a `Progress`, while files are compared.
        temporary: Whether nobody needs the repository afterwards, so that files may be moved instead of copied.

    Raises:
        RestoreRefusedError: It would do harm.
    """

    def __init__(
        self,
        repository: Repository,
        backup: BackupMetadata,
        manifest: Manifest,
        options: RestoreOptions,
        tell: Callable[[Progress], object] | None = None,
        *,
        temporary: bool = False,
    ) -> None:
        self._repository = repository
        self._backup_id = backup.backup_id
        self._stored = StoredFiles(repository.root, manifest, temporary=temporary)
        others = makers(repository, backup.backup_id)
        self._owners = Ownership(manifest, numeric=options.numeric_owner, makers=others)
        held = set(backup.parts) or {entry.kind for entry in manifest.entries}
        self.is_empty = not held & set(options.kinds)
        self.left = tuple(sorted({entry.kind for entry in manifest.entries} - set(options.kinds)))
        places = Places(manifest, options)
        self.moved = tuple(places.moved())
        self._command = command_of(repository, options, self.moved)
        self._inside = places.inside
        # Without the folder of the repository, or room in it, the journal lies beside the files; so does that of a
        # repository which was fetched for this restore alone, where nobody would look for it.
        beside = [folder for folder in places.folders() if temporary and takes_journal(folder)]
        self._journal_places = beside or [repository.own, *places.folders()]
        self._prefix = BESIDE if beside else PREFIX
        self.entries = places.entries
        self._helpers = places.helpers
        problems = list(places.problems())
        self._state_file = self._placed(options.state_file)
        try:
            wanted, parents = places.wanted() if not problems else ({}, set())
            problems += self._state_file.problems(wanted) if self._state_file else []
            self.actions = actions(wanted, self._owners, problems, parents=parents, tell=tell)
            problems += [*too_long(self.actions), *forbidden(self.actions), *written_through(self.actions)]
            problems += [] if problems else unrecorded(self.actions, self._journal_places)
            problems += [] if problems or temporary else without_room(self.actions)  # else files may be moved
            self.plan = self._plan(places.roots(), wanted)
        except OSError as error:
            check_is_of_file(error)
            problems.append(Refusal(BLOCKED, f"{error.filename}: {error.strerror}{_open_up(error)}"))
        if problems:
            reasons = dict.fromkeys(problem.reason for problem in problems)
            told = dict.fromkeys(item.problem for item in problems)
            raise RestoreRefusedError(self._backup_id, tuple(told), tuple(reasons))

    def _placed(self, path: Path | None) -> StateFile | None:
        """Return the file that the state goes to, if one is named and the backup holds a state."""
        held = [entry for entry in self.entries if entry.stored == STATE_FILE]
        return StateFile(path, self._owners.of(held[0])) if path is not None and held else None

    def _plan(self, roots: Iterable[str], wanted: Collection[str]) -> RestorePlan:
        by_change: dict[str, list[str]] = {NEW: [], REPLACED: [], SAME: []}
        folders = []
        times = [action.target for action in self.actions if action.retime]
        for action in self.actions:
            if action.entry.type != FOLDER:
                by_change[action.change].append(action.target)
            elif action.change == REPLACED:
                folders.append(action.target)
        sides = {side for action in self.actions for side in action.sides}
        others = extra(roots, wanted, sides)
        new, replaced, same = (tuple(by_change[change]) for change in (NEW, REPLACED, SAME))
        more = tuple(folders), tuple(sorted(sides)), tuple(times)
        return RestorePlan(self._backup_id, new, replaced, same, tuple(others), *more)

    def verify(self, tell: Callable[[Progress], object] | None = None, *, all_entries: bool = True) -> None:
        """Read what is stored of all entries, or of those that will not be copied.

        Raises:
            BackupCorruptError: Something is not what was stored.
            BackupUnreadableError: Something cannot be read.
        """
        # Of a file with several names the first alone is copied.
        names = first_names(self.actions)
        copies = () if all_entries else changes(self.actions)
        copied = {action.entry.stored for action in copies if is_copied(action, names)}
        problems = self._stored.check_all([entry for entry in self.entries if entry.stored not in copied], tell)
        if problems:
            raise BackupCorruptError(self._backup_id, tuple(problems))

    def carry_out(self, tell: Callable[[Progress], object] | None = None) -> None:
        """Change the files, all or none; what is copied is checked on the way, before the first live file changes.

        Raises:
            BackupCorruptError: Something is not what was stored.
            BackupUnreadableError: Something cannot be read.
            BackupError: Something could not be written.
        """
        self.verify(tell, all_entries=False)
        if self._helpers:
            what = "%d files that a restore had on their way are in %s, and are not restored: %s"
            _log.warning(what, len(self._helpers), self._backup_id, summary(self._helpers))
        if all(action.change == SAME and not action.retime for action in self.actions):
            return
        lost = [action.target for action in self.actions if action.entry.xattrs and action.change != SAME]
        if lost:
            what = "ACLs and other extended attributes are in no backup; set those of %d files and folders again: %s"
            _log.warning(what, len(lost), summary(lost))
        places = self._journal_places
        transaction = Transaction.of(
            self.actions,
            [folder for folder in places if not attribute(str(folder))] or places[:1],
            secrets.token_hex(4),
            self._backup_id,
            owners=self._owners,
            private=self._inside,
            prefix=self._prefix,
        )
        transaction.command = self._command
        try:
            transaction.run(self.actions, self._stored, tell)
        except ValueError as error:
            raise BackupCorruptError(self._backup_id, (str(error),)) from None
        except NoAccessError as error:
            raise BackupUnreadableError(self._backup_id, (f"{error.filename}: {error.strerror}",)) from None
        except OSError as error:
            check_is_of_file(error)
            what = self._standing(transaction)
            where = f" ({error.filename})" if error.filename else ""
            named = f"; {transaction.path} names them" if transaction.unsettled else ""
            raise BackupError(f"{what}, as writing failed: {error.strerror}{where}{mend(error)}{named}") from error
        with suppress(OSError):  # what is restored is restored, whether or not all of it can be told
            log_privileged(self.actions, self._owners)
            self._log_separate()

    def _standing(self, transaction: Transaction) -> str:
        """Say where files stand after an error."""
        if not transaction.unsettled:
            return "nothing was restored"
        next_use = f"`{transaction.command}`" if transaction.bound else "the next use of the repository"
        if transaction.untouched:
            return f"nothing was restored, and what lies beside the files goes with {next_use}"
        return f"files are between old and new until {next_use} brings them to one of both"

    def _log_separate(self) -> None:
        """Log what is a file of its own now, and was one more name of another, as a link to that could not be made."""
        names = first_names(self.actions)
        more = (
            (action.target, names[file_of(action.entry)].target)
            for action in changes(self.actions)
            if not is_copied(action, names)
        )
        separate = [target for target, first in more if not os.path.samefile(target, first)]
        if separate:
            what = "%d names of other files are files of their own now, as no hard link can be made there: %s"
            _log.warning(what, len(separate), summary(separate))

    def state(self) -> dict[str, Any]:
        """Return the state of the program as it was; empty if the backup holds none.

        Where a file is named for it, the plan has that file from then on.

        Raises:
            BackupCorruptError: It is not what was stored.
            BackupUnreadableError: It cannot be read.
            RestoreRefusedError: That file cannot be written.
        """
        entries = [entry for entry in self.entries if entry.stored == STATE_FILE]
        if not entries:
            return {}
        try:
            found = snapshot.decode(content(Path(self._stored.path(entries[0]))))
        except (OSError, ValueError) as error:
            raise unusable(self._backup_id, STATE_FILE, error) from None
        if self._state_file:
            self.plan = self._state_file.planned(self.plan, found)
            problem = self._state_file.unwritable(self.actions)
            if problem is not None:
                raise RestoreRefusedError(self._backup_id, (problem.problem,), (problem.reason,))
        return found

    def report(self, state: dict[str, Any] | None, unapplied: Iterable[object], kept: tuple[str, ...]) -> RestoreReport:
        """Return what was restored, with the state, who could not take it, and what nobody takes."""
        return RestoreReport(self.plan, state, tuple(map(str, unapplied)), self.left, self.moved, kept)

    def write_state(self) -> None:
        """Write the state to the file that is named for it.

        Raises:
            BackupError: That is not possible; the files are restored all the same.
        """
        if self._state_file:
            self._state_file.write(self.plan)


def prepare(
    repository: Repository,
    backup_id: str,
    options: RestoreOptions,
    tell: Callable[[Progress], object] | None = None,
) -> Restore:
    """Return the restore of a backup, after finding out what it would do; see `Restore` for the arguments.

    Raises:
        BackupNotFoundError: There is no such backup.
        BackupCorruptError: Its metadata or manifest is not what was written.
        RestoreRefusedError: It would do harm.
    """
    backup = repository.get(backup_id)
    refusal = _refusal(repository, backup, allow_partial=options.allow_partial)
    if refusal is not None:
        raise RestoreRefusedError(backup_id, (refusal.problem,), (refusal.reason,))
    manifest = manifest_of(repository, backup, options.named)
    astray = list(Places(manifest, options).within(repository.root))
    if astray:
        reasons = dict.fromkeys(item.reason for item in astray)
        raise RestoreRefusedError(backup_id, tuple(item.problem for item in astray), tuple(reasons))
    return Restore(repository, backup, manifest, options, tell, temporary=repository.temporary)


def _open_up(error: OSError) -> str:
    """Return a part of a message: what to do about a folder of this user's own that keeps him out."""
    for folder in Path(str(error.filename)).parents if isinstance(error, PermissionError) else ():
        with suppress(OSError):
            if not os.access(folder, os.X_OK) and folder.stat().st_uid == os.geteuid():
                return f"; `chmod u+rwx {quote(str(folder))}` lets you look"
    return ""


def _refusal(repository: Repository, backup: BackupMetadata, *, allow_partial: bool) -> Refusal | None:
    if backup.status is BackupStatus.PARTIAL and not allow_partial:
        missing = backup.error_message or "something named is not in it"
        mend = "allow_partial=True restores what there is"
        return Refusal(PARTIAL, f"it is partial ({missing}); {_instead(repository, backup)}{mend}")
    if backup.status in (BackupStatus.FAILED, BackupStatus.IN_PROGRESS):
        why = f"it is {backup.status.value}, so there is nothing to restore: {backup.error_message}"
        return Refusal(FAILED, f"{_instead(repository, backup)}{why}")
    return None


def _instead(repository: Repository, backup: BackupMetadata) -> str:
    """Return a part of a message: the newest complete backup with the same parts; empty if there is none."""
    parts = set(backup.parts)
    good = [item.backup_id for item in repository.backups() if item.good and parts <= set(item.parts)]
    return f"the newest complete backup is {good[-1]}; " if good else ""


def manifest_of(repository: Repository, backup: BackupMetadata, named: Iterable[Root]) -> Manifest:
    """Return what is in a backup, also in one of the original code base, which has no manifest.

    Raises:
        BackupCorruptError: It cannot be found out.
        BackupUnreadableError: It cannot be read.
    """
    return repository.manifest(backup) if backup.manifest else _without_manifest(repository, backup, named)


def entries_of(
    repository: Repository, backup: BackupMetadata, named: Iterable[Root]
) -> tuple[Manifest, Iterable[Entry]]:
    """Return what `manifest_of` does, its entries by themselves: they are read each time that somebody asks for them.

    Raises:
        BackupCorruptError: It cannot be found out.
        BackupUnreadableError: It cannot be read.
    """
    if not backup.manifest:
        found = _without_manifest(repository, backup, named)
        return found, found.entries
    reader = repository.reader(backup)
    return reader.head, reader


def _without_manifest(repository: Repository, backup: BackupMetadata, named: Iterable[Root]) -> Manifest:
    if backup.status in (BackupStatus.SUCCESS, BackupStatus.PARTIAL):
        _log.warning("%s has no manifest: nothing proves that its files are what they were", backup.backup_id)
    folder = repository.folder(backup.backup_id)
    try:
        return legacy.manifest(folder, named)
    except OSError as error:
        place = os.path.relpath(error.filename, folder) if error.filename else "its files"
        raise unusable(backup.backup_id, place, error) from None
    finally:
        repository.check_there(backup.backup_id)  # of what is gone there may be no error
