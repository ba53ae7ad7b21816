"""The recovery manager: what people call."""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery import observed, restore
from peak_observe.backup_recovery.account import FAILED, INTERRUPTED, PARTIAL, SUCCESS
from peak_observe.backup_recovery.making import Making, Order, summary
from peak_observe.backup_recovery.metadata import (
    CONFIG,
    DATA,
    STATE,
    BackupMetadata,
    BackupStatus,
    BackupType,
)
from peak_observe.backup_recovery.parts import ConfigBackup, DataBackup
from peak_observe.backup_recovery.repository import DRILL, Repository
from peak_observe.backup_recovery.restore import Restore, RestoreReport
from peak_observe.backup_recovery.retention import RetentionPolicy
from peak_observe.backup_recovery.sources import Exclude
from peak_observe.backup_recovery.state import StateSnapshot
from peak_observe.backup_recovery.stored import Stored, VerifyReport
from peak_observe.backup_recovery.transaction import Transaction
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import BackupCorruptError, BackupError, BackupNotFoundError, RepositoryLockedError
from peak_observe.events import BackupVerified, RestoreFinished, emit
from peak_observe.redact import describe
from peak_observe.telemetry.tracing import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from peak_observe.backup_recovery.account import Account
    from peak_observe.backup_recovery.retention import Selection
    from peak_observe.backup_recovery.threads import Progress

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
        BackupError: The folder cannot be made.
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
        if max_age is not None and not (isinstance(max_age, int | float) and 0 < max_age < float("inf")):
            raise ValueError(f"max_age must be a number of seconds above 0, not {max_age!r}")
        self.backup_root = Path(backup_dir)
        self.state_snapshot = StateSnapshot()
        self.config_backup = ConfigBackup()
        self.data_backup = DataBackup()
        self._exclude = Exclude(exclude)
        self._max_age = max_age
        self._clock = clock
        self._repository = Repository(self.backup_root, name or self.backup_root.absolute().name or "backups", clock)
        self._repository.make()
        now = clock.now().timestamp()
        self._repository.ledger.update(lambda known: _configured(known, now, max_age))
        observed.observe(self._repository, _Named(self.config_backup, self.data_backup, self.state_snapshot), max_age)
        if any(Transaction.left_behind(self._repository.own)):
            with suppress(RepositoryLockedError), self._writing("recover"):
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
            _text("description", description),
            [_text("tags", tag) for tag in tags or []],
            incremental,
            self._max_age,
            sorted(_Named(self.config_backup, self.data_backup, self.state_snapshot)()),
            progress,
        )
        with self._operation("backup.create") as span, self._writing("make a backup"):
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
        found = self._repository.backups()[::-1]
        return [
            backup
            for backup in found
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
            _log.error("%s", error)  # noqa: TRY400 - the traceback says nothing that the message does not
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
        kinds = [kind for kind, wanted in ((CONFIG, config), (STATE, state), (DATA, data)) if wanted]
        with self._operation("backup.restore", backup_id=backup_id) as span:
            if dry_run:
                work = self._prepared(backup_id, kinds, restore_to, allow_partial=allow_partial)
                work.verify(progress)
                return RestoreReport(work.plan, work.state() if state else None)
            with self._writing("restore a backup"), self._counted(backup_id) as counted:
                work = self._prepared(backup_id, kinds, restore_to, allow_partial=allow_partial)
                work.carry_out(progress)
                found = work.state() if state else None
                unapplied = self.state_snapshot.apply(found) if found and restore_to is None else []
                counted.files = len(work.plan.new) + len(work.plan.replaced)
                counted.message = summary(unapplied)
                span.note(files=counted.files)
        return RestoreReport(work.plan, found, tuple(map(str, unapplied)))

    def verify_backup(self, backup_id: str, *, progress: Tell | None = None) -> VerifyReport:
        """Read every byte that is stored of a backup, and record what that found.

        Args:
            backup_id: The backup.
            progress: Called with a `Progress`, by one thread at a time.

        Raises:
            BackupNotFoundError: There is no such backup.
        """
        began = time.perf_counter()
        with self._operation("backup.verify", backup_id=backup_id) as span:
            files, size, problems = self._read_all(backup_id, progress)
            report = VerifyReport(backup_id, files, size, time.perf_counter() - began, tuple(problems))
            span.note(files=files, size_bytes=size, corrupt_files=len(problems))
        now = self._clock.now()
        with suppress(OSError):  # a repository that cannot be written can still be read
            self._repository.ledger.update(lambda known: _verified(known, report, now.timestamp()))
        message = summary(report.problems)
        emit(BackupVerified(self._repository.name, backup_id, report.ok, now, report.seconds, files, message))
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
        folder = self.backup_root / f"{DRILL}{newest.backup_id}-{secrets.token_hex(4)}"
        with self._writing("drill"):
            try:
                work = self._prepared(newest.backup_id, (CONFIG, STATE, DATA), folder, allow_partial=False)
                work.carry_out(progress)
                problems = restore.check_databases(work.actions)
            finally:
                if folder.exists():
                    self._repository.discard(folder)
        if problems:
            raise BackupCorruptError(newest.backup_id, tuple(problems))
        return self.verify_backup(newest.backup_id, progress=progress)

    def delete_backup(self, backup_id: str) -> bool:
        """Remove a backup, and return whether that was possible; the log says why not."""
        try:
            with self._writing("remove a backup"):
                self._delete(backup_id)
        except (BackupError, OSError) as error:
            _log.error("%s", error)  # noqa: TRY400 - the traceback says nothing that the message does not
            return False
        return True

    def cleanup_old_backups(self, keep_count: int = 10) -> int:
        """Remove old backups, and return how many.

        Args:
            keep_count: How many that succeeded are kept; the last one of them always is.
        """
        return len(self.prune(RetentionPolicy(last=keep_count or 1)).remove)

    def prune(self, policy: RetentionPolicy, *, dry_run: bool = False) -> Selection:
        """Remove what a policy does not keep, and return what it keeps and removes.

        Args:
            policy: What to keep.
            dry_run: Whether to tell only.

        Raises:
            RepositoryLockedError: Another process or thread works in the repository.
            OSError: A backup cannot be removed.
        """
        if dry_run:
            return policy.select(self._trusted())
        with self._writing("remove old backups"):
            selection = policy.select(self._trusted())
            for backup in selection.remove:
                self._repository.remove(backup.backup_id)
        return selection

    def _trusted(self) -> list[BackupMetadata]:
        """Return the backups, those known to be corrupt as partial, so that they never pass for good ones."""
        corrupt = self._repository.ledger.read().corrupt
        return [
            replace(backup, status=BackupStatus.PARTIAL) if backup.good and backup.backup_id in corrupt else backup
            for backup in self._repository.backups()
        ]

    def _get_backup_dir(self, backup_id: str) -> Path:
        return self._repository.folder(backup_id)

    def _load_metadata(self, backup_dir: Path) -> BackupMetadata | None:
        try:
            return self._repository.load(backup_dir)
        except FileNotFoundError:
            return None

    def _operation(self, name: str, **facts: str) -> Operation:
        attributes = {"peak_observe.repository": self._repository.name}
        return Operation(name, attributes | {f"peak_observe.{key}": value for key, value in facts.items()})

    @contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        with self._repository.writing(doing):
            for transaction in list(Transaction.left_behind(self._repository.own)):
                self._recover(transaction)
            yield

    def _recover(self, transaction: Transaction) -> None:
        try:
            done = transaction.recover()
        except OSError as error:
            raise BackupError(
                f"the restore of {transaction.backup_id} was interrupted and cannot be brought to its end: {error}"
            ) from error
        what = "carried on: all files are those of the backup" if done else "undone: all files are as they were"
        self._record_restore(transaction.backup_id, INTERRUPTED, 0.0, 0, f"a crash cut it off; it was {what}")

    def _prepared(
        self,
        backup_id: str,
        kinds: Collection[str],
        restore_to: str | Path | None,
        *,
        allow_partial: bool,
    ) -> Restore:
        backup = self._repository.get(backup_id)
        restore.check_status(backup, allow_partial=allow_partial)
        inside = None if restore_to is None else Path(restore_to)
        named = [*self.config_backup.paths.roots(), *self.data_backup.paths.roots()]
        manifest = restore.manifest_of(self._repository, backup, named)
        return Restore(self._repository, backup, manifest, kinds=kinds, named=named, inside=inside)

    @contextmanager
    def _counted(self, backup_id: str) -> Iterator[_Counted]:
        began, counted = time.perf_counter(), _Counted()
        try:
            yield counted
        except Exception as error:
            self._record_restore(backup_id, FAILED, time.perf_counter() - began, 0, describe(error))
            raise
        except BaseException as error:
            self._record_restore(backup_id, INTERRUPTED, time.perf_counter() - began, 0, describe(error))
            raise
        outcome = PARTIAL if counted.message else SUCCESS
        self._record_restore(backup_id, outcome, time.perf_counter() - began, counted.files, counted.message)

    def _record_restore(self, backup_id: str, outcome: str, seconds: float, files: int, message: str) -> None:
        with suppress(OSError):  # on a full disk
            self._repository.ledger.update(lambda known: known.counted(outcome, restores=True))
        now = self._clock.now()
        emit(RestoreFinished(self._repository.name, backup_id, outcome, now, seconds, files, message))

    def _read_all(self, backup_id: str, progress: Tell | None) -> tuple[int, int, list[str]]:
        try:
            backup = self._repository.get(backup_id)
            manifest = restore.manifest_of(self._repository, backup, ())
        except BackupCorruptError as error:
            return 0, 0, list(error.problems)
        stored = Stored(self._repository.root, manifest)
        problems = [*stored.check_all(manifest.entries, progress), *stored.strangers()]
        files = [entry for entry in manifest.entries if entry.type == "file"]
        return len(files), sum(entry.size for entry in files), problems

    def _delete(self, backup_id: str) -> None:
        folder = self._repository.folder(backup_id)
        if not folder.is_dir():
            self._repository.get(backup_id)
        needing = [backup.backup_id for backup in self._repository.backups() if backup.base == backup_id]
        if needing:
            raise BackupError(f"{backup_id} is not removed: {needing[-1]} holds only what changed since")
        self._repository.remove(backup_id)


class _Counted:
    """What a restore has to tell at its end."""

    files = 0
    message = ""


class _Named(NamedTuple):
    """The parts that something is named for; it does not hold the manager."""

    config: ConfigBackup
    data: DataBackup
    snapshot: StateSnapshot

    def __call__(self) -> set[str]:
        """Return the parts."""
        named = ((CONFIG, self.config.config_paths), (DATA, self.data.data_paths))
        kinds = {kind for kind, paths in named if paths}
        return kinds | ({STATE} if self.snapshot._state_providers else set())  # noqa: SLF001 - its name is a contract


def _text(name: str, value: Any) -> str:
    try:
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeEncodeError:
        pass
    raise ValueError(f"{name} must be text that UTF-8 can hold, not {value!r}")


def _configured(known: Account, now: float, max_age: float | None) -> Account:
    promised = known.max_age if max_age is None else max_age
    return replace(known, configured_at=known.configured_at or now, max_age=promised)


def _verified(known: Account, report: VerifyReport, now: float) -> Account:
    corrupt = {name: count for name, count in known.corrupt.items() if name != report.backup_id}
    if report.ok:
        return replace(known, corrupt=corrupt, last_verified=now)
    return replace(known, corrupt={**corrupt, report.backup_id: len(report.problems)})
