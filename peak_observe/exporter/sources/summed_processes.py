"""Source of the processes of this host as one: a series for all of them instead of one for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from peak_observe import catalog
from peak_observe.exporter.sources import process_sum
from peak_observe.exporter.sources.process_source import DiscoveredProcesses, block, clock_offset
from peak_observe.exporter.sources.snapshot_folder import label_of
from peak_observe.support.loggers import logger
from peak_observe.telemetry.snapshot import lifetime_totals, samples, snapshot_file
from peak_observe.telemetry.snapshot.snapshot_file import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peak_observe.exporter.sources.metric_block import Block
    from peak_observe.exporter.sources.process_source import Process
    from peak_observe.exporter.sources.process_sum import Counts
    from peak_observe.exporter.sources.snapshot_folder import File
    from peak_observe.telemetry.snapshot.lifetime_totals import Lines

ALL = "_all"
"""The label `process` of all of them."""
FILE = ".sum.json"
"""File beside the snapshots with the counts of processes that have none any more."""
MOST_GONE = 20
"""Processes without a snapshot that are still told apart, as a file may come back."""
_log = logger("peak_observe.exporter")


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the file: samples as snapshots hold them."""

    ended: str
    gone: dict[str, str]


class _Told(NamedTuple):
    """What one file tells, and by which look at it."""

    of: tuple[File, bool, bool]
    found: dict[str, Lines]
    counts: Counts


class SummedProcesses(DiscoveredProcesses):
    """Source of the processes of a folder that adds up their counts, and merges their gauges.

    Args:
        folder: Where they write their snapshots; what this source has to remember is there too.
        settings: Those of the source that tells them apart.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self._path = folder / FILE
        self._totals: process_sum.Totals | None = None
        self._known: dict[str, _Told] = {}
        self._names: dict[tuple[object, ...], str] = {}  # of each life of a process
        self._dropped: set[str] = set()
        self._said = ""

    @property
    def totals(self) -> process_sum.Totals:
        """The sum, with what is known of processes without a snapshot."""
        if self._totals is None:
            self._totals = self._load()
        return self._totals

    def problems(self) -> dict[tuple[str, str], str]:
        """Return what failing checks of living processes say, of each check the first process."""
        found: dict[tuple[str, str], str] = {}
        for (process, check), message in super().problems().items():
            found.setdefault((ALL, check), f"in {process}: {message}")
        return found

    def _told(self, files: list[File], shown: dict[str, Process]) -> list[Block]:
        self._known = {file.name: self._read(file, shown.get(file.name)) for file in files}
        self._follow()
        self.totals.look({name: told.counts for name, told in self._known.items() if self._counts(name, told)})
        self._dropped.clear()
        self._save()
        found = process_sum.lines_of(self.totals.sums()) | process_sum.gauges_of(self._newest_first(files))
        living = [file for file in files if self._known[file.name].of[1]]
        furthest = max(map(clock_offset, living), key=abs, default=0.0)
        return [*_blocks(found, living), *_about(self.processes(), furthest)]

    def _counts(self, name: str, told: _Told) -> bool:
        # Of a process that is about to tell all under another name, the account of its former lives is left.
        account = told.of[0].header.state == "account"
        return name not in self._dropped and not (account and self.totals.has_more(name, told.counts))

    def _follow(self) -> None:
        """Follow processes that gave themselves another name, under which they tell all that they counted before."""
        for name, told in self._known.items():
            life = told.of[0].header.identity[:-1]
            former = self._names.get(life, name)
            left = self._known.get(former)
            if told.of[1] and former != name and not (left and left.of[1]):
                self.totals.move(former, [told.counts, *([left.counts] if left else [])])
            if told.of[1] or life not in self._names:
                self._names[life] = name
        there = self._known.keys() | self.totals.gone.keys()
        self._names = {life: name for life, name in self._names.items() if name in there}

    def _read(self, file: File, process: Process | None) -> _Told:
        of = (file, bool(process and process.up), bool(process and process.finished))
        known = self._known.get(file.name)
        if known is not None and known.of == of:
            return known
        found = file.samples(lives=of[1], last_word=of[2])
        return _Told(of, found, process_sum.counts_of(found))

    def _newest_first(self, files: list[File]) -> Iterable[dict[str, Lines]]:
        order = sorted(files, key=lambda file: (self._known[file.name].of[1], file.header.written), reverse=True)
        return (self._known[file.name].found for file in order)

    def _forget(self, file: File) -> None:
        # Before the snapshot goes: an exporter that is killed in between finds both, and adds neither twice.
        self.totals.retire(file.name, self._read(file, None).counts)
        self._save()
        self._dropped.add(file.name)
        super()._forget(file)

    def _load(self) -> process_sum.Totals:
        try:
            saved = msgspec.json.decode(snapshot_file.read(self._path)[0], type=_Saved)
            gone = {name: _counts(text) for name, text in saved.gone.items()}
            return process_sum.Totals(_counts(saved.ended), gone)
        except FileNotFoundError:
            pass
        except (OSError, RejectedError, ValueError, msgspec.MsgspecError) as error:
            _log.warning("%s is left out: %s; counts of processes that are gone begin anew", self._path, error)
        return process_sum.Totals()

    def _save(self) -> None:
        # A file that is there and cannot be read now, or is beyond a limit, may be read at the next look.
        oldest = list(self.totals.gone)[:-MOST_GONE]
        self.totals.settle([name for name in oldest if not snapshot_file.path_of(self.folder, name).exists()])
        if not self.totals.changed:
            return
        gone = {name: _packed(counts) for name, counts in self.totals.gone.items()}
        try:
            snapshot_file.write(self._path, msgspec.json.encode(_Saved(_packed(self.totals.ended), gone)))
        except OSError as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.warning("%s cannot be written, and sums may fall when the exporter begins anew: %s", FILE, error)
        else:
            self.totals.changed, self._said = False, ""


def _packed(counts: Counts) -> str:
    return lifetime_totals.packed(process_sum.lines_of(counts)).decode()


def _counts(text: str) -> Counts:
    return process_sum.counts_in(samples.read(text.encode()))


def _blocks(found: dict[str, Lines], living: list[File]) -> list[Block]:
    end = f",{label_of(ALL)}}}"
    newest = process_sum.newest(file.snapshot.exemplars for file in living)
    exemplars: dict[str, dict[str, str]] = {}
    for line, exemplar in newest.items():
        exemplars.setdefault(samples.family_of(line), {})[f"{line[:-1]}{end}"] = exemplar
    return [
        block(metric, [f"{line[:-1]}{end} {value}" for line, value in found[metric.name].items()])._replace(
            exemplars=exemplars.get(metric.name, {})
        )
        for metric in catalog.IN_PROCESS
        if found.get(metric.name)
    ]


def _about(processes: list[Process], offset: float) -> list[Block]:
    """Return whether none has died, the age of the oldest snapshot of those that live, and how far a clock is off."""
    ages = [process.age for process in processes if process.up]
    died = any(process.state == "died" for process in processes)
    facts = {
        catalog.PROCESS_UP: [float(not died)] if processes else [],
        catalog.PROCESS_SNAPSHOT_AGE_SECONDS: [max(ages)] if ages else [],
        catalog.PROCESS_CLOCK_OFFSET_SECONDS: [offset] if processes else [],
    }
    label = f"{{{label_of(ALL)}}}"
    return [block(metric, [f"{metric.name}{label} {value!r}" for value in values]) for metric, values in facts.items()]
