"""Source of the processes of this host: their snapshots, which ones died, and the totals over all their lives.

Only what changed since the last look is read. Nothing is remembered that is not in the folder: an exporter that begins
anew, or is killed at any moment, finds every count where it was.
"""

from __future__ import annotations

import threading
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.exporter.sources import own_addresses
from peak_observe.exporter.sources.metric_block import Block, JoinedLines
from peak_observe.exporter.sources.snapshot_folder import Directory, File, Limits
from peak_observe.support.loggers import logger
from peak_observe.support.redact import redact_line
from peak_observe.telemetry.metrics.text_format import sample_line
from peak_observe.telemetry.snapshot import name_lock, process_identity, snapshot_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


CRASH_RETAIN = 900.0
"""Seconds for which something that did not end well is shown as gone."""
FORGET = 30 * 86_400.0
"""Seconds after which the account of a process that never came back is dropped."""
MAX_ACCOUNTS = 200
"""Accounts of processes that are gone, by default: a job whose name has its date in it leaves one a day."""
MAX_GONE = 1_000
"""Processes that are shown as gone, or with their last word; the oldest of more become accounts at once."""

_log = logger("peak_observe.exporter")


class Process(NamedTuple):
    """Process of this host that lives, or died recently.

    Args:
        name: Its name, the label `process`.
        pid: Its pid, in its own namespace.
        state: `running`, `ended` in order, or `died`.
        started: Unix time at which it began.
        age: Seconds since its last snapshot.
        outcome: How the last run of a job in it ended: `success`, `failed`, `interrupted`; empty without one.
        address: Where it serves its metrics itself, as host:port; empty if it does not.
        written: Unix time of its last snapshot.
    """

    name: str
    pid: int
    state: str
    started: float
    age: float
    outcome: str
    address: str
    written: float

    @property
    def up(self) -> bool:
        """Return whether the process is alive."""
        return self.state == "running"

    @property
    def ended(self) -> bool:
        """Return whether it ended in good order."""
        return self.state == "ended"

    @property
    def finished(self) -> bool:
        """Return whether it is a job that ended in good order."""
        return self.ended and self.outcome != ""


class _Noticed(NamedTuple):
    """State of a file that another host wrote: its time by that host's disk, when it was noticed here, and its age."""

    modified: float
    at: float
    age: float


