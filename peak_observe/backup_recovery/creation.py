"""Filling the folder of a new backup: what did not change is linked, the rest read, hashed and written in one pass."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery import copying, sqlite
from peak_observe.backup_recovery.copying import WRITABLE, WriteError
from peak_observe.backup_recovery.manifest import (
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
from peak_observe.backup_recovery.metadata import STATE, Part, Problem
from peak_observe.backup_recovery.sources import Exclude, Found, Paths, find
from peak_observe.backup_recovery.threads import Meter, Progress, each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

READS = 3  # how often a file that changes while it is read is read
DOUBT_NS = 50_000_000  # a change this shortly before a backup may share its time stamp with one after it
COPIED, LINKED, SQLITE, TORN = "copied", "linked", "sqlite", "torn"


class Known(NamedTuple):
    """A file as the last backup has it, and where its copy lies."""

    entry: Entry
    path: str
    backup_id: str


def known_files(manifest: Manifest, root: Path, kind: str) -> dict[str, Known]:
    """Return the files of a backup by the path of their source, where their times prove that a file is the same.

    Args:
        manifest: The backup.
        root: The repository.
        kind: The part that is wanted.
    """
    sources = {item.stored: decode_name(item.source) for item in manifest.roots}
    found = {}
    for entry in manifest.entries:
        if entry.kind != kind or entry.type != FILE or not 0 < entry.ctime_ns < manifest.started_ns - DOUBT_NS:
            continue
        place = "/".join(entry.stored.split("/", 2)[:2])
        source = sources[place] + decode_name(entry.stored[len(place) :])
        holder = entry.base or manifest.backup_id
        found[source] = Known(entry, str(root / holder / decode_name(entry.stored)), holder)
    return found


class Filling:
    """The folder of a backup on its way.

    Args:
        folder: The folder.
        known: The files of the last backup, by the path of their source.
        incremental: Whether a file that did not change stays where it is instead of being linked.
        exclude: What is left out.
        skip: Device and inode of folders that are left out without a word.
        tell: Called with a `Progress`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        known: dict[str, Known],
        incremental: bool,
        exclude: Exclude,
        skip: Iterable[tuple[int, int]],
        tell: Callable[[Progress], object] | None,
    ) -> None:
        self.folder = folder
        self.roots: list[Root] = []
        self.entries: list[Entry] = []
        self.parts: dict[str, Part] = {}
        self.problems: list[Problem] = []
        self.new_bytes = 0
        self._known = known
        self._incremental = incremental
        self._exclude = exclude
        self._skip = frozenset(skip)
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
        others = {item.stored: self._make(item) for item in found if item.type != FILE}
        taken = dict(zip((item.stored for item in files), each(self._file, files), strict=True))
        entries = [others.get(item.stored) or taken[item.stored] for item in found]
        self._finish_folders(item for item in reversed(found) if item.type == FOLDER)
        self.roots += roots
        self.entries += [entry for entry in entries if entry is not None]
        held = [entry for entry in taken.values() if entry is not None]
        seconds = time.perf_counter() - began
        self.parts[paths.kind] = Part(len(held), sum(entry.size for entry in held), seconds)

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

    def _problem(self, path: str, reason: str) -> None:
        with self._lock:
            self.problems.append(Problem(encode_name(path), reason))

    def _find(self, root: Root) -> list[Found]:
        source, stored = decode_name(root.source), decode_name(root.stored)
        return list(find(source, stored, exclude=self._exclude, skip=self._skip, problem=self._problem))

    def _make(self, found: Found) -> Entry:
        target = self.folder / found.stored
        if found.type == FOLDER:
            target.mkdir()
            return _entry(found, type=FOLDER)
        points_to = os.readlink(found.path)
        target.symlink_to(points_to)
        return _entry(found, type=LINK, target=encode_name(points_to))

    def _finish_folders(self, folders: Iterable[Found]) -> None:
        for folder in folders:
            target = self.folder / folder.stored
            # The owner keeps the right to write, so that an old backup can be removed.
            target.chmod(stat.S_IMODE(folder.status.st_mode) | stat.S_IRWXU)
            os.utime(target, ns=(folder.status.st_atime_ns, folder.status.st_mtime_ns))

    def _file(self, found: Found) -> Entry | None:
        try:
            entry = self._unchanged(found) or self._read(found)
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
        known = self._known.get(found.path)
        if known is None or not _looks_the_same(found, known.entry):
            return None
        if known.entry.source_size is not None and not sqlite.quiet(found.path):
            return None
        entry = _entry(found, type=FILE, taken=LINKED, like=known.entry)
        if self._incremental:
            self._meter.bytes(found.status.st_size)
            return replace(entry, base=known.backup_id)
        return entry if self._linked(known, found) else None

    def _linked(self, known: Known, found: Found) -> bool:
        try:
            status = os.lstat(known.path)
            if not stat.S_ISREG(status.st_mode) or status.st_size != known.entry.size:
                return False  # somebody changed the copy: read the source again
            os.link(known.path, f"{self.folder}/{found.stored}", follow_symlinks=False)
        except OSError:
            return False  # too many links, another file system, none that has links, or the copy is gone
        self._meter.bytes(found.status.st_size)
        return True

    def _read(self, found: Found) -> Entry:
        target = f"{self.folder}/{found.stored}"
        if sqlite.is_database(found.path, found.status):
            return self._database(found, target)
        for attempt in range(1, READS + 1):
            copied = copying.copied(found.path, target, self._meter.bytes)
            if copied.stable or attempt == READS:
                break
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


def _looks_the_same(found: Found, entry: Entry) -> bool:
    status = found.status
    size = entry.size if entry.source_size is None else entry.source_size
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) == (
        size,
        entry.mtime_ns,
        entry.ctime_ns,
        entry.inode,
    )


def _entry(found: Found, *, like: Entry | None = None, **facts: object) -> Entry:
    status = found.status
    own = {
        "stored": encode_name(found.stored),
        "mode": stat.S_IMODE(status.st_mode),
        "mtime_ns": status.st_mtime_ns,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "inode": status.st_ino if found.type == FILE else 0,
        "base": "",
    }
    return replace(like, **own, **facts) if like else Entry(**own, **facts)
