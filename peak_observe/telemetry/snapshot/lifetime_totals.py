"""Accumulate counters across restarts of a named process; gauges end with each life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.telemetry.metrics.text_format import MILLION, number
from peak_observe.telemetry.snapshot import samples
from peak_observe.telemetry.snapshot.samples import EMPTY, FAMILIES, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peak_observe.telemetry.snapshot.samples import Shape

LIMIT = 20_000
"""Lines that an account may have; past it, it forgets what the last life did not use."""

# What is kept on the disk counts all lives already.
DURABLE = {catalog.BACKUP_RUNS_TOTAL.name, catalog.BACKUP_RESTORES_TOTAL.name}
# A job's last word is about its runs, of which most are lives of their own.
DATES = {catalog.JOB_LAST_SUCCESS_TIMESTAMP_SECONDS.name, catalog.JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS.name}
LASTING = DATES | {catalog.JOB_LAST_DURATION_SECONDS.name, catalog.JOB_MAX_AGE_SECONDS.name}
LATEST = DURABLE | LASTING

Lines = dict[str, str]
Group = tuple[tuple[str, ...], list[str]]


class Sum:
    """Totals to add to the samples of a process; valid while the names of its samples stay the same.

    Args:
        own: The names of what it tells now.
        earlier: The account of the lives before.
        inherited: What it told at its birth, as the fork of another process, or under its former name.
    """

    def __init__(self, own: Shape, earlier: Table, inherited: Table) -> None:
        self._earlier, self._inherited = earlier.groups(), inherited.groups()
        self._offsets: dict[int, float] = {}
        counted = {metric.name: groups for metric, groups in own.families if _is_counted(metric.name)}
        for name, groups in counted.items():
            for group in groups:
                self._add(group, self._earlier.get(name, {}).get(group.key), 1.0)
                self._add(group, self._inherited.get(name, {}).get(group.key), -1.0)
        self.rest = {
            name: rest
            for name, before in self._earlier.items()
            if _is_counted(name) and (rest := _without({group.key for group in counted.get(name, ())}, before))
        }
        """What only earlier lives counted."""

    def values(self, own: Table) -> list[str]:
        """Return the values of what the process tells, its counts since its first life."""
        values = own.values.copy()
        for at, offset in self._offsets.items():
            value = own.numbers[at] + offset
            values[at] = repr(value) if 0.0 <= value < MILLION else number(max(0.0, value))
        return values

    def lasting(self, own: Table) -> dict[str, Lines]:
        """Return what is not added up, but lasts over lives."""
        now = own.groups(LATEST) if self._earlier or self._inherited else {}
        return {
            name: _flat(_latest(name, now.get(name, {}), self._earlier.get(name, {}), self._inherited.get(name, {})))
            for name in LATEST
            if name in now or name in self._earlier
        }

    def _add(self, group: samples.Group, other: Group | None, sign: float) -> None:
        # A histogram whose buckets are others now cannot be added to: it begins anew, as Prometheus will notice.
        if other is not None and other[0] == group.lines:
            for at, amount in enumerate(map(float, other[1]), start=group.start):
                if amount:
                    self._offsets[at] = self._offsets.get(at, 0.0) + sign * amount


def total(own: Table, earlier: Table, inherited: Table = EMPTY, sums: Sum | None = None) -> dict[str, Lines]:
    """Return the samples of a process by family: gauges as they are, counts since its first life."""
    sums = sums or Sum(own.shape, earlier, inherited)
    values = Table(own.shape, sums.values(own), [])
    found = {name: _flat(groups) for name, groups in values.groups().items()} | sums.lasting(own)
    for name, rest in sums.rest.items():
        found[name] = found.get(name, {}) | rest
    return found


def settled(own: Table, earlier: Table, inherited: Table = EMPTY) -> dict[str, Lines]:
    """Return the account of a process whose life has ended: its counts, and what is known of its jobs."""
    found = total(own, earlier, inherited)
    if sum(map(len, found.values())) > LIMIT and earlier is not EMPTY:
        return settled(own, EMPTY, inherited)
    _interrupt(found)
    return {name: lines for name, lines in found.items() if FAMILIES[name].kind != "gauge" or name in LASTING}


def packed(found: Mapping[str, Lines]) -> bytes:
    """Return samples as snapshots hold them."""
    text = "".join([f"{line} {value}\n" for lines in found.values() for line, value in lines.items()])
    return samples.packed(text.encode())


def _is_counted(name: str) -> bool:
    return FAMILIES[name].kind != "gauge" and name not in DURABLE


def _flat(groups: Mapping[str, Group]) -> Lines:
    return {line: value for lines, values in groups.values() for line, value in zip(lines, values, strict=True)}


def _without(keys: set[str], groups: Mapping[str, Group]) -> Lines:
    return _flat({key: group for key, group in groups.items() if key not in keys})


def _latest(
    name: str,
    now: Mapping[str, Group],
    before: Mapping[str, Group],
    born: Mapping[str, Group],
) -> dict[str, Group]:
    """Return the later of two dates, the higher of two counts on the disk, and else what was told last."""
    found = dict(before)
    for key, group in now.items():
        if name not in DURABLE and born.get(key) == group:
            continue
        if name not in DATES | DURABLE or key not in found or float(group[1][0]) >= float(found[key][1][0]):
            found[key] = group
    return found


def _interrupt(found: dict[str, Lines]) -> None:
    """Count the runs of jobs that were under way."""
    runs = found.get(catalog.JOB_RUNS_TOTAL.name, {})
    for line, since in found.get(catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS.name, {}).items():
        counter = f'{catalog.JOB_RUNS_TOTAL.name}{{outcome="interrupted",{line.partition("{")[2]}'
        if float(since) > 0 and counter in runs:
            runs[counter] = number(float(runs[counter]) + 1.0)
