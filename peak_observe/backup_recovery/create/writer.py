"""Filling the folder of a new backup: what did not change is linked, the rest read, hashed and written in one pass."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from peak_observe.backup_recovery.create.sources import Exclude, Found, Paths, find
from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.files.copying import WRITABLE, WriteError
from peak_observe.backup_recovery.files.workers import Meter, Progress, each
from peak_observe.backup_recovery.repository.manifest import (
    FILE,
    FOLDER,
    LINK,
    STATE_FILE,
    Entry,
    Manifest,
    Root,
    decode_name,
    encode_name,
)
from peak_observe.backup_recovery.repository.metadata import STATE, Part, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peak_observe.backup_recovery.files.file_status import Status

READS = 3  # how often a file that changes while it is read is read
COPIED, LINKED, SQLITE, TORN = "copied", "linked", "sqlite", "torn"


Known = dict[str, tuple[Entry, str]]
"""The files of earlier backups by the path of their source, each with the backup that holds it."""


def known_files(manifest: Manifest, kind: str) -> Known:
    """Return the files of one part of a backup whose times prove that a file is still the same."""
    found: Known = {}
    surely = range(1, manifest.started_ns - sqlite.DOUBT_NS)
    for root in manifest.roots:
        if root.kind == kind:
            source, place = decode_name(root.source), root.stored
            below, length = f"{place}/", len(place)
            for entry in manifest.entries:
                stored = entry.stored
                if entry.ctime_ns in surely and (stored.startswith(below) or stored == place):
                    found[source + decode_name(stored[length:])] = entry, entry.base or manifest.backup_id
    return found


class Filling:
    """The folder of a backup on its way.

    Args:
        folder: The folder.
        root: The repository's folder.
        known: The files of the last backups.
        incremental: Whether a file that did not change stays where it is instead of being linked.
        exclude: What is left out.
        skip: Device and inode of folders that are left out without a word.
        doubted: Whether a backup here is corrupt: others may hold the same file, so what is linked is read first.
        tell: Called with a `Progress`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        root: Path,
        known: Known,
        incremental: bool,
        exclude: Exclude,
        skip: Iterable[tuple[int, int]],
        doubted: bool = False,
        tell: Callable[[Progress], object] | None,
    ) -> None:
        self.folder = folder
        self.roots: list[Root] = []
        self.entries: list[Entry] = []
        self.parts: dict[str, Part] = {}
        self.problems: list[Problem] = []
        self.new_bytes = 0
        self._place = f"{folder}/"
        self._root = f"{root}/"
        self._known = known
        self._incremental = incremental
        self._exclude = exclude
        self._skip = frozenset(skip)
        self._doubted = doubted
        self._tell = tell
        self._meter = Meter(None, "", 0, 0)
        self._lock = threading.Lock()

    def take(self, paths: Paths) -> None:
        """Take all that is named for one part.

        Raises:
            OSError: The repository cannot be written; a source that cannot be read is a problem, no error.
        """
        began = time.perf_counter()
        (self.folder / paths.kind).mkdir()
        roots = paths.roots()
        found = [item for root in roots for item in self._find(root)]
        files = [item for item in found if item.type == FILE]
        self._meter = Meter(self._tell, paths.kind, len(files), sum(item.status.st_size for item in files))
        # To link is one short call, at which threads only get in each other's way; to read is worth them.
        entries = {item.stored: self._unchanged(item) if item.type == FILE else self._make(item) for item in found}
        changed = [item for item in files if entries[item.stored] is None]
        entries |= zip(
            (item.stored for item in changed), each(self._file, changed, lambda item: item.status.st_size), strict=True
        )
        self._finish_folders(item for item in reversed(found) if item.type == FOLDER)
        self.roots += roots
        held = [entry for entry in entries.values() if entry is not None]
        self.entries += held
        sizes = [entry.size for entry in held if entry.type == FILE]
        self.parts[paths.kind] = Part(len(sizes), sum(sizes), time.perf_counter() - began)

    def write_state(self, text: bytes, problems: Iterable[Problem], *, seconds: float, providers: bool) -> None:
        """Write the state of the program.

        Raises:
            OSError: The repository cannot be written.
        """
        target = self.folder / STATE_FILE
        target.write_bytes(text)
        target.chmod(0o600 & ~WRITABLE)
        found = copying.hashed(str(target))
        self.new_bytes += found.size
        self.entries.append(Entry(STATE_FILE, FILE, found.size, found.blake3, mode=0o600, taken=COPIED))
        self.problems += problems
        if providers:
            self.parts[STATE] = Part(1, found.size, seconds)

    def forget(self) -> None:
        """Let go of the earlier backups' files, once all is taken."""
        self._known = {}

    def _problem(self, path: str, reason: str) -> None:
        with self._lock:
            self.problems.append(Problem(encode_name(path), reason))

    def _find(self, root: Root) -> list[Found]:
        source, stored = decode_name(root.source), decode_name(root.stored)
        return find(source, stored, exclude=self._exclude, skip=self._skip, problem=self._problem)

    def _make(self, found: Found) -> Entry | None:
        target = self._place + found.stored
        if found.type == FOLDER:
            os.mkdir(target)
            return _entry(found, type=FOLDER)
        try:
            points_to = os.readlink(found.path)
        except OSError as error:
            self._unread(found, error)
            return None
        os.symlink(points_to, target)
        return _entry(found, type=LINK, target=encode_name(points_to))

    def _finish_folders(self, folders: Iterable[Found]) -> None:
        for folder in folders:
            target = self.folder / folder.stored
            # The owner keeps the right to write, so that an old backup can be removed.
            target.chmod(stat.S_IMODE(folder.status.st_mode) | stat.S_IRWXU)
            os.utime(target, ns=(folder.status.st_atime_ns, folder.status.st_mtime_ns))

    def _file(self, found: Found) -> Entry | None:
        try:
            entry = self._read(found)
        except WriteError:
            raise
        except (OSError, sqlite3.Error) as error:
            self._unread(found, error)
            entry = None
        self._meter.file()
        return entry

    def _unread(self, found: Found, error: Exception) -> None:
        Path(self.folder, found.stored).unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            self._problem(found.path, f"SQLite: {error}")
        elif isinstance(error, FileNotFoundError):
            self._problem(found.path, "was removed while the backup was made")
        else:
            self._problem(found.path, f"cannot be read: {getattr(error, 'strerror', None) or error}")

    def _unchanged(self, found: Found) -> Entry | None:
        entry, holder = self._known.get(found.path, (None, ""))
        if entry is None or not _looks_the_same(found.status, entry):
            return None
        if entry.source_size is not None and not sqlite.quiet(found.path):
            return None
        if self._doubted and not self._is_sound(entry, holder):
            return None
        if not self._incremental and not self._linked(entry, holder, found):
            return None
        self._meter.file(found.status.st_size)
        # With the time of its last change the mode, the owner and the rest are those of then.
        facts = encode_name(found.stored), LINKED, holder if self._incremental else ""
        if facts == (entry.stored, entry.taken, entry.base):
            return entry
        return replace(entry, stored=facts[0], taken=facts[1], base=facts[2])

    def _is_sound(self, entry: Entry, holder: str) -> bool:
        try:
            return copying.hashed(f"{self._root}{holder}/{decode_name(entry.stored)}").blake3 == entry.blake3
        except OSError:
            return False

    def _linked(self, entry: Entry, holder: str, found: Found) -> bool:
        path = f"{self._root}{holder}/{decode_name(entry.stored)}"
        try:
            os.link(path, self._place + found.stored, follow_symlinks=False)
        except OSError:
            return False  # too many links, another file system, none that has links, or the copy is gone
        return True

    def _read(self, found: Found) -> Entry:
        target = self._place + found.stored
        if sqlite.is_database(found.path, found.status):
            return self._database(found, target)
        for attempt in range(1, READS + 1):
            copied = copying.copied(found.path, target, self._meter.bytes)
            if copied.stable or attempt == READS:
                break
            with copying.writing(target):
                os.unlink(target)
        if not copied.stable:
            self._problem(found.path, f"changed while it was read, {READS} times")
        self._added(copied.size)
        return _entry(
            found._replace(status=copied.before),
            type=FILE,
            size=copied.size,
            blake3=copied.blake3,
            taken=COPIED if copied.stable else TORN,
            ctime_ns=copied.before.st_ctime_ns if copied.stable else 0,
            sparse=copied.sparse,
        )

    def _database(self, found: Found, target: str) -> Entry:
        quiet = sqlite.quiet(found.path)
        try:
            sqlite.take(found.path, target)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise WriteError(None, "no space left for the copy of a database", target) from error
            raise
        with copying.writing(target):
            os.chmod(target, stat.S_IMODE(found.status.st_mode) & ~WRITABLE)
            os.utime(target, ns=(found.status.st_atime_ns, found.status.st_mtime_ns))
            copy = copying.hashed(target)
        self._meter.bytes(found.status.st_size)
        self._added(copy.size)
        return _entry(
            found,
            type=FILE,
            size=copy.size,
            blake3=copy.blake3,
            taken=SQLITE,
            # What sits in a log beside it changes the database without a trace on its own file.
            ctime_ns=found.status.st_ctime_ns if quiet and sqlite.quiet(found.path) else 0,
            source_size=found.status.st_size,
        )

    def _added(self, count: int) -> None:
        with self._lock:
            self.new_bytes += count


def _looks_the_same(status: os.stat_result | Status, entry: Entry) -> bool:
    size = entry.size if entry.source_size is None else entry.source_size
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) == (
        size,
        entry.mtime_ns,
        entry.ctime_ns,
        entry.inode,
    )


def _entry(found: Found, **facts: Any) -> Entry:
    status = found.status
    return Entry(
        encode_name(found.stored),
        mode=stat.S_IMODE(status.st_mode),
        mtime_ns=status.st_mtime_ns,
        uid=status.st_uid,
        gid=status.st_gid,
        inode=status.st_ino if found.type == FILE else 0,
        **facts,
    )
