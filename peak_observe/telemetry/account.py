"""What several lives of one process add up to: counters never fall, gauges end with the life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.telemetry import samples
from peak_observe.telemetry.families import number
from peak_observe.telemetry.samples import EMPTY, FAMILIES, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 20_000
"""Lines that an account may have; past it, it forgets what the last life did not use."""

# What is kept on the disk counts all lives already.
DURABLE = {catalog.BACKUP_RUNS_TOTAL.name, catalog.BACKUP_RESTORES_TOTAL.name}
# A job's last word is about its runs, of which most are lives of their own.
DATES = {catalog.JOB_LAST_SUCCESS_TIMESTAMP_SECONDS.name, catalog.JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS.name}
LASTING = DATES | {catalog.JOB_LAST_DURATION_SECONDS.name}

Lines = dict[str, str]
Group = tuple[tuple[str, ...], list[str]]


def total(own: Table, earlier: Table, inherited: Table = EMPTY) -> dict[str, Lines]:
    """Return the samples of a process by family: gauges as they are, counts since its first life.

    Args:
        own: What it tells now.
        earlier: The account of the lives before.
        inherited: What it told at its birth, as the fork of another process, or under its former name.
    """
    if earlier is EMPTY and inherited is EMPTY:
        return {name: _flat(groups) for name, groups in own.groups().items()}
    now, before, born = own.groups(), earlier.groups(), inherited.groups()
    return {
        name: _flat(_merged(name, now.get(name, {}), before.get(name, {}), born.get(name, {})))
        for name in FAMILIES
        if name in now or name in before
    }


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


def _flat(groups: Mapping[str, Group]) -> Lines:
    return {line: value for lines, values in groups.values() for line, value in zip(lines, values, strict=True)}


def _merged(
    name: str,
    now: Mapping[str, Group],
    before: Mapping[str, Group],
    born: Mapping[str, Group],
) -> dict[str, Group]:
    if name in DURABLE | DATES:
        return _latest(now, before, {} if name in DURABLE else born)
    if name in LASTING:
        return {**before, **{key: group for key, group in now.items() if born.get(key) != group}}
    if FAMILIES[name].kind == "gauge":
        return dict(now)
    counted = {key: _plus(group, born.get(key), -1.0) for key, group in now.items()}
    summed = {key: _plus(group, before.get(key), 1.0) for key, group in counted.items()}
    return {**summed, **{key: group for key, group in before.items() if key not in summed}}


def _latest(now: Mapping[str, Group], before: Mapping[str, Group], born: Mapping[str, Group]) -> dict[str, Group]:
    found = dict(before)
    for key, group in now.items():
        if born.get(key) != group and (key not in found or float(group[1][0]) >= float(found[key][1][0])):
            found[key] = group
    return found


def _plus(group: Group, other: Group | None, sign: float) -> Group:
    # A histogram whose buckets are others now cannot be added to: it begins anew, as Prometheus will notice.
    if other is None or other[0] != group[0]:
        return group
    sums = [max(0.0, float(a) + sign * float(b)) for a, b in zip(group[1], other[1], strict=True)]
    return group[0], [number(value) for value in sums]


def _interrupt(found: dict[str, Lines]) -> None:
    """Count the runs of jobs that were under way."""
    runs = found.get(catalog.JOB_RUNS_TOTAL.name, {})
    for line, since in found.get(catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS.name, {}).items():
        counter = f'{catalog.JOB_RUNS_TOTAL.name}{{outcome="interrupted",{line.partition("{")[2]}'
        if float(since) > 0 and counter in runs:
            runs[counter] = number(float(runs[counter]) + 1.0)
