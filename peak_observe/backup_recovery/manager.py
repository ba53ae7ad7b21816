"""Recovery manager: the public interface of backups, restores, verification and retention."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from peak_observe.backup_recovery.backup_reader import BackupReader
from peak_observe.backup_recovery.components import ConfigBackup, DataBackup, Named
from peak_observe.backup_recovery.create.arguments import (
    check_flags,
    check_period,
    checked_flag,
    checked_patterns,
    checked_tags,
    checked_text,
    chosen_kinds,
    wanted_parts,
)
from peak_observe.backup_recovery.create.counts import counting
from peak_observe.backup_recovery.create.left_out import left_out, summary
from peak_observe.backup_recovery.create.run import BackupRequest, BackupRun
from peak_observe.backup_recovery.create.sources import Exclude, checked_path
from peak_observe.backup_recovery.files.workers import Tell, as_raised
from peak_observe.backup_recovery.repository import pruning, reading, retention
from peak_observe.backup_recovery.repository.ledger import Promise
from peak_observe.backup_recovery.repository.manifest import label_of
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, STATE
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.backup_recovery.repository.retention import RetentionPolicy, Selection
from peak_observe.backup_recovery.restore import verification
from peak_observe.backup_recovery.restore.crash_recovery import (
    check_settled,
    counted,
    read_by,
    restoring,
    settle,
    settle_beside,
    targets_of,
    writing,
)
from peak_observe.backup_recovery.restore.places import RestoreOptions
from peak_observe.backup_recovery.restore.restore import RestoreReport, log_left, prepare
from peak_observe.backup_recovery.restore.verification import VerifyReport
from peak_observe.backup_recovery.state.snapshot import Captured, StateSnapshot
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import BackupError, BackupNotFoundError, RepositoryLockedError
from peak_observe.support.keywords import check_keywords
from peak_observe.support.loggers import logger
from peak_observe.support.posix import unsupported
from peak_observe.telemetry.tracing.spans import Operation

_log = logger("peak_observe.backup")


class RecoveryManager(BackupReader):
    """Manager of a backup repository: make, list, verify, restore and prune backups.

    Args:
        backup_dir: The repository, a folder; it is made if there is none.
        name: The label `repository` of its metrics, the folder's name by default; programs that share a repository are
            told apart by it, or else by what they name.
        max_age: Seconds that the newest backup may be old: the promise that the alert compares with.
        exclude: Patterns of what is left out; see `Exclude`.
        append_only: Patterns, as for `exclude`, of files that only ever grow, such as logs and journals: the part that
            was there when reading began is a good backup of them.
        clock: Source of the time; for tests.

    Raises:
        ValueError: An argument makes no sense.
        BackupError: The folder cannot be made, a restore that a crash cut off cannot be brought to its end, or the
            platform has no file locks (Windows).
    """

    _observe = staticmethod(reading.observe)

    @check_keywords({"path root directory folder repository backup_path": "backup_dir"})
    def __init__(
        self,
        backup_dir: str | Path = "backups",
        *,
        name: str | None = None,
        max_age: float | None = None,
        exclude: Iterable[str] = (),
        append_only: Iterable[str] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if missing := unsupported("backups"):
            raise BackupError(missing)
        check_period("max_age", max_age)
        self.backup_root = Path(checked_path(backup_dir))
        self.state_snapshot = StateSnapshot()
        self.config_backup = ConfigBackup()
        self.data_backup = DataBackup()
        self.data_backup.dumps.folder = Path(f"{self.backup_root.absolute()}.dumps")
        self._exclude = Exclude(exclude)
        self._append_only = Exclude(append_only, option="append_only")
        self._max_age = max_age
        self._clock = clock
        self._repository = Repository(self.backup_root, label_of(name, self.backup_root), clock)
        self._repository.configure(max_age, new=self._makes)
        self._named = Named(self.config_backup, self.data_backup, self.state_snapshot, name or None)
        self._observed = self._observe(self._repository, self, self._named.sources, max_age)
        self._settle()

    def _settle(self) -> None:
        settle(self._repository)

    @check_keywords({"tag labels": "tags", "note name comment message": "description"})
    def create_backup(
        self,
        include_config: bool = True,
        include_state: bool = True,
        include_data: bool | None = None,
        description: str = "",
        tags: list[str] | None = None,
        *,
        incremental: bool = False,
        progress: Tell | None = None,
    ) -> str:
        """Make a backup and return its name; look at its status to see whether everything is in it.

        Args:
            include_config: Whether it holds the configuration.
            include_state: Whether it holds the state of the program.
            include_data: Whether it holds the data; None for whatever data is named. A part that is named and left out
                is told in `left_out` of the backup, and it is not of the type `full`.
            description: The purpose, in words.
            tags: For finding it again.
            incremental: Whether it holds only what changed since the last full one, which it needs from then on;
                a full one is made where there is none.
            progress: Called with a `Progress`, by one thread at a time; what it raises makes the backup fail.

        Raises:
            ValueError: Nothing is named for what is included, or description or tags cannot be written.
            RepositoryLockedError: Another process or thread works in the repository.
            BackupError: It failed; that is recorded, and older backups are as they were.
        """
        wanted = wanted_parts(config=include_config, state=include_state, data=include_data)
        kinds = chosen_kinds(self._named.kinds(), wanted)
        request = BackupRequest(
            {kind: paths.roots() for kind, paths in self._named.paths().items() if kind in kinds},
            self._named.identities(),
            self.state_snapshot if include_state else None,
            self.data_backup.dumps if DATA in kinds else None,
            self._exclude,
            self._append_only,
            checked_text("description", description),
            checked_tags(tags),
            checked_flag("incremental", incremental),
            Promise(self._repository.name, self._max_age, self._named.kinds(), self._named.sources()),
            left_out(self._named.kinds(), wanted, asked=[DATA] if include_data else []),
            progress,
        )
        with self._operation("backup.create") as span, counting(self._repository) as beginning:
            # Providers are asked before the lock is taken: one that hangs must not keep others out.
            state = self._state() if request.snapshot else None
            named = RestoreOptions(kinds=(), named=self._named.roots())
            with writing(self._repository, "make a backup", read_by(request.roots), named, new=True):
                run = BackupRun(self._repository, request, state)
                beginning.over = True
                made = run.run()
            span.note(backup_id=made.backup_id, files=made.files_count, size_bytes=made.size_bytes)
            span.note(outcome=made.status.value)
        return made.backup_id

    def _state(self) -> tuple[Captured, float]:
        """Return what the state providers return, and the seconds that took."""
        began = time.perf_counter()
        with self._observed.asking():
            return self.state_snapshot.take(), time.perf_counter() - began

    @check_keywords({"dryrun dry preview simulate": "dry_run", "partial": "allow_partial"})
    def restore_backup(
        self,
        backup_id: str,
        restore_config: bool = True,
        restore_state: bool = False,
        restore_data: bool = False,
        dry_run: bool = False,
        *,
        restore_to: str | Path | None = None,
        allow_partial: bool = False,
        progress: Tell | None = None,
    ) -> bool:
        """Restore a backup, and return whether that was possible; the log says why not.

        The arguments are those of `restore`, which raises instead. It was not where the backup holds nothing of what
        is asked for.
        """
        try:
            report = self.restore(
                backup_id,
                config=restore_config,
                state=restore_state,
                data=restore_data,
                dry_run=dry_run,
                restore_to=restore_to,
                allow_partial=allow_partial,
                progress=progress,
            )
        except BackupError as error:
            if dry_run or isinstance(error, BackupNotFoundError | RepositoryLockedError):  # the log has all others
                _log.error("%s", error)
            return False
        if dry_run:
            _log.info("dry run, nothing was changed: %s", report.plan)
        log_left(report)
        if report.is_empty:
            held = " and the ".join(self.get_backup(backup_id).parts or report.left)
            _log.error("%s holds nothing of what is asked for: it holds the %s", backup_id, held or "names alone")
        return not (report.unapplied or report.is_empty)

    @as_raised()
    @check_keywords({"dryrun dry preview simulate": "dry_run", "partial": "allow_partial"})
    def restore(
        self,
        backup_id: str,
        *,
        config: bool = True,
        state: bool = False,
        data: bool = False,
        dry_run: bool = False,
        restore_to: str | Path | None = None,
        moved: Mapping[str, str] | None = None,
        paths: Iterable[str] = (),
        allow_partial: bool = False,
        numeric_owner: bool = False,
        state_file: str | Path | None = None,
        progress: Tell | None = None,
    ) -> RestoreReport:
        """Restore a backup: every byte is verified first, and then all files change or none.

        Only paths that are named now are written. Files that are not in the backup stay. The state goes to the
        `restore` functions of its providers, and is in the report.

        Args:
            backup_id: The backup.
            config: Whether to restore the configuration.
            state: Whether to hand the state back.
            data: Whether to restore the data.
            dry_run: Whether to verify and tell what would change, and change nothing.
            restore_to: A folder that gets everything instead, laid out as in the backup.
            moved: Old paths and the new ones of what lay there, where the layout of this host is another one; what is
                in it need not be named.
            paths: Only these files and folders: the path where one lived, the end of it, or a pattern as `*.csv`.
            allow_partial: Whether a backup that misses something may be restored.
            numeric_owner: Whether owners go by their numbers; by default the names of users and groups count.
            state_file: A file that the state is written to as well, in the plan with all others.
            progress: Called with a `Progress`, by one thread at a time; what it raises ends all, and comes through.

        Raises:
            ValueError: A path is empty, or `restore_to` and `moved` both say where to.
            BackupNotFoundError: There is no such backup, or it was removed meanwhile.
            BackupCorruptError: Stored files differ from the manifest; nothing was changed.
            BackupUnreadableError: Stored files cannot be read; nothing was changed.
            RestoreRefusedError: It would do harm; nothing was changed.
            RepositoryLockedError: Another process or thread works in the repository.
            BackupError: Writing failed; nothing was changed.
            RestoreCutOff: Ctrl-C came again and again while it was taken back; the next use of the repository does it.
        """
        check_flags(config=config, state=state, data=data, dry_run=dry_run, allow_partial=allow_partial)
        has_state = state or state_file is not None
        wanted = [kind for kind, asked in ((CONFIG, config), (STATE, has_state), (DATA, data)) if asked]
        options = RestoreOptions(
            kinds=wanted,
            named=self._named.roots(),
            inside=None if restore_to is None else Path(checked_path(restore_to)),
            moved=dict(moved or {}),
            paths=checked_patterns("paths", paths),
            allow_partial=allow_partial,
            numeric_owner=checked_flag("numeric_owner", numeric_owner),
            state_file=None if state_file is None else Path(checked_path(state_file)),
        )
        noting = verification.noting_corruption(self._repository)
        with self._operation("backup.restore", backup_id=str(backup_id)) as span, noting:
            if dry_run:
                settle_beside(self._repository, options)
                work = prepare(self._repository, backup_id, options, progress)
                work.verify(progress)
                found, unapplied = (work.state() if has_state else None), []
            else:
                with (
                    counted(self._repository, backup_id) as count,
                    restoring(self._repository, "restore a backup", options, targets_of(options)),
                ):
                    work = prepare(self._repository, backup_id, options, progress)
                    found = work.state() if has_state else None
                    work.carry_out(progress)
                    unapplied = self.state_snapshot.apply(found) if state and found and restore_to is None else []
                    work.write_state()
                    count.files = len(work.plan.new) + len(work.plan.replaced)
                    count.message = summary(unapplied)
                    count.outcome = "" if work.is_empty else count.outcome
                    span.note(files=count.files)
        kept = () if restore_to else self.state_snapshot.nobody_takes(found)
        return work.report(found, unapplied, kept)

    def recover(
        self, *, restore_to: str | Path | None = None, moved: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Bring a restore that was cut off to its end: all files are those of the backup then, or as before.

        Every use of the repository does so. Where that had no room for the journal, what names the same files does.

        Args:
            restore_to: The folder that it was to go to.
            moved: Old paths and the new ones, as for `restore`.

        Returns:
            The paths beside which it looked for a journal.

        Raises:
            RepositoryLockedError: Another process or thread works in the repository.
            BackupError: That is not possible; files may be between old and new.
        """
        inside = None if restore_to is None else Path(restore_to)
        options = RestoreOptions(kinds=(), named=self._named.roots(), inside=inside, moved=dict(moved or {}))
        with restoring(self._repository, "recover", options):
            return check_settled(self._repository, options)

    @as_raised()
    def verify_backup(self, backup_id: str, *, progress: Tell | None = None) -> VerifyReport:
        """Read every byte that is stored of a backup, and record what that found.

        Args:
            backup_id: The backup.
            progress: Called with a `Progress`, by one thread at a time; what it raises ends all, and comes through.

        Raises:
            BackupError: There is no such backup, or nothing in it.
        """
        with self._operation("backup.verify", backup_id=backup_id) as span:
            report = verification.verify(self._repository, backup_id, progress)
            span.note(files=report.files, size_bytes=report.size_bytes, corrupt_files=len(report.problems))
        return report

    @as_raised()
    def drill(self, *, folder: str | Path | None = None, progress: Tell | None = None) -> VerifyReport:
        """Restore the newest good backup of what is named into a temporary folder, check it, and remove it again.

        Args:
            folder: Where the temporary folder is made; by default in the repository, or the system's folder for
                temporary files where the repository is read-only or has no room.
            progress: Called with a `Progress`, by one thread at a time; what it raises ends all, and comes through.

        Raises:
            BackupNotFoundError: There is no backup of what is named that succeeded.
            BackupError: It could not be restored, or there is no room for it.
        """
        newest = self.latest()
        place = None if folder is None else Path(folder)
        operation = self._operation("backup.drill", backup_id=newest.backup_id)
        with operation, restoring(self._repository, "drill", touched=()):
            return verification.drill(self._repository, newest, progress, place)

    def delete_backup(self, backup_id: str) -> bool:
        """Remove a backup, and return whether that was possible; the log says why not."""
        try:
            with writing(self._repository, "remove a backup", ()):
                pruning.delete(self._repository, backup_id)
        except BackupError as error:
            _log.error("%s", error)
            return False
        return True

    @check_keywords({"keep count keep_last max_backups": "keep_count"})
    def cleanup_old_backups(self, keep_count: int = 10) -> int:
        """Remove old backups, and return how many.

        Args:
            keep_count: How many that succeeded are kept; the last one of them always is.
        """
        return len(self.prune(retention.keep_count(keep_count)).remove)

    def prune(self, policy: RetentionPolicy, *, dry_run: bool = False) -> Selection:
        """Remove what a policy does not keep, and return what it keeps and removes.

        Args:
            policy: The backups to keep.
            dry_run: Whether to tell only.

        Raises:
            RepositoryLockedError: Another process or thread works in the repository.
            BackupError: A backup cannot be removed.
        """
        check_flags(dry_run=dry_run)
        retention.check_policy(policy)
        if dry_run:
            return pruning.select(self._repository, policy)
        with writing(self._repository, "remove old backups", ()):
            return pruning.prune(self._repository, policy, self._is_whole)

    def _is_whole(self, backup_id: str) -> bool:
        return verification.verify(self._repository, backup_id, None).ok

    def _operation(self, name: str, **facts: str) -> Operation:
        attributes = {"peak_observe.repository": self._repository.name}
        return Operation(name, attributes | {f"peak_observe.{key}": value for key, value in facts.items()})
