"""One backup from its beginning to its end, however that comes."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3
from msgspec.structs import replace

from peak_observe.backup_recovery.create.writer import Filling, Known, known_files
from peak_observe.backup_recovery.repository.ledger import FAILED, INTERRUPTED, Account
from peak_observe.backup_recovery.repository.manifest import VERSION, Manifest
from peak_observe.backup_recovery.repository.metadata import (
    CONFIG,
    DATA,
    STATE,
    BackupMetadata,
    BackupStatus,
    BackupType,
)
from peak_observe.backup_recovery.repository.repository import MANIFEST, STAGING, Repository
from peak_observe.backup_recovery.state.snapshot import encode
from peak_observe.errors import BackupCorruptError, BackupError
from peak_observe.events import BackupFinished
from peak_observe.observers import emit
from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from peak_observe.backup_recovery.create.sources import Exclude, Paths
    from peak_observe.backup_recovery.files.workers import Progress
    from peak_observe.backup_recovery.state.snapshot import StateSnapshot

SHOWN = 3  # problems that are named in a message


class Order(NamedTuple):
    """What shall be backed up, and how.

    Args:
        paths: What is named, by part; only parts that are wanted.
        snapshot: The state of the program, if that is wanted.
        exclude: What is left out.
        description: What its maker says of it.
        tags: For finding it again.
        incremental: Whether only what changed since the last full one is stored.
        promised: The age the newest backup may reach, in seconds; None without a promise.
        named: The parts that something is named for, wanted now or not.
        tell: Called with a `Progress`.
    """

    paths: tuple[Paths, ...]
    snapshot: StateSnapshot | None
    exclude: Exclude
    description: str
    tags: list[str]
    incremental: bool
    promised: float | None
    named: list[str]
    tell: Callable[[Progress], object] | None

    @property
    def kinds(self) -> list[str]:
        """The parts that are wanted."""
        return [paths.kind for paths in self.paths] + ([STATE] if self.snapshot else [])

    @property
    def backup_type(self) -> BackupType:
        """What the backup will hold: its most telling part, or all."""
        kinds = self.kinds
        if CONFIG in kinds and DATA in kinds:
            return BackupType.FULL
        return BackupType(next(kind for kind in (CONFIG, DATA, STATE) if kind in kinds))


class Making:
    """One run.

    Args:
        repository: Where the backup goes; the writer's lock is held.
        order: What shall be backed up.
    """

    def __init__(self, repository: Repository, order: Order) -> None:
        self._repository = repository
        self._order = order
        self._began = time.perf_counter()
        backup_id, sequence = repository.new_id()
        self._started = started = repository.clock.now()
        self._started_ns = time.time_ns()
        self._staging = repository.root / f"{STAGING}{backup_id}"
        self._visible = repository.root / backup_id
        self._new_bytes = 0
        self.backup = BackupMetadata(
            backup_id,
            order.backup_type,
            started.isoformat(),
            BackupStatus.IN_PROGRESS,
            description=order.description,
            tags=order.tags,
            sequence=sequence,
        )

    def run(self) -> BackupMetadata:
        """Make the backup, and return what it is.

        Raises:
            BackupError: It failed; that is recorded, and older backups are as they were.
        """
        try:
            self._begin()
            self._staging.mkdir()
            self._publish(self._fill())
        except Exception as error:
            self._fail(error)
            raise self._explained(error) from error
        except BaseException as error:
            if os.path.exists(self._visible):
                self._end(self.backup.status.value, self.backup.error_message)
            else:
                self._new_bytes = 0
                self._end(INTERRUPTED, describe(error))
            raise
        self._end(self.backup.status.value, self.backup.error_message)
        return self.backup

    def _begin(self) -> None:
        empty, now = self._repository.empty(), self._started.timestamp()
        self._repository.ledger.update(lambda known: _begun(known, self._order, now, empty=empty))

    def _fill(self) -> Filling:
        order, repository = self._order, self._repository
        base = self._base() if order.incremental else None
        if base:
            self.backup = replace(self.backup, backup_type=BackupType.INCREMENTAL, base=base.backup_id)
        own = repository.root.stat()
        filling = Filling(
            self._staging,
            root=repository.root,
            known=self._known(base),
            incremental=base is not None,
            exclude=order.exclude,
            skip=[(own.st_dev, own.st_ino)],
            doubted=bool(repository.ledger.load().corrupt or repository.unreadable()),
            tell=order.tell,
        )
        for paths in order.paths:
            if paths.named:
                filling.take(paths)
        if order.snapshot:
            self._take_state(filling, order.snapshot)
        filling.forget()
        return filling

    def _take_state(self, filling: Filling, snapshot: StateSnapshot) -> None:
        began = time.perf_counter()
        found, problems = snapshot.take()
        seconds = time.perf_counter() - began
        filling.write_state(encode(found), problems, seconds=seconds, providers=bool(found["providers"]))

    def _base(self) -> BackupMetadata | None:
        """Return the last full backup of what is wanted; without one this becomes a full one itself."""
        for backup in self._usable():
            wanted = {paths.kind for paths in self._order.paths if paths.named}
            if backup.good and backup.backup_type is not BackupType.INCREMENTAL and wanted <= set(backup.parts):
                return backup
        return None

    def _usable(self) -> list[BackupMetadata]:
        corrupt = self._repository.ledger.read().corrupt
        found = [item for item in self._repository.backups() if item.manifest and item.backup_id not in corrupt]
        return found[::-1]

    def _known(self, base: BackupMetadata | None) -> Known:
        """Return the files of the newest backup that holds each part, or of the base."""
        known: Known = {}
        for paths in self._order.paths:
            holders = [base] if base else [backup for backup in self._usable() if paths.kind in backup.parts][:1]
            for backup in holders:
                with suppress(BackupCorruptError):  # nothing of it is trusted: everything is read anew
                    known |= known_files(self._repository.manifest(backup), paths.kind)
        return known

    def _publish(self, filling: Filling) -> None:
        manifest = Manifest(VERSION, self.backup.backup_id, self._started_ns, filling.roots, filling.entries)
        text = manifest.to_json()
        (self._staging / MANIFEST).write_bytes(text)
        files = [entry for entry in filling.entries if entry.type == "file"]
        status = BackupStatus.PARTIAL if filling.problems else BackupStatus.SUCCESS
        self.backup = replace(
            self.backup,
            status=status,
            files_count=len(files),
            size_bytes=sum(entry.size for entry in files),
            parts=filling.parts,
            problems=filling.problems,
            error_message=summary(filling.problems),
            manifest=blake3(text).hexdigest(),
            duration=round(time.perf_counter() - self._began, 3),
        )
        self._new_bytes = filling.new_bytes + len(text) + len(self.backup.to_json())
        self._repository.publish(self._staging, self.backup)

    def _fail(self, error: Exception) -> None:
        """Leave word of a backup that failed, in the place of what it had written so far."""
        self._new_bytes = 0
        with suppress(OSError):
            if self._visible.exists():
                self._visible.rename(self._staging)  # it is not known to outlive a power cut
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging.mkdir()
            self.backup = self._failed(error)
            self._repository.publish(self._staging, self.backup)
            self._new_bytes = len(self.backup.to_json())
        self._end(FAILED, describe(error))

    def _failed(self, error: Exception) -> BackupMetadata:
        held = {"files_count": 0, "size_bytes": 0, "parts": {}, "problems": [], "manifest": ""}
        return replace(self.backup, status=BackupStatus.FAILED, error_message=describe(error), **held)

    def _explained(self, error: Exception) -> BackupError:
        if isinstance(error, BackupError):
            return error
        reason = getattr(error, "strerror", None) or describe(error)
        where = getattr(error, "filename", None) or self._repository.root
        return BackupError(f"no backup was made: {reason} ({where}); older backups are as they were")

    def _end(self, outcome: str, message: str) -> None:
        if outcome in (FAILED, INTERRUPTED):
            shutil.rmtree(self._staging, ignore_errors=True)
        stored = self._measured()
        with suppress(OSError):  # on a full disk; the next run counts it
            self._repository.ledger.update(lambda known: self._ended(known, outcome, stored))
        seconds = time.perf_counter() - self._began
        backup = self.backup
        held = (0, 0) if outcome in (FAILED, INTERRUPTED) else (backup.files_count, backup.size_bytes)
        now = self._repository.clock.now()
        emit(BackupFinished(self._repository.name, backup.backup_id, outcome, now, seconds, *held, message))

    def _measured(self) -> int | None:
        """Return what all backups take on the disk, if nobody knows it and it can be found out."""
        with suppress(OSError, BackupError):
            if self._repository.ledger.load().stored_bytes is None:
                return self._repository.measured()
        return None

    def _ended(self, known: Account, outcome: str, stored: int | None) -> Account:
        if stored is None and known.stored_bytes is not None:
            stored = known.stored_bytes + self._new_bytes
        return replace(
            known.counted(outcome),
            running_since=0.0,
            sequence=max(known.sequence, self.backup.sequence),
            stored_bytes=stored,
        )


def summary(problems: Collection[object]) -> str:
    """Return the first few problems in one line, and how many more there are."""
    listed = [str(problem) for problem in problems]
    more = f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return "; ".join(listed[:SHOWN]) + more


def checked_text(name: str, value: Any) -> str:
    """Return a text that metadata can hold.

    Raises:
        ValueError: It is none.
    """
    try:
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeEncodeError:
        pass
    raise ValueError(f"{name} must be text that UTF-8 can hold, not {value!r}")


def _begun(known: Account, order: Order, now: float, *, empty: bool) -> Account:
    return replace(
        known.configured(now, order.promised),
        kinds=order.named,
        last_attempt=now,
        running_since=now,
        stored_bytes=0 if empty else known.stored_bytes,
    )
