"""Reader of a repository: the backups in it, their files, and what changed between them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from peak_observe.backup_recovery.components import Named
from peak_observe.backup_recovery.create.left_out import summary
from peak_observe.backup_recovery.create.sources import Exclude
from peak_observe.backup_recovery.repository.advice import command
from peak_observe.backup_recovery.repository.choice import corrupt_of, lost, newest_of_each, restorable, why_none
from peak_observe.backup_recovery.repository.manifest import FILE, Manifest, decode_name
from peak_observe.backup_recovery.repository.manifest_file import ManifestFile
from peak_observe.backup_recovery.repository.metadata import (
    COMMAND,
    CONFIG,
    DATA,
    KINDS,
    STATE,
    BackupMetadata,
    BackupType,
    telling,
)
from peak_observe.backup_recovery.repository.repository import MANIFEST, Repository
from peak_observe.backup_recovery.repository.stored_files import StoredFiles
from peak_observe.backup_recovery.restore import contents, diff
from peak_observe.backup_recovery.restore.crash_recovery import settle_beside
from peak_observe.backup_recovery.restore.diff import Difference
from peak_observe.backup_recovery.restore.places import RestoreOptions
from peak_observe.backup_recovery.restore.restore import entries_of
from peak_observe.errors import BackupError, BackupNotFoundError
from peak_observe.support.shown import shown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoredFile(NamedTuple):
    """One file, symbolic link or folder of a backup.

    Args:
        path: The path where it lived.
        stored: Its path in the backup's folder.
        type: `file`, `link` or `folder`.
        size_bytes: Bytes of a file.
        mode: Permissions, as they were.
        modified_ns: Time of the last change, in nanoseconds since 1970.
        blake3: Hash of a file's content, in hexadecimal.
        target: Where a symbolic link points.
    """

    path: str
    stored: str
    type: str
    size_bytes: int
    mode: int
    modified_ns: int
    blake3: str
    target: str

    @property
    def modified(self) -> datetime | None:
        """The time of the last change, in UTC; None beyond the year 9999."""
        try:
            return EPOCH + timedelta(microseconds=self.modified_ns // 1000)
        except OverflowError:
            return None


class BackupReader:
    """The part of a `RecoveryManager` that only reads."""

    backup_root: Path
    _repository: Repository
    _named: Named
    _exclude: Exclude
    _makes = True
    """Whether a folder becomes a repository at once, so that what is promised is known before the first backup."""

    def list_backups(
        self,
        tags: Collection[str] | None = None,
        backup_type: BackupType | str | None = None,
    ) -> list[BackupMetadata]:
        """Return the backups, the newest first.

        Args:
            tags: Only those with at least one of these tags.
            backup_type: Only those of this type.

        Raises:
            ValueError: There is no such type.
        """
        wanted = {tags} if isinstance(tags, str) else set(tags or ())
        try:
            backup_type = None if backup_type is None else BackupType(backup_type)
        except ValueError:
            known = ", ".join(item.value for item in BackupType)
            raise ValueError(f"backup_type must be one of {known}, not {shown(backup_type)}") from None
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

    def last_success(
        self,
        *,
        include_config: bool = True,
        include_state: bool = True,
        include_data: bool | None = None,
    ) -> datetime | None:
        """Return when the newest backup that succeeded was begun, or None if there is none.

        It holds all that is named, less the parts that are not asked for, and is not known to be corrupt; one of
        another program that shares the repository does not count. Where nothing is named, any counts.

        Args:
            include_config: Whether the configuration is asked for.
            include_state: Whether the state of the program is.
            include_data: Whether the data is; None for whatever data is named.
        """
        wanted = {CONFIG: include_config, STATE: include_state, DATA: include_data is not False}
        kinds = [kind for kind in self._named.kinds() if wanted[kind]]
        corrupt = self.unrestorable_backups()
        whole = [item for item in self.list_backups() if item.good and item.backup_id not in corrupt]
        return next((item.created for item in whole if self._holds_named(item, kinds)), None)

    def newest(self, *, whole: bool = False) -> BackupMetadata | None:
        """Return the newest good backup of all that is named, or else of some of it; where nothing is named, of all.

        Others may keep their backups in the same repository: one of theirs is no backup of what is named.

        Args:
            whole: Whether one that is known to be corrupt is passed over, unless all are.
        """
        good = self._of_named([item for item in self.list_backups() if item.good])
        if whole:
            good = restorable(good, self.unrestorable_backups()) or good
        kinds = self._named.kinds()
        return next((item for item in good if self._holds_named(item, kinds)), next(iter(good), None))

    def newest_of_named(self) -> dict[str, BackupMetadata | None]:
        """Return of each path and state provider that is named the newest good backup of it, None where there is none.

        One that is known to be corrupt is no good one. Where nothing is named, `""` has the newest of all.
        """
        good = restorable(self._repository.backups(), self.unrestorable_backups())
        named = self._named.sources()
        found: dict[str, BackupMetadata | None] = {} if named else {"": good[-1] if good else None}
        for kind, sources in named.items():
            newest = newest_of_each(good, kind, telling(sources))
            found |= {_shown_source(kind, source): newest.get(source) for source in sorted(telling(sources))}
        return found

    def latest(self, *, whole: bool = False) -> BackupMetadata:
        """Return the backup that `newest` does.

        Args:
            whole: That of `newest`.

        Raises:
            BackupNotFoundError: There is none; the message says which there is instead.
        """
        newest = self.newest(whole=whole)
        if newest is None:
            raise BackupNotFoundError("latest", self._why_none())
        return newest

    def _why_none(self) -> str:
        backups = self.list_backups()
        why = why_none(self._of_named(backups), self.unreadable_backups(), self.backup_root)
        other = next((item for item in backups if item.good), None)
        if other is None:
            return why
        sources = {source.partition(COMMAND)[0] for kind in KINDS for source in other.sources_of(kind)}
        return f"of what is named, {why}; {other.backup_id} has, and is one of {summary(sorted(sources))}"

    def _of_named(self, backups: Sequence[BackupMetadata]) -> Sequence[BackupMetadata]:
        """Return the backups that hold something of what is named; all where nothing is."""
        kinds = self._named.kinds()
        if not kinds:
            return backups
        held = [item for item in backups if self._holds_named(item, kinds) or self._holds_some(item)]
        return held or list(filter(self._is_moved, backups))

    def _holds_some(self, backup: BackupMetadata) -> bool:
        """Return whether a backup holds a source that is named, or one below it; if it does not tell, it may."""
        held = telling(source for kind in KINDS for source in backup.sources_of(kind))
        named = telling(self.named_sources())
        return not held or any(source in named or any(source.startswith(f"{one}/") for one in named) for source in held)

    def _is_moved(self, backup: BackupMetadata) -> bool:
        """Return whether a restore finds a path of a backup by its name in another folder, and the old one is gone.

        Where it is still there, another program that names its files alike keeps its backups here too.
        """
        names = {(root.kind, root.named) for root in self._named.roots()}
        try:
            roots = ManifestFile(self._repository.root / backup.backup_id / MANIFEST).head().roots if names else []
        except (OSError, ValueError):
            return bool(backup.manifest)  # it may be, and whoever looks at it is told what is wrong
        return any((root.kind, root.named) in names and not os.path.lexists(decode_name(root.source)) for root in roots)

    def _holds_named(self, backup: BackupMetadata, kinds: Collection[str]) -> bool:
        """Return whether a backup holds these parts with all that is named for them, as far as it tells."""
        return set(kinds) <= set(backup.parts) and all(
            self.named_sources(kind) <= set(backup.sources_of(kind)) for kind in kinds if backup.sources_of(kind)
        )

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
        if other is None:
            settle_beside(self._repository, RestoreOptions(kinds=KINDS, named=roots))
        return diff.between(self._repository, backup_id, other, named=roots, exclude=self._exclude)

    def corrupt_backups(self) -> set[str]:
        """Return the backups in which the last look at all bytes found something wrong, or that lost manifest or base.

        What is based on one of them is not among them; see `unrestorable_backups`.
        """
        return {*self._repository.ledger.read().corrupt, *lost(self._repository.root, self._repository.backups())}

    def unrestorable_backups(self) -> set[str]:
        """Return the backups that are known to be corrupt, and those based on one in which something is wrong."""
        backups = self._repository.backups()
        return corrupt_of(backups, self._repository.ledger.read().corrupt, lost(self._repository.root, backups))

    def named_parts(self) -> list[str]:
        """Return the parts that something is named for."""
        return self._named.kinds()

    def named_sources(self, *kinds: str) -> set[str]:
        """Return what is named for these parts or for all, as metadata has it: absolute paths, and identities."""
        paths = {root.source for root in self._named.roots() if not kinds or root.kind in kinds}
        identities = self._named.identities().items()
        return paths.union(*(sources for kind, sources in identities if not kinds or kind in kinds))

    def list_files(self, backup_id: str, patterns: Collection[str] = ()) -> list[StoredFile]:
        """Return what is in a backup, a folder before what is in it.

        Args:
            backup_id: The backup.
            patterns: Only what one of them means: the path where something lived, the end of it, or a pattern as
                `*.csv`; with a folder all that is in it.

        Raises:
            BackupNotFoundError: There is no such backup.
            BackupCorruptError: What it says of itself is not what was written.
        """
        return list(self.iter_files(backup_id, patterns))

    def iter_files(self, backup_id: str, patterns: Collection[str] = ()) -> Iterator[StoredFile]:
        """Yield what `list_files` returns, so that a backup of many files needs little memory.

        Args:
            backup_id: The backup.
            patterns: Those of `list_files`.

        Raises:
            BackupNotFoundError: There is no such backup.
            BackupCorruptError: What it says of itself is not what was written.
        """
        backup = self._repository.get(backup_id)
        wanted = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        with self._repository.reading(backup):
            _, found = self._contents(backup)
            for item in found.matching(wanted) if wanted else found:
                yield _stored_file(item)

    def _contents(self, backup: BackupMetadata) -> tuple[Manifest, contents.Contents]:
        head, entries = entries_of(self._repository, backup, self._named.roots())
        return head, contents.Contents(head.roots, entries)

    def read_file(self, backup_id: str, path: str) -> Iterator[bytes]:
        """Yield the content of one file of a backup, after all of it was verified.

        Args:
            backup_id: The backup.
            path: The path where it lived, the end of it, or its path in the backup's folder.

        Raises:
            BackupNotFoundError: There is no such backup, or, at any item, no more.
            BackupCorruptError: The file is not what was stored.
            BackupUnreadableError: It cannot be read.
            BackupError: No file is meant, or several are.
        """
        backup = self._repository.get(backup_id)
        with self._repository.reading(backup):
            head, found = self._contents(backup)
            files = [item for item in found.matching((path,)) if item.entry.type == FILE]
        if len(files) != 1:
            what = f"{len(files)} files, {files[0].path} and {files[1].path} too" if files else "no file"
            lists = command("ls", self.backup_root, backup_id)
            raise BackupError(f"{path!r} is {what} in {backup_id}; `{lists}` lists what it holds")
        entry = files[0].entry
        with self._repository.reading(backup, entry.stored):
            checked = StoredFiles(self._repository.root, head).content(entry)
        return self._chunks(backup, entry.stored, checked)

    def _chunks(self, backup: BackupMetadata, name: str, content: Iterator[bytes]) -> Iterator[bytes]:
        with self._repository.reading(backup, name):
            yield from content

    def _get_backup_dir(self, backup_id: str) -> Path:
        return self._repository.folder(backup_id)

    def _generate_backup_id(self) -> str:
        return self._repository.free_name()

    def _load_metadata(self, backup_dir: Path) -> BackupMetadata | None:
        with suppress(FileNotFoundError):
            return self._repository.load(backup_dir)
        return None


def _shown_source(kind: str, source: str) -> str:
    """Return a source as messages name it: without the hash that tells a command from others of its name."""
    name = decode_name(source.partition(COMMAND)[0])
    return f"the state {name!r}" if kind == STATE else name


def _stored_file(item: contents.Item) -> StoredFile:
    entry = item.entry
    facts = (entry.size, entry.mode, entry.modified_ns, entry.blake3, decode_name(entry.target))
    return StoredFile(item.path, item.stored, entry.type, *facts)
