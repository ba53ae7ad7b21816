"""Run of one backup: fill a staging folder, check it, publish it by one rename, and record the outcome."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from peak_observe.backup_recovery.create.earlier import EarlierFiles
from peak_observe.backup_recovery.create.earlier_databases import EarlierDatabases
from peak_observe.backup_recovery.create.left_out import attributes, skipped, summary, without_files
from peak_observe.backup_recovery.create.sources import EMPTIED
from peak_observe.backup_recovery.create.writer import StagingWriter
from peak_observe.backup_recovery.files.workers import beside
from peak_observe.backup_recovery.repository.choice import lost
from peak_observe.backup_recovery.repository.ledger import FAILED, INTERRUPTED, Account
from peak_observe.backup_recovery.repository.leftovers import STAGING, empty
from peak_observe.backup_recovery.repository.manifest import VERSION, Manifest
from peak_observe.backup_recovery.repository.manifest_file import ManifestFile, ManifestWriter
from peak_observe.backup_recovery.repository.metadata import (
    CONFIG,
    DATA,
    KINDS,
    STATE,
    BackupMetadata,
    BackupStatus,
    BackupType,
    Problem,
)
from peak_observe.backup_recovery.repository.notes import Counts
from peak_observe.backup_recovery.repository.permissions import FOLDER_MODE
from peak_observe.backup_recovery.repository.repository import MANIFEST, Repository, sync_filesystem
from peak_observe.backup_recovery.state.snapshot import encode
from peak_observe.errors import BackupError
from peak_observe.events import BackupFinished
from peak_observe.observers import emit
from peak_observe.support.loggers import logger
from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peak_observe.backup_recovery.create.commands import Dumps
    from peak_observe.backup_recovery.create.sources import Exclude
    from peak_observe.backup_recovery.files.workers import Progress
    from peak_observe.backup_recovery.repository.ledger import Promise
    from peak_observe.backup_recovery.repository.manifest import Root
    from peak_observe.backup_recovery.state.snapshot import Captured, StateSnapshot

_log = logger("peak_observe.backup")


class BackupRequest(NamedTuple):
    """Request for one backup: its content and its options.

    Args:
        roots: The named paths by part, of the parts that are wanted.
        identities: What tells commands and states of programs apart, by part.
        snapshot: The state of the program, if that is wanted.
        dumps: The commands whose output is backed up, if that is wanted.
        exclude: Patterns of what is left out.
        append_only: Patterns of files of which the part that was there when reading began is a good copy.
        description: The purpose, in words.
        tags: For finding it again.
        incremental: Whether only what changed since the last full one is stored.
        promise: The age the newest backup may reach, and all that is named, wanted now or not.
        left_out: Parts that are named and not wanted, or wanted and not named, in words.
        tell: Called with a `Progress`.
    """

    roots: dict[str, list[Root]]
    identities: dict[str, list[str]]
    snapshot: StateSnapshot | None
    dumps: Dumps | None
    exclude: Exclude
    append_only: Exclude
    description: str
    tags: list[str]
    incremental: bool
    promise: Promise
    left_out: list[Problem]
    tell: Callable[[Progress], object] | None

    @property
    def kinds(self) -> list[str]:
        """Parts that the backup will hold."""
        return [kind for kind in KINDS if kind in self.roots or (kind == STATE and self.snapshot)]

    @property
    def paths(self) -> dict[str, list[str]]:
        """Named paths by part, as a manifest has them."""
        return {kind: [root.source for root in roots] for kind, roots in self.roots.items()}

    @property
    def sources(self) -> dict[str, list[str]]:
        """Named paths and identities by part."""
        paths, more = self.paths, self.identities
        found = {kind: [*paths.get(kind, []), *more.get(kind, [])] for kind in self.kinds}
        return {kind: sources for kind, sources in found.items() if sources}

    @property
    def backup_type(self) -> BackupType:
        """Type of the backup: `full` if configuration and data are in it, else its most telling part."""
        kinds = self.kinds
        if {CONFIG, DATA} <= set(kinds):
            return BackupType.FULL
        return BackupType(next(kind for kind in (CONFIG, DATA, STATE) if kind in kinds))


class BackupRun:
    """Run of one backup, from its beginning to its end.

    Args:
        repository: Where the backup goes; the writer's lock is held.
        request: What to back up.
        state: What the providers returned, and the problems of those that failed, with the seconds that took; None
            without state.
    """

    def __init__(
        self, repository: Repository, request: BackupRequest, state: tuple[Captured, float] | None = None
    ) -> None:
        self._repository = repository
        self._request = request
        self._state = state
        self._began = time.perf_counter()
        backup_id, sequence = repository.new_id()
        self._started = started = repository.clock.now()
        self._started_ns = time.time_ns()
        self._staging = repository.root / f"{STAGING}{backup_id}"
        self._visible = repository.root / backup_id
        self._new_bytes = 0
        self.backup = BackupMetadata(
            backup_id,
            request.backup_type,
            started.isoformat(),
            BackupStatus.IN_PROGRESS,
            description=request.description,
            tags=request.tags,
            sequence=sequence,
            sources=request.sources,
            left_out=request.left_out,
        )

    def run(self) -> BackupMetadata:
        """Make the backup, and return what it is.

        Raises:
            BackupError: It failed; that is recorded, and older backups are as they were.
        """
        try:
            self._begin()
            self._staging.mkdir(FOLDER_MODE)
            with self._request.dumps.taken(self._staging) if self._request.dumps else nullcontext():
                writer = self._fill()
            self._publish(writer)
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
        self._repository.ledger.update(lambda known: self._begun(known, now, empty=empty))

    def _begun(self, known: Account, now: float, *, empty: bool) -> Account:
        return replace(
            known.configured(now, self._request.promise),
            last_attempt=now,
            running_since=now,
            stored_bytes=0 if empty else known.stored_bytes,
        )

    def _fill(self) -> StagingWriter:
        request, repository = self._request, self._repository
        usable = self._usable()
        base = self._base(usable) if request.incremental else None
        if base:
            self.backup = replace(self.backup, backup_type=BackupType.INCREMENTAL, base=base.backup_id)
        own = repository.root.stat()
        manifest = ManifestWriter(self._staging / MANIFEST, self._head())
        earlier = self._earlier([base] if base else usable)
        try:
            writer = StagingWriter(
                self._staging,
                add=manifest.add,
                earlier=earlier,
                databases=EarlierDatabases(repository, usable),
                incremental=base is not None,
                exclude=request.exclude,
                append_only=request.append_only,
                skip=[(own.st_dev, own.st_ino)],
                doubted=self._doubts({files.backup_id for items in earlier.values() for files in items}),
                tell=request.tell,
                reasons=request.dumps.failed if request.dumps else {},
                elsewhere=request.dumps.written if request.dumps else {},
            )
            for kind, roots in request.roots.items():
                writer.take(kind, roots)
            if not writer.files and EMPTIED in writer.left_out:
                raise BackupError(f"no backup was made: {summary(writer.left_out[EMPTIED])}: {EMPTIED}")
            if self._state:
                captured, seconds = self._state
                text, providers = encode(captured.state), bool(captured.state["providers"])
                writer.write_state(text, captured.problems, seconds=seconds, providers=providers)
            manifest.finish()
        finally:
            for files in (item for items in earlier.values() for item in items):
                files.close()
            with suppress(OSError):
                manifest.close()
        return writer

    def _doubts(self, used: set[str]) -> bool:
        """Return whether these backups may share files with one that is, or was, corrupt or cannot be read."""
        known = self._repository.ledger.load()
        return bool(known.corrupt or used & {*known.doubted} or self._repository.unreadable())

    def _head(self) -> Manifest:
        roots = [root for roots in self._request.roots.values() for root in roots]
        return Manifest(VERSION, self.backup.backup_id, self._started_ns, roots, [])

    def _base(self, usable: Sequence[BackupMetadata]) -> BackupMetadata | None:
        """Return the last full backup of what is wanted; without one this becomes a full one itself."""
        gone = lost(self._repository.root, usable)
        for backup in usable:
            is_full = backup.good and backup.backup_type is not BackupType.INCREMENTAL
            if is_full and backup.backup_id not in gone and self._is_held_by(backup):
                return backup
        return None

    def _is_held_by(self, backup: BackupMetadata) -> bool:
        wanted = self._request.paths
        return all(set(wanted[kind]) <= set(backup.sources_of(kind)) for kind in wanted)

    def _usable(self) -> list[BackupMetadata]:
        """Return the backups whose files can be relied on, the newest first."""
        corrupt = self._repository.ledger.read().corrupt
        return [item for item in self._repository.backups()[::-1] if item.manifest and item.backup_id not in corrupt]

    def _earlier(self, usable: Sequence[BackupMetadata]) -> dict[tuple[str, str], list[EarlierFiles]]:
        """Return for each named path the newest backup that holds it, and the newest good one."""
        opened: dict[str, EarlierFiles | None] = {}
        found: dict[tuple[str, str], list[EarlierFiles]] = {}
        for kind, sources in self._request.paths.items():
            for source in sources:
                holders = [backup for backup in usable if source in backup.sources_of(kind)]
                good = [backup for backup in holders if backup.good]
                wanted = {backup.backup_id: backup for backup in (*holders[:1], *good[:1])}
                files = [self._files_of(backup, opened) for backup in wanted.values()]
                found[kind, source] = [item for item in files if item is not None]
        return found

    def _files_of(self, backup: BackupMetadata, opened: dict[str, EarlierFiles | None]) -> EarlierFiles | None:
        if backup.backup_id not in opened:
            opened[backup.backup_id] = None  # where nothing of it can be trusted, everything is read anew
            with suppress(OSError, ValueError):
                opened[backup.backup_id] = EarlierFiles(self._repository.root, backup)
        return opened[backup.backup_id]

    def _publish(self, writer: StagingWriter) -> None:
        path = self._staging / MANIFEST
        try:
            # What a restore would refuse must not appear as a success: this is the code that a restore uses. The
            # disk begins to write meanwhile; publishing waits for it.
            with beside(partial(sync_filesystem, self._staging)):
                digest = ManifestFile(path).check(self.backup.backup_id, self.backup.base)
        except ValueError as error:
            raise BackupError(f"no backup was made: its manifest could not be read back: {error}") from error
        self.backup = replace(
            self.backup,
            status=BackupStatus.PARTIAL if writer.problems else BackupStatus.SUCCESS,
            files_count=writer.files,
            size_bytes=writer.size_bytes,
            parts=writer.parts,
            problems=writer.problems,
            error_message=summary(writer.problems),
            left_out=[
                *self._request.left_out,
                *skipped(writer.left_out),
                *attributes(writer.with_xattrs),
            ],
            empty=without_files(writer.left_out) or UNSET,
            manifest=digest,
            duration=round(time.perf_counter() - self._began, 3),
        )
        self._new_bytes = writer.new_bytes + path.stat().st_size + len(self.backup.to_json())
        self._repository.publish(self._staging, self.backup)

    def _fail(self, error: Exception) -> None:
        """Leave word of a backup that failed, in the place of what it had written so far."""
        self._new_bytes = 0
        with suppress(OSError):
            if self._visible.exists():
                self._visible.rename(self._staging)  # it is not known to outlive a power cut
            if not self._staging.exists():
                self._staging.mkdir(FOLDER_MODE)
            empty(self._staging)
            self.backup = self._failed(error)
            self._repository.publish(self._staging, self.backup)
            self._new_bytes = len(self.backup.to_json())
        self._end(FAILED, describe(error))

    def _failed(self, error: Exception) -> BackupMetadata:
        held = {"files_count": 0, "size_bytes": 0, "parts": {}, "problems": [], "manifest": "", "base": ""}
        return replace(self.backup, status=BackupStatus.FAILED, error_message=describe(error), **held)

    def _explained(self, error: Exception) -> BackupError:
        if isinstance(error, BackupError):
            return error
        reason = getattr(error, "strerror", None) or describe(error)
        where = getattr(error, "filename", None) or self._repository.root
        return BackupError(f"no backup was made: {reason} ({where}); older backups are as they were")

    def _end(self, outcome: str, message: str) -> None:
        backup, repository = self.backup, self._repository
        left = os.path.lexists(self._staging)
        if left:
            with suppress(OSError):
                empty(self._staging)  # the folder itself goes when the run is counted
        stored = self._measured()
        now = repository.clock.now()
        try:
            repository.ledger.update(lambda known: self._ended(known, outcome, stored))
            if left:
                with suppress(OSError):
                    os.rmdir(self._staging)
        except OSError:
            self._note(outcome)
        seconds = time.perf_counter() - self._began
        held = (0, 0) if outcome in (FAILED, INTERRUPTED) else (backup.files_count, backup.size_bytes)
        emit(BackupFinished(repository.name, backup.backup_id, outcome, now, seconds, *held, message))

    def _note(self, outcome: str) -> None:
        """Note a run that the ledger has no room for, unless a backup or a staging folder is there to be counted."""
        try:
            os.rmdir(self._staging)  # before the note, so that a crash in between counts the run once
        except FileNotFoundError:
            pass
        except OSError:
            return
        if not os.path.lexists(self._visible):
            began = self._started.timestamp()
            self._repository.ledger.note(Counts({outcome: 1}, last_attempt=began, ended=began))

    def _measured(self) -> int | None:
        """Return what all backups take on the disk, if nobody knows it and it can be found out."""
        with suppress(OSError, BackupError):
            if self._repository.ledger.load().stored_bytes is None:
                return self._repository.measured()
        return None

    def _ended(self, known: Account, outcome: str, stored: int | None) -> Account:
        if stored is None and known.stored_bytes is not None:
            stored = known.stored_bytes + self._new_bytes
        left = [name for name in known.cleared if os.path.lexists(self._repository.root / name)]
        return replace(
            known.counted(outcome),
            running_since=0.0,
            sequence=max(known.sequence, self.backup.sequence),
            stored_bytes=stored,
            cleared=[*left, self._staging.name],  # Ctrl-C may come again and leave the folder, which counts no more
        )
