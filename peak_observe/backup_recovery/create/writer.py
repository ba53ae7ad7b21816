"""Writer of a backup's staging folder: unchanged files are linked, the rest is read, hashed and written in one pass."""

from __future__ import annotations

import os
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING

from msgspec.structs import replace

from peak_observe.backup_recovery.create.kinds import EarlierKinds
from peak_observe.backup_recovery.create.reader import COPIED, UNSTORABLE, FileReader, Job, entry_of
from peak_observe.backup_recovery.create.sources import Exclude, Found, find
from peak_observe.backup_recovery.create.unchanged import UnchangedFiles, link
from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.files.copying import CREATE, stored_mode
from peak_observe.backup_recovery.files.file_systems import write_back
from peak_observe.backup_recovery.files.workers import Meter, Progress, each
from peak_observe.backup_recovery.repository.manifest import (
    FILE,
    FOLDER,
    STATE_FILE,
    Entry,
    Root,
    decode_name,
    encode_name,
    facts_of_file,
)
from peak_observe.backup_recovery.repository.manifest import LINK as SYMLINK
from peak_observe.backup_recovery.repository.metadata import STATE, Part, Problem
from peak_observe.backup_recovery.repository.permissions import FILE_MODE, FOLDER_MODE
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from peak_observe.backup_recovery.create.earlier import EarlierFiles
    from peak_observe.backup_recovery.create.earlier_databases import EarlierDatabases
    from peak_observe.backup_recovery.create.unchanged import EarlierFacts, Place

BATCH = 128  # files that are in memory at once; with few of them a processor finds most in its nearest memory
LONGEST = 4095 - 48  # bytes of a path in the staging folder; a drill puts a longer name in front
_log = logger("peak_observe.backup")