class ProcessDirectory:
    """Source of the snapshots of this host's processes.

    Args:
        folder: Where they write their snapshots; may not exist yet.
        interval: Seconds between two looks, for whoever calls `collect`.
        retain: Seconds for which the last word of a job that ended well is kept; for all else that is gone it is this
            or 15 minutes, whatever is less. Counts, and what is known of the runs of jobs, stay.
        limits: What the folder may hold; 64 MiB and 800,000 series without.
        max_accounts: How many processes that are gone keep their counts; the oldest of more are forgotten.
        clock: Where time comes from.
    """

    name = "processes"

    def __init__(
        self,
        folder: Path,
        *,
        interval: float = 5.0,
        retain: float = 86_400.0,
        limits: Limits | None = None,
        max_accounts: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.folder = folder
        self.interval = interval
        self.retain = retain
        self._clock = clock
        self._max_accounts = MAX_ACCOUNTS if max_accounts is None else max_accounts
        self._directory = Directory(folder, limits)
        self._processes: list[Process] = []
        self._problems: dict[tuple[str, str], str] = {}
        self._noticed: dict[str, _Noticed] = {}
        self._lock = threading.Lock()

    def collect(self) -> list[Block]:
        """Return what all processes tell, each line with the name of its process.

        Raises:
            OSError: The folder is there but cannot be read.
        """
        with self._lock:
            files = self._directory.look()
            self._noticed = {file.name: self._noticed[file.name] for file in files if file.name in self._noticed}
            processes = {file.name: self._process(file) for file in files if file.header.state != "account"}
            shown = self._shown(processes)
            self._processes = list(shown.values())
            self._problems = _problems(files, shown)
            self._tidy([file for file in files if file.name not in shown])
            return [
                *self._told(files, shown),
                _by(catalog.PROCESS_SNAPSHOTS_REJECTED_TOTAL, self._directory.rejected),
            ]

    def _told(self, files: list[File], shown: dict[str, Process]) -> list[Block]:
        """Return what processes tell, and what is told of them."""
        offsets = {file.name: clock_offset(file) for file in files}
        return [*_merged(files, shown), *_about(self._processes), _by(catalog.PROCESS_CLOCK_OFFSET_SECONDS, offsets)]

    @property
    def parsed(self) -> int:
        """Return how many files were parsed so far; unchanged files are not parsed again."""
        return self._directory.parsed

    def processes(self) -> list[Process]:
        """Return the processes as of the last look, by name."""
        return self._processes

    def problems(self) -> dict[tuple[str, str], str]:
        """Return what failing checks of living processes say, by process and check."""
        return self._problems

    def targets(self) -> list[str]:
        """Return host:port of each living process that serves its metrics itself."""
        return [process.address for process in self._processes if process.up and process.address]

    def _process(self, file: File) -> Process:
        header, age = file.header, self._age(file)
        died = header.state == "running" and not self._lives(file, age)
        state = "died" if died else header.state
        pid = header.identity.pid
        facts = (header.started, age, header.outcome, header.address, header.written)
        return Process(file.name, pid, state, *facts)

    def _lives(self, file: File, age: float) -> bool:
        header = file.header
        held = name_lock.is_held(name_lock.path_of(self.folder, file.name)) if header.locked else None
        if held is None:
            return process_identity.lives(header.identity, age, header.interval, header.clock)
        # Anybody may lock a file that he can read, but cannot revive a process that is seen to be gone.
        return held and not process_identity.is_gone(header.identity, header.clock)

    def _age(self, file: File) -> float:
        told = snapshot_file.age(file.header, file.modified, self._clock)
        if snapshot_file.has_our_clock(file.header):
            return told
        # The clock of another host's disk may be off by hours: what has changed since the last look is new.
        now, before = self._clock.monotonic(), self._noticed.get(file.name)
        if before is None or before.modified != file.modified:
            before = self._noticed[file.name] = _Noticed(file.modified, now, 0.0 if before else told)
        return before.age + now - before.at

    def _shown(self, processes: dict[str, Process]) -> dict[str, Process]:
        shown = {name: process for name, process in processes.items() if process.age <= self._patience(process)}
        gone = sorted((process for process in shown.values() if not process.up), key=lambda process: process.age)
        for process in gone[MAX_GONE:]:
            del shown[process.name]
        return shown

    def _patience(self, process: Process) -> float:
        if process.up:
            return float("inf")
        return self.retain if process.finished and process.outcome == "success" else min(self.retain, CRASH_RETAIN)

    def _tidy(self, files: list[File]) -> None:
        """Fold what was shown long enough into accounts, and drop accounts that nobody came back for."""
        accounts = sorted((file for file in files if file.header.state == "account"), key=self._age)
        for place, file in enumerate(accounts):
            if place >= self._max_accounts or self._age(file) > FORGET:
                self._attempt(file, self._forget)
        for file in files:
            if file.header.state != "account":
                self._attempt(file, self._directory.fold)

    def _forget(self, file: File) -> None:
        self._directory.forget(file)

    def _attempt(self, file: File, change: Callable[[File], None]) -> None:
        if file.stuck:
            return
        try:
            change(file)
        except FileNotFoundError:
            return  # another exporter was faster
        except OSError as error:
            file.stuck = True
            _log.warning("%s stays as it is: %s", file.path, error)

    @property
    def used(self) -> dict[str, float]:
        """Return the share of each limit that the folder uses."""
        return self._directory.used


def clock_offset(file: File) -> float:
    """Return the seconds by which the clock of a process is ahead of the clock here."""
    return snapshot_file.clock_offset(file.header, file.modified)


def _merged(files: Iterable[File], shown: dict[str, Process]) -> list[Block]:
    lines: dict[str, list[str]] = {}
    exemplars: dict[str, dict[str, str]] = {}
    for file in files:
        process = shown.get(file.name)
        found = file.living() if process and process.up else file.gone(last_word=bool(process and process.finished))
        for name, part in found.items():
            lines.setdefault(name, []).extend(part)
        for name, some in (file.exemplars() if process and process.up else {}).items():
            exemplars.setdefault(name, {}).update(some)
    return [
        block(metric, JoinedLines(lines[metric.name]))._replace(exemplars=exemplars.get(metric.name, {}))
        for metric in catalog.IN_PROCESS
        if lines.get(metric.name)
    ]


def _problems(files: Iterable[File], shown: dict[str, Process]) -> dict[tuple[str, str], str]:
    living = [file for file in files if file.name in shown and shown[file.name].up]
    # Anybody who may write into the folder may have written this.
    return {
        (file.name, check): redact_line(message) for file in living for check, message in file.header.problems.items()
    }


def _about(processes: Iterable[Process]) -> list[Block]:
    present: list[Process] = []
    ended: list[Process] = []
    for process in processes:
        (ended if process.ended else present).append(process)
    facts = {
        catalog.PROCESS_UP: ("up", present),
        catalog.PROCESS_START_TIME_SECONDS: ("started", present),
        catalog.PROCESS_SNAPSHOT_AGE_SECONDS: ("age", present),
        catalog.PROCESS_ENDED_TIMESTAMP_SECONDS: ("written", ended),
    }
    return [
        block(metric, [sample_line(metric.name, [("process", one.name)], attrgetter(fact)(one)) for one in found])
        for metric, (fact, found) in facts.items()
    ]


def _by(metric: catalog.Metric, values: Mapping[str, float]) -> Block:
    """Return a family of one label by its values."""
    (label,) = metric.labels
    return block(metric, [sample_line(metric.name, [(label, key)], value) for key, value in values.items()])


def block(metric: catalog.Metric, lines: Sequence[str]) -> Block:
    """Return a family with its lines."""
    return Block(metric.name, metric.kind, metric.help, lines)


class DiscoveredProcesses(ProcessDirectory):
    """Source of processes found by their snapshots, with the addresses of those that serve themselves.

    Whoever may write into the folder could send Prometheus anywhere, so only addresses of this host are passed on.

    Args:
        folder: Where they write their snapshots.
        foreign_addresses: Whether addresses of other hosts, such as containers, are passed on too.
        settings: Those of every folder of processes.
    """

    addresses: tuple[str, ...] = ()
    """Host and port of those that serve themselves."""

    def __init__(self, folder: Path, *, foreign_addresses: bool = False, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self._foreign = foreign_addresses

    def collect(self) -> list[Block]:
        """Return what they tell."""
        found = [*super().collect(), _by(catalog.PROCESS_SNAPSHOTS_USED_RATIO, self.used)]
        self.addresses = tuple(target for target in self.targets() if self._foreign or own_addresses.is_own(target))
        return found
