"""Writer of a backup's staging folder: unchanged files are linked, the rest is read, hashed and written in one pass."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery.create.reader import COPIED, UNSTORABLE, FileReader, Job, entry_of
from peak_observe.backup_recovery.create.sources import Exclude, Found, find
from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.files.copying import CREATE, stored_mode
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

LINKED = "linked"
BATCH = 512  # files that are in memory at once
LONGEST = 4095 - 48  # bytes of a path in the staging folder; a drill puts a longer name in front
_log = logger("peak_observe.backup")


class StagingWriter:
    """Writer of the staging folder of one backup.

    Args:
        folder: The folder.
        add: Called with the entries of what is in it, in the order of the manifest.
        earlier: Earlier backups by part and source of a named path, the newest first.
        incremental: Whether a file that did not change stays where it is instead of being linked.
        exclude: What is left out.
        append_only: Files of which the part that was there when reading began is a good copy.
        skip: Device and inode of folders that are left out without a word.
        doubted: Whether a backup here is corrupt: others may hold the same file, so what is linked is read first.
        tell: Called with a `Progress`.
        reasons: Why a named path is not there, by path, where somebody knows better.
    """

    def __init__(
        self,
        folder: Path,
        *,
        add: Callable[[list[Entry]], None],
        earlier: Mapping[tuple[str, str], Sequence[EarlierFiles]] | None = None,
        incremental: bool = False,
        exclude: Exclude,
        append_only: Exclude | None = None,
        skip: Iterable[tuple[int, int]],
        doubted: bool = False,
        tell: Callable[[Progress], object] | None,
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.parts: dict[str, Part] = {}
        self.problems: list[Problem] = []
        self.files = self.size_bytes = 0
        self.with_xattrs: list[str] = []
        self._add = add
        self._place = f"{folder}/"
        self._surely_short = LONGEST // 4 - len(self._place)  # characters, of at most four bytes each
        self._earlier = earlier or {}
        self._incremental = incremental
        self._exclude = exclude
        self._append_only = append_only or Exclude()
        self._skip = frozenset(skip)
        self._doubted = doubted
        self._tell = tell
        self._reasons = reasons or {}
        self._meter = Meter(None, "", 0, 0)
        self._reader = FileReader(folder, self._problem, self._read_bytes)
        self._lock = threading.Lock()
        self._batch: list[Entry | None] = []
        self._jobs: dict[int, Job] = {}
        self._several: dict[int, Found] = {}
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
        self._meter = Meter(self._tell, kind, *(self._count(roots) if self._tell else (0, 0)))
        for root in roots:
            place = self._place_of(root)
            for found in self._find(root, self._problem, self._left_out):
                self._take(place, found)
                if len(self._batch) >= BATCH:
                    self._finish_batch()
        self._finish_batch()
        self._finish_folders()
        self._names.clear()
        self._copies.clear()
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
        return find(
            decode_name(root.source),
            decode_name(root.stored),
            exclude=self._exclude,
            skip=self._skip,
            problem=problem,
            left_out=left_out,
        )

    def _problem(self, path: str, reason: str) -> None:
        with self._lock:
            self.problems.append(Problem(encode_name(path), self._reasons.get(path, reason)))

    def _left_out(self, path: str, reason: str) -> None:
        _log.info("left out of the backup: %s: %s", encode_name(path), reason)

    def _keep(self, entries: list[Entry]) -> None:
        self.with_xattrs += [entry.stored for entry in entries if entry.xattrs]
        self.files += sum([entry.type == FILE for entry in entries])
        self.size_bytes += sum([entry.size for entry in entries])
        self._add(entries)

    def _place_of(self, root: Root) -> _Place:
        earlier = ((one, one.place_of(root)) for one in self._earlier.get((root.kind, root.source), ()))
        held = [(one, "" if place == root.stored else place) for one, place in earlier if place is not None]
        return _Place(root, len(root.stored), held)

    def _take(self, place: _Place, found: Found) -> None:
        """Take what was found: a file that has to be read with the batch, anything else at once."""
        if (self._beyond or len(found.stored) > self._surely_short) and self._is_beyond(found):
            return
        if found.type != FILE:
            self._batch.append(self._make(found))
            return
        # To link is one short call, at which threads only get in each other's way; to read is worth them.
        entry, database = self._known(place, found)
        number = len(self._batch)
        if entry is None:
            self._jobs[number] = Job(found, self._only_grows(place, found), database)
        if found.status.st_nlink > 1:
            self._several[number] = found
        self._batch.append(entry)

    def _finish_batch(self) -> None:
        """Read the files of the batch that have to be read, and keep its entries."""
        batch, jobs, several = self._batch, self._jobs, self._several
        again: dict[int, Job] = {}
        reading: set[tuple[int, int]] = set()
        for number in [number for number in several if number in jobs]:
            if _identity(several[number]) in reading:
                again[number] = jobs.pop(number)
            reading.add(_identity(several[number]))
        done = each(self._file, list(jobs.values()), lambda job: job.found.status.st_size)
        for number, entry in zip(jobs, done, strict=True):
            batch[number] = self._stored(jobs[number].found, entry)
        for number, job in again.items():
            batch[number] = self._another_name(job.found) or self._file(job)
        for number, found in several.items():
            batch[number] = self._named(found, batch[number])
        self._keep([entry for entry in batch if entry is not None])
        for filled in (batch, jobs, several):
            filled.clear()

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

    def _known(self, place: _Place, found: Found) -> tuple[Entry | None, tuple[Entry, str] | None]:
        """Return the entry of a file that need not be read, and that of a backup in which it was a database."""
        several = found.status.st_nlink > 1
        entry = self._another_name(found) if several else None
        database, stored = None, encode_name(found.stored)
        for earlier, before in place.earlier:
            known = earlier.find(before + stored[place.cut :] if before else stored)
            if known is None:
                continue
            if entry is None and earlier.is_untouched(known, found.status, found.path):
                entry = self._unchanged(known, earlier, found, stored)
                entry = self._stored(found, entry) if several else entry
            if known.source_size is not None and database is None:
                database = known, earlier.backup_id
        return entry, database

    def _only_grows(self, place: _Place, found: Found) -> bool:
        if not self._append_only.patterns:
            return False
        below = decode_name(encode_name(found.stored)[place.cut + 1 :])
        return self._append_only(below or found.path.rpartition("/")[2], folder=False)

    def _unchanged(self, entry: Entry, earlier: EarlierFiles, found: Found, stored: str) -> Entry | None:
        if self._doubted and not earlier.is_sound(entry):
            return None
        stays = self._incremental and entry.stored == stored
        if not stays and not _link(earlier.copy(entry), self._place + found.stored):
            return None
        self._meter.file(found.status.st_size)
        # With the time of its last change the mode, the owner and the rest are those of then.
        base = (entry.base or earlier.backup_id) if stays else ""
        if entry.taken == LINKED and entry.stored == stored and entry.base == base and not entry.hardlink:
            return entry
        return replace(entry, stored=stored, taken=LINKED, base=base, hardlink="")

    def _another_name(self, found: Found) -> Entry | None:
        """Return the entry of one more name of a file whose content is in the backup already."""
        first = self._copies.get(_identity(found))
        if first is None or not _link(self._place + decode_name(first.stored), self._place + found.stored):
            return None
        self._meter.file(found.status.st_size)
        return replace(first, stored=encode_name(found.stored))

    def _stored(self, found: Found, entry: Entry | None) -> Entry | None:
        """Remember where the content of a file with several names is stored."""
        if entry is not None and found.status.st_nlink > 1 and not entry.base:
            self._copies.setdefault(_identity(found), entry)
        return entry

    def _named(self, found: Found, entry: Entry | None) -> Entry | None:
        """Return the entry of a file with several names, with the first of them in the manifest if that is another."""
        if entry is None:
            return None
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


class _Place(NamedTuple):
    """A named path in this backup and in earlier ones.

    Args:
        root: The path.
        cut: Characters of its place in this backup, behind which that of a file below it goes on.
        earlier: The backups that have it, the newest first, each with its place there; empty if it is the same.
    """

    root: Root
    cut: int
    earlier: list[tuple[EarlierFiles, str]]


def _link(path: str, target: str) -> bool:
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:
        return False  # too many links, another file system, none that has links, or the copy is gone
    return True


def _identity(found: Found) -> tuple[int, int]:
    return found.status.st_dev, found.status.st_ino


def _ignore(_: str, __: str) -> None:
    """Say nothing: who counts only is not who takes."""
