"""The recovery manager: what people call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from peak_observe.backup_recovery.components import ConfigBackup, DataBackup, Named
from peak_observe.backup_recovery.create.run import Making, Order, checked_text, summary
from peak_observe.backup_recovery.create.sources import Exclude
from peak_observe.backup_recovery.files.workers import Progress
from peak_observe.backup_recovery.repository import pruning, reading, retention
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, STATE, BackupMetadata, BackupType
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.backup_recovery.repository.retention import RetentionPolicy, Selection
from peak_observe.backup_recovery.restore import diff, verification
from peak_observe.backup_recovery.restore.crash_recovery import counted, is_cut_off, writing
from peak_observe.backup_recovery.restore.diff import Difference
from peak_observe.backup_recovery.restore.restore import RestoreReport, prepare
from peak_observe.backup_recovery.restore.verification import VerifyReport
from peak_observe.backup_recovery.state.snapshot import StateSnapshot
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import BackupError, BackupNotFoundError, RepositoryLockedError
from peak_observe.telemetry.tracing.spans import Operation

Tell = Callable[[Progress], object]

_log = logging.getLogger("peak_observe.backup")


class RecoveryManager:
    """Makes backups, proves them, and brings them back.

    Args:
        backup_dir: The repository, a folder; it is made if there is none.
        name: The label `repository` of its metrics; the folder's name by default.
        max_age: Seconds that the newest backup may be old: the promise that the alert compares with.
        exclude: Patterns of what is left out; see `Exclude`.
        clock: What time it is; for tests.

    Raises:
        ValueError: An argument makes no sense.
        BackupError: The folder cannot be made, or a restore that a crash cut off cannot be brought to its end.
    """

    def __init__(
        self,
        backup_dir: str | Path = "backups",
        *,
        name: str | None = None,
        max_age: float | None = None,
        exclude: Iterable[str] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not _is_period(max_age):
            raise ValueError(f"max_age must be a number of seconds above 0, not {max_age!r}")
        self.backup_root = Path(backup_dir)
        self.state_snapshot = StateSnapshot()
        self.config_backup = ConfigBackup()
        self.data_backup = DataBackup()
        self._exclude = Exclude(exclude)
        self._max_age = max_age
        self._clock = clock
        self._repository = Repository(self.backup_root, name or self.backup_root.absolute().name or "backups", clock)
        self._repository.configure(max_age)
        self._named = Named(self.config_backup, self.data_backup, self.state_snapshot)
        reading.observe(self._repository, self._named.kinds, max_age)
        if is_cut_off(self._repository):
            with suppress(RepositoryLockedError), writing(self._repository, "recover"):
                pass

    def create_backup(
        self,
        include_config: bool = True,
        include_state: bool = True,
        include_data: bool = False,
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
            include_data: Whether it holds the data.
            description: What it is for, in words.
            tags: For finding it again.
            incremental: Whether it holds only what changed since the last full one, which it needs from then on;
                a full one is made where there is none.
            progress: Called with a `Progress`, by one thread at a time.

        Raises:
            ValueError: Nothing is included, or description or tags cannot be written.
            RepositoryLockedError: Another process or thread works in the repository.
            BackupError: It failed; that is recorded, and older backups are as they were.
        """
        if not (include_config or include_state or include_data):
            raise ValueError("include_config, include_state or include_data must be True")
        sources = ((include_config, self.config_backup), (include_data, self.data_backup))
        order = Order(
            tuple(source.paths for included, source in sources if included),
            self.state_snapshot if include_state else None,
            self._exclude,
            checked_text("description", description),
            [checked_text("tags", tag) for tag in tags or []],
            incremental,
            self._max_age,
            self._named.kinds(),
            progress,
        )
        with self._operation("backup.create") as span, writing(self._repository, "make a backup"):
            made = Making(self._repository, order).run()
            span.note(backup_id=made.backup_id, files=made.files_count, size_bytes=made.size_bytes)
            span.note(outcome=made.status.value)
        return made.backup_id

    def list_backups(
        self,
        tags: Collection[str] | None = None,
        backup_type: BackupType | None = None,
    ) -> list[BackupMetadata]:
        """Return the backups, the newest first.

        Args:
            tags: Only those with at least one of these tags.
            backup_type: Only those of this type.
        """
        wanted = {tags} if isinstance(tags, str) else set(tags or ())
        return [
            backup
            for backup in self._repository.backups()[::-1]
            if (not wanted or wanted & set(backup.tags)) and backup_type in (None, backup.backup_type)
        ]

    def get_backup(self, backup_id: str) -> BackupMetadata:
        """Return one backup.

        Raises:
            BackupNotFoundError: There is none of that name.
            BackupCorruptError: Its metadata cannot be read.
        """
        return self._repository.get(backup_id)

    def last_success(self) -> datetime | None:
        """Return when the newest backup that succeeded was begun, or None if there is none."""
        return next((backup.created for backup in self.list_backups() if backup.good), None)

    def unreadable_backups(self) -> dict[str, str]:
        """Return the backups whose metadata cannot be read, and why."""
        return self._repository.unreadable()

    def diff(self, backup_id: str, other: str | None = None) -> Difference:
        """Return which files changed from one backup to another, or to now.

        Args:
            backup_id: The earlier backup.
            other: The later one; None for the files as they are now.

        Raises:
            BackupNotFoundError: There is no such backup.
            BackupCorruptError: What it says of itself is not what was written.
        """
        roots = self._named.roots()
        return diff.between(self._repository, backup_id, other, named=roots, exclude=self._exclude)

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

        The arguments are those of `restore`, which raises instead.
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
        return not report.unapplied

    def restore(
        self,
        backup_id: str,
        *,
        config: bool = True,
        state: bool = False,
        data: bool = False,
        dry_run: bool = False,
        restore_to: str | Path | None = None,
        allow_partial: bool = False,
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
            allow_partial: Whether a backup that misses something may be restored.
            progress: Called with a `Progress`, by one thread at a time.

        Raises:
            BackupNotFoundError: There is no such backup.
            BackupCorruptError: What is stored is not what was stored; nothing was changed.
            RestoreRefusedError: It would do harm; nothing was changed.
            RepositoryLockedError: Another process or thread works in the repository.
            BackupError: Writing failed; nothing was changed.
        """
        prepared = partial(
            prepare,
            self._repository,
            backup_id,
            kinds=[kind for kind, wanted in ((CONFIG, config), (STATE, state), (DATA, data)) if wanted],
            named=self._named.roots(),
            inside=None if restore_to is None else Path(restore_to),
            allow_partial=allow_partial,
        )
        noting = verification.noting_corruption(self._repository)
        with self._operation("backup.restore", backup_id=str(backup_id)) as span, noting:
            if dry_run:
                work = prepared()
                work.verify(progress)
                return RestoreReport(work.plan, work.state() if state else None)
            with writing(self._repository, "restore a backup"), counted(self._repository, backup_id) as count:
                work = prepared()
                found = work.state() if state else None
                work.carry_out(progress)
                unapplied = self.state_snapshot.apply(found) if found and restore_to is None else []
                count.files = len(work.plan.new) + len(work.plan.replaced)
                count.message = summary(unapplied)
                span.note(files=count.files)
        return RestoreReport(work.plan, found, tuple(map(str, unapplied)))

    def verify_backup(self, backup_id: str, *, progress: Tell | None = None) -> VerifyReport:
        """Read every byte that is stored of a backup, and record what that found.

        Args:
            backup_id: The backup.
            progress: Called with a `Progress`, by one thread at a time.

        Raises:
            BackupError: There is no such backup, or nothing in it.
        """
        with self._operation("backup.verify", backup_id=backup_id) as span:
            report = verification.verify(self._repository, backup_id, progress)
            span.note(files=report.files, size_bytes=report.size_bytes, corrupt_files=len(report.problems))
        return report

    def drill(self, *, progress: Tell | None = None) -> VerifyReport:
        """Restore the newest good backup into a temporary folder, check what came out, and remove it again.

        Args:
            progress: Called with a `Progress`, by one thread at a time.

        Raises:
            BackupNotFoundError: There is no backup that succeeded.
            BackupError: It could not be restored.
        """
        newest = next((backup for backup in self.list_backups() if backup.good), None)
        if newest is None:
            raise BackupNotFoundError("newest", f"none in {self.backup_root} has succeeded")
        with self._operation("backup.drill", backup_id=newest.backup_id), writing(self._repository, "drill"):
            return verification.drill(self._repository, newest, progress)

    def delete_backup(self, backup_id: str) -> bool:
        """Remove a backup, and return whether that was possible; the log says why not."""
        try:
            with writing(self._repository, "remove a backup"):
                pruning.delete(self._repository, backup_id)
        except BackupError as error:
            _log.error("%s", error)
            return False
        return True

    def cleanup_old_backups(self, keep_count: int = 10) -> int:
        """Remove old backups, and return how many.

        Args:
            keep_count: How many that succeeded are kept; the last one of them always is.
        """
        return len(self.prune(retention.keep_count(keep_count)).remove)

    def prune(self, policy: RetentionPolicy, *, dry_run: bool = False) -> Selection:
        """Remove what a policy does not keep, and return what it keeps and removes.

        Args:
            policy: What to keep.
            dry_run: Whether to tell only.

        Raises:
            RepositoryLockedError: Another process or thread works in the repository.
            BackupError: A backup cannot be removed.
        """
        if dry_run:
            return pruning.select(self._repository, policy)
        with writing(self._repository, "remove old backups"):
            return pruning.prune(self._repository, policy)

    def _get_backup_dir(self, backup_id: str) -> Path:
        return self._repository.folder(backup_id)

    def _load_metadata(self, backup_dir: Path) -> BackupMetadata | None:
        with suppress(FileNotFoundError):
            return self._repository.load(backup_dir)
        return None

    def _operation(self, name: str, **facts: str) -> Operation:
        attributes = {"peak_observe.repository": self._repository.name}
        return Operation(name, attributes | {f"peak_observe.{key}": value for key, value in facts.items()})


def _is_period(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and 0 < value < float("inf"))