class StagingWriter:
    """Writer of the staging folder of one backup.

    Args:
        folder: The folder.
        add: Called with the entries of what is in it, in the order of the manifest.
        earlier: Earlier backups by part and source of a named path, the newest first.
        databases: What was a database in any of them.
        incremental: Whether a file that did not change stays where it is instead of being linked.
        exclude: What is left out.
        append_only: Files of which the part that was there when reading began is a good copy.
        skip: Device and inode of folders that are left out without a word.
        doubted: Whether a backup here is corrupt: others may hold the same file, so what is linked is read first.
        tell: Called with a `Progress`.
        reasons: Why a named path is not there, by path, where somebody knows better.
        elsewhere: Where a named file is read, by path, if not there; that is the real path of a file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        add: Callable[[list[Entry]], None],
        earlier: Mapping[tuple[str, str], Sequence[EarlierFiles]] | None = None,
        databases: EarlierDatabases | None = None,
        incremental: bool = False,
        exclude: Exclude,
        append_only: Exclude | None = None,
        skip: Iterable[tuple[int, int]],
        doubted: bool = False,
        tell: Callable[[Progress], object] | None,
        reasons: Mapping[str, str] | None = None,
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.parts: dict[str, Part] = {}
        self.problems: list[Problem] = []
        self.files = self.size_bytes = 0
        self.with_xattrs: list[str] = []
        self.left_out: dict[str, list[str]] = {}  # by reason
        self._add = add
        self._place = f"{folder}/"
        self._surely_short = LONGEST // 4 - len(self._place)  # characters, of at most four bytes each
        self._unchanged = UnchangedFiles(folder, earlier or {}, incremental=incremental, doubted=doubted)
        self._databases = databases
        self._kinds = EarlierKinds(databases, self._problem)
        self._exclude = exclude
        self._append_only = append_only or Exclude()
        self._skip = frozenset(skip)
        self._tell = tell
        self._reasons = reasons or {}
        self._elsewhere = elsewhere or {}
        self._named_as = {place: path for path, place in self._elsewhere.items()}
        self._replaced = {_without_link(path) for path in self._elsewhere}
        self._meter = Meter(None, "", 0, 0)
        self._reader = FileReader(folder, self._problem, self._read_bytes)
        self._lock = threading.Lock()
        self._written_back: set[int] = set()  # devices
        self._beyond = ""
        self._folders: list[tuple[str, int, int]] = []
        self._names: dict[tuple[int, int], Entry] = {}
        self._copies: dict[tuple[int, int], Entry] = {}

    @property
    def new_bytes(self) -> int:
        """Bytes that were written, and not linked."""
        return self._reader.new_bytes

    def take(self, kind: str, roots: Collection[Root]) -> None:
        """Take all that is named for one part.

        Raises:
            OSError: The repository cannot be written; a source that cannot be read is a problem, no error.
        """
        began, files, size = time.perf_counter(), self.files, self.size_bytes
        (self.folder / kind).mkdir(FOLDER_MODE)
        self._reader.roots = [decode_name(root.source) for root in roots]
        self._meter = Meter(self._tell, kind, *(self._count(roots) if self._tell else (0, 0)))
        items = (
            (place, found)
            for place in map(self._unchanged.place_of, roots)
            for found in self._find(place.root, self._problem, self._left_out)
        )
        while batch := list(islice(items, BATCH)):
            self._take_batch(batch)
        self._finish_folders()
        seconds = time.perf_counter() - began
        self.parts[kind] = Part(self.files - files, self.size_bytes - size, seconds)

    def write_state(self, text: bytes, problems: Iterable[Problem], *, seconds: float, providers: bool) -> None:
        """Write the state of the program.

        Raises:
            OSError: The repository cannot be written.
        """
        target = self.folder / STATE_FILE
        descriptor = os.open(target, CREATE, stored_mode(FILE_MODE))
        try:
            copying.write_all(descriptor, memoryview(text))
        finally:
            os.close(descriptor)
        found = copying.hashed(str(target))
        self._reader.new_bytes += found.size
        self._keep(
            [
                Entry(
                    STATE_FILE,
                    FILE,
                    found.size,
                    found.blake3,
                    mode=FILE_MODE,
                    mtime_ns=found.before.st_mtime_ns,
                    taken=COPIED,
                    uid=found.before.st_uid,
                    gid=found.before.st_gid,
                )
            ]
        )
        self.problems += problems
        if providers:
            self.parts[STATE] = Part(1, found.size, seconds)

    def _count(self, roots: Iterable[Root]) -> tuple[int, int]:
        """Return how many files and bytes there are; somebody wants to see how far it is."""
        files = size = 0
        for root in roots:
            for found in self._find(root, _ignore, _ignore):
                if found.type == FILE:
                    files += 1
                    size += found.status.st_size
        return files, size

    def _find(
        self,
        root: Root,
        problem: Callable[[str, str], None],
        left_out: Callable[[str, str], None],
    ) -> Iterator[Found]:
        path = decode_name(root.source)
        found = find(
            self._elsewhere.get(path, path),
            decode_name(root.stored),
            exclude=self._exclude,
            skip=self._skip,
            problem=problem,
            left_out=left_out,
        )
        if not self._replaced:
            return found
        # One path has one content: what an earlier restore has put there must not come before what is read elsewhere.
        return (item for item in found if item.path not in self._replaced or item.type == FOLDER)

    def _problem(self, path: str, reason: str) -> None:
        path = self._named_as.get(path, path)
        with self._lock:
            self.problems.append(Problem(encode_name(path), self._reasons.get(path, reason)))

    def _left_out(self, path: str, reason: str) -> None:
        self.left_out.setdefault(reason, []).append(encode_name(path))
        _log.info("left out of the backup: %s: %s", encode_name(path), reason)

    def _keep(self, entries: list[Entry]) -> None:
        self.with_xattrs += [entry.stored for entry in entries if entry.xattrs]
        self.files += sum([entry.type == FILE for entry in entries])
        self.size_bytes += sum([entry.size for entry in entries])
        self._add(entries)

    def _take_batch(self, batch: list[tuple[Place, Found]]) -> None:
        """Take what was found, one kind of work after the other: a processor is quicker at more of the same."""
        known = self._unchanged.known(batch)
        self._kinds.look(batch, known)
        entries, sources, more = known.entries, known.sources, known.more
        found = [item for _, item in batch]
        beyond: set[int] = set()
        for number, item in enumerate(found):
            if (self._beyond or len(item.stored) > self._surely_short) and self._is_beyond(item):
                entries[number], sources[number] = None, ""
                beyond.add(number)
            elif item.type != FILE:
                entries[number] = self._make(item)
            elif item.status.st_nlink > 1:
                entries[number] = self._with_several_names(item, entries[number], sources[number], more.get(number))
                sources[number] = ""
        # To link is one short call, at which threads only get in each other's way; to read is worth them.
        targets = enumerate(zip(sources, found, strict=True))
        for number in [n for n, (source, item) in targets if source and not link(source, self._place + item.stored)]:
            entries[number] = self._unchanged.link_to_other(found[number], more.get(number))
        unread = [
            number
            for number, entry in enumerate(entries)
            if entry is None and found[number].type == FILE and number not in beyond
        ]
        jobs = {number: self._job(*batch[number], more.get(number)) for number in unread}
        self._tell_of_known(batch, entries, jobs)
        self._read(jobs, entries)
        self._keep(
            [
                entry if found.status.st_nlink == 1 else self._named(found, entry)
                for (_, found), entry in zip(batch, entries, strict=True)
                if entry
            ]
        )

    def _tell_of_known(
        self, batch: list[tuple[Place, Found]], entries: list[Entry | None], jobs: Collection[int]
    ) -> None:
        """Tell of the files that are in the backup without being read."""
        if self._tell is not None:
            for number, (_, found) in enumerate(batch):
                if found.type == FILE and entries[number] is not None and number not in jobs:
                    self._meter.file(found.status.st_size)

    def _read(self, jobs: dict[int, Job], entries: list[Entry | None]) -> None:
        """Read files, and set their entries; of those with several names the first one only."""
        first: dict[int, Job] = {}
        again: dict[int, Job] = {}
        reading: set[tuple[int, int]] = set()
        for number, job in jobs.items():
            self._write_back(job.found)
            identity = _identity(job.found)
            several = job.found.status.st_nlink > 1
            (again if several and identity in reading else first)[number] = job
            if several:
                reading.add(identity)
        done = each(self._file, list(first.values()), lambda job: job.found.status.st_size)
        for number, entry in zip(first, done, strict=True):
            found = first[number].found
            entries[number] = self._stored(found, entry) if _is_still(found, entry) else entry
        for number, job in again.items():
            if another := self._another_name(job.found):
                self._meter.file(job.found.status.st_size)
            entries[number] = another or self._file(job)

    def _write_back(self, found: Found) -> None:
        """Let each file system write back once before its files are read: later writes show in their times then."""
        device = found.status.st_dev
        if device not in self._written_back:
            self._written_back.add(device)
            write_back(found.path, found.status)

    def _read_bytes(self, count: int) -> None:
        self._meter.bytes(count)  # of the part that is taken now

    def _file(self, job: Job) -> Entry | None:
        entry = self._reader.read(job)
        self._meter.file()
        return entry

    def _is_beyond(self, found: Found) -> bool:
        """Return whether a path is too long for the repository; what is below one is left out with it."""
        if self._beyond and found.stored.startswith(self._beyond):
            return True
        if len(os.fsencode(self._place + found.stored)) < LONGEST:
            return False
        if found.type == FOLDER:
            self._beyond = f"{found.stored}/"
        self._problem(found.path, "its path would be too long in the repository, and so would all below it")
        return True

    def _job(self, place: Place, found: Found, more: EarlierFacts | None) -> Job:
        database, plain = (more.database, more.plain) if more else ("", "")
        if not database and self._databases and not (plain and plain == self._databases.newest(place.root)):
            database = self._databases.find(found.path, found.status)
        return Job(found, self._only_grows(place, found), database)

    def _only_grows(self, place: Place, found: Found) -> bool:
        if not self._append_only.patterns:
            return False
        below = decode_name(encode_name(found.stored)[place.cut + 1 :])
        return self._append_only(below or found.path.rpartition("/")[2], folder=False)

    def _with_several_names(
        self, found: Found, entry: Entry | None, source: str, more: EarlierFacts | None
    ) -> Entry | None:
        """Link one more name to the first one's copy, or the first one to an earlier backup's."""
        if another := self._another_name(found):
            return another
        if entry is not None and entry.source_size is not None:
            return None  # what sits in a log beside another name changes a database without a trace here
        if source and not link(source, self._place + found.stored):
            entry = self._unchanged.link_to_other(found, more)
        return self._stored(found, entry)

    def _another_name(self, found: Found) -> Entry | None:
        """Return the entry of one more name of a file whose content is in the backup already."""
        first = self._copies.get(_identity(found))
        if first is None or not link(self._place + decode_name(first.stored), self._place + found.stored):
            return None
        return replace(first, stored=encode_name(found.stored))

    def _stored(self, found: Found, entry: Entry | None) -> Entry | None:
        """Remember where the content of a file with several names is stored."""
        if entry is not None and found.status.st_nlink > 1 and not entry.base:
            self._copies.setdefault(_identity(found), entry)
        return entry

    def _named(self, found: Found, entry: Entry) -> Entry:
        """Return the entry of a file with several names, with the first of them in the manifest if that is another."""
        if found.type != FILE:
            return entry
        first = self._names.setdefault(_identity(found), entry)
        # One that changed between its names is not the same any more.
        same = first is not entry and facts_of_file(first) == facts_of_file(entry)
        return replace(entry, hardlink=first.stored) if same else entry

    def _make(self, found: Found) -> Entry | None:
        target = self._place + found.stored
        try:
            if found.type == FOLDER:
                os.mkdir(target, FOLDER_MODE)
                self._folders.append((target, found.status.st_atime_ns, found.status.st_mtime_ns))
                return entry_of(found, type=FOLDER)
            points_to = os.readlink(found.path)
        except OSError as error:
            if found.type == FOLDER and error.errno not in UNSTORABLE:
                raise
            self._beyond = f"{found.stored}/" if found.type == FOLDER else self._beyond
            self._reader.unread(found, error)
            return None
        os.symlink(points_to, target)
        return entry_of(found, type=SYMLINK, target=encode_name(points_to))

    def _finish_folders(self) -> None:
        for target, accessed, modified in reversed(self._folders):
            os.utime(target, ns=(accessed, modified))
        self._folders.clear()


def _is_still(found: Found, entry: Entry | None) -> bool:
    """Return whether the file that was read is the one that was found, and no other one that took its place."""
    if found.status.st_nlink == 1 or entry is None:
        return True  # nobody asks for it by another name
    try:
        return entry.inode == found.status.st_ino == os.lstat(found.path).st_ino
    except OSError:
        return False


def _without_link(path: str) -> str:
    """Return a path as the walk of a folder above comes to it, which follows no link to the file's own folder."""
    folder, name = os.path.split(path)
    above, last = os.path.split(folder)
    return os.path.join(os.path.realpath(above), last, name)


def _identity(found: Found) -> tuple[int, int]:
    return found.status.st_dev, found.status.st_ino


def _ignore(_: str, __: str) -> None:
    """Say nothing: who counts only is not who takes."""
