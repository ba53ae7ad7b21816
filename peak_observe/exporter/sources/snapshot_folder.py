"""Reader of the snapshot folder: parses its files, folds those of dead processes and removes forgotten ones."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from peak_observe import catalog
from peak_observe.support.loggers import logger
from peak_observe.telemetry.metrics.text_format import label_pairs
from peak_observe.telemetry.snapshot import lifetime_totals, name_lock, process_identity, snapshot_file
from peak_observe.telemetry.snapshot.samples import FAMILIES, family_of
from peak_observe.telemetry.snapshot.snapshot_file import SUFFIX, RejectedError, Snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from peak_observe.telemetry.snapshot.snapshot_file import Header

MAX_FILES = 5_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_SERIES = 800_000
# Of a job that ended, what has a date stays true; how its circuits and checks stood does not.
LAST_WORDS = ("_timestamp_seconds", "_bytes", "_files", "_last_duration_seconds")


class Limits(NamedTuple):
    """Limits on what a folder may hold; what is past them is left out.

    Args:
        bytes: Of all files.
        series: Of all processes, as each takes memory however short its name is.
    """

    bytes: int
    series: int


State = tuple[int, ...]
_UNKNOWN, _LATER = (), -1
Lines = dict[str, list[str]]
_log = logger("peak_observe.exporter")


def label_of(process: str) -> str:
    """Return the label that tells whose line it is."""
    return label_pairs([("process", process)])


class File:
    """Snapshot file in the state in which it was last read.

    `sums` is what is added to the values of its samples. `stuck` is set when it was to be changed and could not be.
    """

    def __init__(self, path: Path, found: os.stat_result, snapshot: Snapshot, before: File | None) -> None:
        self.path = path
        self.state = _state(found)
        self.modified = found.st_mtime
        self.snapshot = snapshot
        self.stuck = False
        self._label = label_of(self.name)
        self._shown: dict[str, Lines] = {}
        if before is not None and all(now is then for now, then in zip(self.kept, before.kept, strict=True)):
            self.sums: lifetime_totals.Sum = before.sums
        else:
            self.sums = lifetime_totals.Sum(snapshot.own.shape, snapshot.earlier, snapshot.inherited)

    @property
    def header(self) -> Header:
        """Return the header: facts about the process."""
        return self.snapshot.header

    @property
    def name(self) -> str:
        """The name of the process."""
        return self.header.process

    def living(self) -> Lines:
        """Return the lines of a process that lives, by family, those of one family as one text."""
        if "living" not in self._shown:
            # Names that are ready meet values that are checked: this is done for every process at every look.
            own, values = self.snapshot.own, self.sums.values(self.snapshot.own)
            end = f",{self._label}}} "
            lines = [f"{name}{end}{value}" for name, value in zip(own.shape.prefixes, values, strict=True)]
            found = {
                metric.name: ["\n".join(lines[groups[0].start : groups[-1].start + len(groups[-1].lines)])]
                for metric, groups in own.shape.families
            }
            found |= self._labelled(self.sums.lasting(own))
            for name, rest in self._labelled(self.sums.rest).items():
                found[name] = found.get(name, []) + rest
            self._shown["living"] = found
        return self._shown["living"]

    def exemplars(self) -> dict[str, dict[str, str]]:
        """Return the exemplars of a process that lives, by family and line."""
        found: dict[str, dict[str, str]] = {}
        for line, exemplar in self.snapshot.exemplars.items():
            found.setdefault(family_of(line), {})[f"{line[:-1]},{self._label}}}"] = exemplar
        return found

    def gone(self, *, last_word: bool) -> Lines:
        """Return the lines of one that is gone, by family.

        Args:
            last_word: Whether gauges that stay true are among them.
        """
        mode = "last word" if last_word else "account"
        if mode not in self._shown:
            self._shown[mode] = self._labelled(self.samples(lives=False, last_word=last_word))
        return self._shown[mode]

    def samples(self, *, lives: bool, last_word: bool) -> dict[str, lifetime_totals.Lines]:
        """Return the samples by family and line, without the name of the process.

        Args:
            lives: Whether the process lives; all its gauges are among them then.
            last_word: Whether gauges that stay true are among those of one that is gone.
        """
        if lives:
            return lifetime_totals.total(*self.snapshot[1:4], self.sums)
        found = lifetime_totals.settled(*self.snapshot[1:4])
        if last_word:
            gauges = lifetime_totals.total(*self.snapshot[1:4])
            found |= {name: gauges[name] for name in gauges if name not in found and _stays_true(name)}
        return found

    @property
    def series(self) -> int:
        """Return how many series it has in memory."""
        return sum(len(table.values) for table in self.snapshot[1:4])

    @property
    def kept(self) -> tuple[object, ...]:
        """Return the parsed names and totals."""
        return self.snapshot.own.shape, self.snapshot.earlier, self.snapshot.inherited

    def _labelled(self, found: dict[str, lifetime_totals.Lines]) -> Lines:
        return {
            name: [f"{line[:-1]},{self._label}}} {value}" for line, value in lines.items()]
            for name, lines in found.items()
        }


def _stays_true(name: str) -> bool:
    return FAMILIES[name].kind == "gauge" and name.endswith(LAST_WORDS)


class Directory:
    """Snapshot files of a folder; invalid ones are left out and counted.

    Args:
        folder: The folder.
        limits: What it may hold; 64 MiB and 800,000 series without.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(MAX_TOTAL_BYTES, MAX_SERIES)
        self.used: dict[str, float] = dict.fromkeys(catalog.SNAPSHOT_LIMITS, 0.0)
        self.rejected = dict.fromkeys(catalog.REJECTIONS, 0)
        self.parsed = 0
        self._folder = folder
        self._files: dict[str, File | State] = {}
        self._leftovers: dict[str, list[str]] = {}  # of this look, as one for each file that is dropped takes minutes

    def look(self) -> list[File]:
        """Return the files by name, having read those that changed.

        Raises:
            OSError: The folder is there but cannot be read.
        """
        found: dict[str, File | State] = {}
        states = self._states()
        size = series = 0
        for name, state in sorted(states.items(), key=self._place):
            full = size + state[2] > self.limits.bytes or series >= self.limits.series
            found[name] = file = self._file(name, state, too_much=full)
            if isinstance(file, File):
                size, series = size + state[2], series + file.series
        self._files = found
        used = (sum(state[2] for state in states.values()) / self.limits.bytes, series / self.limits.series)
        self.used = dict(zip(catalog.SNAPSHOT_LIMITS, (*used, len(states) / MAX_FILES), strict=True))
        return sorted((file for file in found.values() if isinstance(file, File)), key=lambda file: file.name)

    def _place(self, item: tuple[str, State]) -> tuple[bool, str]:
        """Return where a file stands in the order: accounts of the dead make room for the living."""
        known = self._files.get(item[0])
        return isinstance(known, File) and known.header.state == "account", item[0].removesuffix(SUFFIX)

    def fold(self, file: File) -> None:
        """Leave nothing of a process that is gone but its account.

        Raises:
            OSError: The file cannot be changed.
        """
        header = msgspec.structs.asdict(file.header) | {"state": "account", "outcome": "", "address": ""}
        header["problems"] = {}
        made = ("snapshot", "sizes", "checksum", "exemplars")
        kept = {key: value for key, value in header.items() if key not in made}
        earlier = lifetime_totals.packed(lifetime_totals.settled(*file.snapshot[1:4]))
        with name_lock.free(name_lock.path_of(self._folder, file.name)) as free:
            found = file.path.lstat()
            if free and _state(found) == file.state:
                snapshot_file.write(file.path, snapshot_file.encode(kept, b"", earlier, b""), like=found)

    def forget(self, file: File) -> None:
        """Drop an account.

        Raises:
            OSError: The file cannot be removed.
        """
        path = name_lock.path_of(self._folder, file.name)
        with name_lock.free(path) as free:
            if free and _state(file.path.lstat()) == file.state:
                snapshot_file.remove_leftovers(file.path, self._leftovers.get(file.path.name, ()))
                file.path.unlink()
                path.unlink(missing_ok=True)

    def _states(self) -> dict[str, State]:
        try:
            with os.scandir(self._folder) as entries:
                seen = list(islice(entries, 4 * MAX_FILES))  # each has a lock, and some a temporary file
        except FileNotFoundError:
            return {}
        states: dict[str, State] = {}
        self._leftovers.clear()
        for entry in seen:
            if left := snapshot_file.left_of(entry.name):
                self._leftovers.setdefault(left, []).append(entry.name)
            if entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and len(states) < MAX_FILES:
                try:
                    states[entry.name] = _state(entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue  # it has just been dropped
        return states

    def _file(self, name: str, state: State, *, too_much: bool) -> File | State:
        known = self._files.get(name)
        waiting = (*state, _LATER)
        if too_much:  # which may be otherwise at the next look
            return waiting if known == waiting else self._reject(name, waiting, "huge", "the folder holds too much")
        if (known.state if isinstance(known, File) else known) == state:
            return known or state
        before = known if isinstance(known, File) else None
        try:
            return self._read(name, before)
        except RejectedError as error:
            return self._reject(name, state, error.reason, error.problem)
        except PermissionError as error:
            return self._reject(name, state, "unsafe", str(error))
        except OSError as error:
            # Gone at this moment, or no descriptor left: it is tried again.
            _log.debug("%s was not read: %s", self._folder / name, error)
            return before or _UNKNOWN

    def _reject(self, name: str, state: State, reason: str, problem: str) -> State:
        self.rejected[reason] += 1
        _log.warning("%s is left out (%s): %s", self._folder / name, reason, problem)
        return state

    def _read(self, name: str, before: File | None) -> File:
        path = before.path if before else self._folder / name
        content, found = snapshot_file.read(path)
        snapshot = snapshot_file.decode(content, before.snapshot if before else None)
        header = snapshot.header
        named = before is not None and header.process == before.name
        if not named and snapshot_file.path_of(self._folder, header.process) != path:
            raise RejectedError("foreign", f"it is about {header.process!r}")
        if process_identity.owner(header.identity) not in (None, 0, found.st_uid) and header.state == "running":
            raise RejectedError("unsafe", f"process {header.identity.pid} belongs to somebody else")
        self.parsed += 1
        return File(path, found, snapshot, before)


def _state(found: os.stat_result) -> State:
    # The time of its last change rather than that of its content: a file may become readable.
    return found.st_ino, found.st_ctime_ns, found.st_size
