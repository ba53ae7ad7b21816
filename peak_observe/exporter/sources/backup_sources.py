"""Sources of backups: repositories of peak_observe, files of other tools, restic and borg.

They share the families of our own backups, so the same panels and alerts fit all; what a tool does not tell is absent.
"""

from __future__ import annotations

import glob
import os
import stat
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from peak_observe import catalog
from peak_observe.backup_recovery.repository import reading
from peak_observe.backup_recovery.repository.metadata import SKEW
from peak_observe.backup_recovery.repository.permissions import MOUNT_POINT
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import BackupError
from peak_observe.exporter.sources import external_program, own_metrics
from peak_observe.measures import BackupReading, KindReading
from peak_observe.telemetry.metrics.offsite_families import OFFSITE_FAMILIES
from peak_observe.telemetry.metrics.primitive_families import BACKUP_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from peak_observe.exporter.sources.metric_block import Block

MOST_FILES = 100_000
_FAMILIES = {family.metric: family for family in BACKUP_FAMILIES}


class PeakRepositorySource:
    """Source of a repository of peak_observe, read from the disk and never written.

    Args:
        name: The source's name.
        repository: The label of its metrics.
        path: The folder.
        max_age: Seconds that the newest backup may be old; None for what its owner promised.
        clock: Source of the time.
    """

    def __init__(
        self,
        name: str,
        repository: str,
        *,
        path: Path,
        max_age: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self._repository = Repository(path, repository, clock)
        self._observed = reading.ObservedRepository(self._repository)
        self._observed.max_age = max_age

    def collect(self) -> list[Block]:
        """Return how it stands.

        Raises:
            OSError: The folder is not there or cannot be read.
            BackupError: It cannot be listed, the repository in it is gone, or it holds other things.
        """
        repository = self._repository
        os.scandir(repository.root).close()  # a folder that is missing is no repository without backups
        found = self._observed.look()
        if found.configured is None and not found.corrupt_files and not os.path.lexists(repository.own):
            names = {path.name for path in repository.root.iterdir()} - {MOUNT_POINT}
            if others := sorted(name for name in names if not name.startswith(".")):
                problem = f"{repository.root} holds {others[0]} and no backup that can be read: is it a repository?"
                raise BackupError(problem)
        return own_metrics.of_readings((*BACKUP_FAMILIES, *OFFSITE_FAMILIES), [(repository.name, found)])


class BackupListing(NamedTuple):
    """Facts about the backups of another tool.

    Args:
        newest: Unix time of the newest good one, 0 if there is none.
        good: How many are good.
        bad: How many are not.
        size_bytes: Size of the newest, if it is known.
        files: Files in the newest, if that is known.
        stored_bytes: What all take together, if it is known.
    """

    newest: float = 0.0
    good: int = 0
    bad: int = 0
    size_bytes: int | None = None
    files: int | None = None
    stored_bytes: int | None = None


class _Foreign:
    """Base of sources of other tools' backups.

    Args:
        name: The source's name.
        repository: The label of its metrics.
        max_age: Seconds that the newest one may be old; None without a promise.
        clock: Source of the time.
    """

    kind = ""

    def __init__(
        self,
        name: str,
        repository: str,
        *,
        max_age: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self._label = repository
        self._max_age = max_age
        self._clock = clock
        self._since = clock.now().timestamp()

    def stored(self) -> BackupListing:
        """Return what there is."""
        raise NotImplementedError

    def newest(self, times: Iterable[float]) -> float:
        """Return the newest of some Unix times that is not of the future, when a clock was wrong; 0 without one."""
        limit = self._clock.now().timestamp() + SKEW
        return max((time for time in times if time <= limit), default=0.0)

    def collect(self) -> list[Block]:
        """Return it as samples."""
        found = self.stored()
        now = self._clock.now().timestamp()
        age = max(0.0, now - (found.newest or self._since))
        reading = BackupReading()
        reading.kinds[self.kind] = KindReading(found.newest, age, found.size_bytes or 0, found.files or 0, 0.0)
        reading.configured, reading.max_age = self._since, self._max_age
        reading.count = [found.good, found.bad, 0]
        reading.stored_bytes = found.stored_bytes or 0
        return own_metrics.of_readings([_FAMILIES[metric] for metric in _known(found)], [(self._label, reading)])


def _known(found: BackupListing) -> Iterator[catalog.Metric]:
    yield catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS
    yield catalog.BACKUP_AGE_SECONDS
    if found.size_bytes is not None:
        yield catalog.BACKUP_SIZE_BYTES
    if found.files is not None:
        yield catalog.BACKUP_FILES
    yield catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS
    yield catalog.BACKUP_MAX_AGE_SECONDS
    if found.stored_bytes is not None:
        yield catalog.BACKUP_STORED_BYTES
    yield catalog.BACKUP_STORED


class Files(_Foreign):
    """Source of files that other tools made, each of them a backup: dumps, tarballs.

    Args:
        name: The source's name.
        repository: The label of its metrics.
        patterns: What their paths match; `**` stands for any folders.
        min_bytes: Smaller ones count as partial, and never as the newest: an empty dump is a failed dump.
        settings: Those of every source of backups.
    """

    kind = "file"

    def __init__(
        self,
        name: str,
        repository: str,
        *,
        patterns: Sequence[str],
        min_bytes: int = 1,
        **settings: Any,
    ) -> None:
        super().__init__(name, repository, **settings)
        self._patterns = patterns
        self._min_bytes = min_bytes

    def stored(self) -> BackupListing:
        """Look at the files.

        Raises:
            OSError: A folder cannot be read.
            ValueError: There are too many files.
        """
        found = list(self._found().values())
        good = [file for file in found if file.st_size >= self._min_bytes]
        newest = self.newest(file.st_mtime for file in good)
        sizes = [file.st_size for file in good if newest and file.st_mtime == newest][:1]
        stored = sum(file.st_size for file in found)
        return BackupListing(newest, len(good), len(found) - len(good), sum(sizes), len(sizes), stored)

    def _found(self) -> dict[tuple[int, int], os.stat_result]:
        # By inode: a link `latest.dump` is no second backup.
        found: dict[tuple[int, int], os.stat_result] = {}
        for pattern in self._patterns:
            os.scandir(_steady(pattern)).close()
            _check_folders(pattern)
            for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207 - a pattern may name any folder
                try:
                    status = Path(path).stat()
                except FileNotFoundError:
                    continue  # it was rotated away this very moment
                if stat.S_ISREG(status.st_mode):
                    found[status.st_dev, status.st_ino] = status
                if len(found) > MOST_FILES:
                    raise ValueError(f"more than {MOST_FILES} files match {pattern}")
        return found


def _steady(pattern: str) -> str:
    """Return the folder of a pattern above its first wildcard, which has to be there."""
    folder = Path(pattern).parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return str(folder)


def _check_folders(pattern: str) -> None:
    """Look into each folder below the first wildcard of a pattern: `glob` passes over one that it may not read.

    Raises:
        OSError: One cannot be read.
    """
    parts = Path(pattern).parts
    for index, part in enumerate(parts):
        above = parts[: index + (part == "**")]
        if any(map(glob.has_magic, above)):
            for folder in glob.iglob(os.path.join(*above, ""), recursive=True):  # noqa: PTH118, PTH207 - it ends in "/"
                if Path(folder).name != MOUNT_POINT:
                    with suppress(FileNotFoundError, NotADirectoryError):  # it was rotated away
                        os.stat(f"{folder}.")  # noqa: PTH116 - what is in it can be looked up
                        if glob.has_magic(part):
                            os.scandir(folder).close()


class _Program(_Foreign):
    """Base of sources that read a program's JSON output.

    Args:
        name: The source's name.
        repository: The label of its metrics.
        words: The program and its arguments.
        environment: What the program finds in its environment, for instance where the password is.
        timeout: Seconds it may take.
        settings: Those of every source of backups.
    """

    def __init__(
        self,
        name: str,
        repository: str,
        *,
        words: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,
        **settings: Any,
    ) -> None:
        super().__init__(name, repository, **settings)
        self._words = words
        self._environment = environment
        self._timeout = timeout

    def _told(self, kind: Any) -> Any:
        text = external_program.output(self._words, environment=self._environment, timeout=self._timeout)
        try:
            return msgspec.json.decode(text, type=kind)
        except ValueError as error:
            raise ValueError(f"what {self._words[0]} says is not understood: {error}") from None


class _Summary(msgspec.Struct):
    total_files_processed: int | None = None
    total_bytes_processed: int | None = None


class _Snapshot(msgspec.Struct):
    time: datetime
    summary: _Summary | None = None


class Restic(_Program):
    """Source of a restic repository, by `restic snapshots --json`."""

    kind = "restic"

    def stored(self) -> BackupListing:
        """Ask restic, which tells of size and files since version 0.17."""
        found: list[_Snapshot] = self._told(list[_Snapshot] | None) or []
        newest = self.newest(snapshot.time.timestamp() for snapshot in found)
        summaries = [snapshot.summary for snapshot in found if snapshot.time.timestamp() == newest]
        summary = next(iter(summaries), None) or _Summary()
        size, files = summary.total_bytes_processed, summary.total_files_processed
        return BackupListing(newest, len(found), size_bytes=size, files=files)


class _Archive(msgspec.Struct):
    time: str


class _Archives(msgspec.Struct):
    archives: list[_Archive]


class Borg(_Program):
    """Source of a borg repository, by `borg list --json`."""

    kind = "borg"

    def stored(self) -> BackupListing:
        """Ask borg, whose times have no zone: they are local."""
        found: _Archives = self._told(_Archives)
        times = [datetime.fromisoformat(archive.time).timestamp() for archive in found.archives]
        return BackupListing(self.newest(times), len(times))
