"""Samples in snapshots, checked strictly enough to be served beside anybody's metrics.

What is known is a family of the catalogue with just its labels; a histogram is whole and in order; a count is a finite
number. Names stand before values, as the names of a process hardly ever change: they are checked once, and after that
compared as one.
"""

from __future__ import annotations

import re
from array import array
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from peak_observe import catalog
from peak_observe.telemetry.metrics.text_format import number

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from peak_observe.catalog import Metric

MAX_LINES = 200_000
FAMILIES = {metric.name: metric for metric in catalog.IN_PROCESS}
_BETWEEN = b"\n\n"
_SUFFIXES = ("_bucket", "_count", "_sum")
_OF_SAMPLE = {
    metric.name + suffix: metric
    for metric in catalog.IN_PROCESS
    for suffix in (_SUFFIXES if metric.kind == "histogram" else ("",))
}
_PAIR = r'[a-z_]+="(?:[^"\\\n]|\\[\\n"])*"'
_LABELS = re.compile(rf"\{{({_PAIR}(?:,{_PAIR})*)\}}")
_ONE = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\n"])*)"')
_NUMBER = re.compile(r"(?:-?[0-9]{1,25}(?:\.[0-9]{1,25})?(?:e[+-]?[0-9]{1,3})?)|NaN|[+-]Inf")
_MARK = b' # {span_id="'
_IDS = r'\{span_id="[0-9a-f]{16}",trace_id="[0-9a-f]{32}"\} [0-9.e+-]{1,30} [0-9.e+]{1,30}'
_EXEMPLAR_OF_LINE = re.compile(f" # ({_IDS})$".encode())
_EXEMPLAR = re.compile(f"([0-9]{{1,6}}) ({_IDS})")
_ENDLESS = {"NaN", "+Inf", "-Inf"}


class InvalidError(ValueError):
    """Sample lines that no process of ours writes."""


class Group(NamedTuple):
    """Lines of one family that belong together: one, or those of one histogram.

    Args:
        lines: Sample names with their labels.
        start: Where in the table they begin.
    """

    lines: tuple[str, ...]
    start: int

    @property
    def key(self) -> str:
        """Return the line that identifies it in its family; of a histogram, the line of its count."""
        return self.lines[-2] if len(self.lines) > 1 else self.lines[0]


class Shape:
    """Names of all samples with their labels, checked.

    Args:
        names: One a line, in order.

    Raises:
        ValueError: They are not what a process of ours writes.
    """

    def __init__(self, names: bytes) -> None:
        # Not splitlines(): a name may hold a character that it takes for a line's end.
        lines = names.decode().split("\n") if names else []
        if len(set(lines)) != len(lines):
            raise InvalidError("a line is there twice")
        self.names = names
        self.lines = lines
        self.prefixes = [line[:-1] for line in lines]
        self.families: list[tuple[Metric, list[Group]]] = []
        at = 0
        while at < len(lines):
            metric, stop = _run(lines, at)
            groups = _histograms if metric.kind == "histogram" else _singles
            self.families.append((metric, list(groups(lines, at, stop, metric))))
            at = stop
        if len({metric.name for metric, _ in self.families}) != len(self.families):
            raise InvalidError("a family in two places")


class Table(NamedTuple):
    """Samples: their shape, and their values as text and as numbers in the same order."""

    shape: Shape
    values: list[str]
    numbers: Sequence[float]

    def groups(self, chosen: Container[str] = FAMILIES) -> dict[str, dict[str, tuple[tuple[str, ...], list[str]]]]:
        """Return lines and values by family, of those chosen, and by the key of their group."""
        return {
            metric.name: {
                group.key: (group.lines, self.values[group.start : group.start + len(group.lines)]) for group in groups
            }
            for metric, groups in self.shape.families
            if metric.name in chosen
        }


EMPTY = Table(Shape(b""), [], [])
_shapes: WeakValueDictionary[bytes, Shape] = WeakValueDictionary()


def packed(text: bytes) -> bytes:
    """Return sample lines as snapshots hold them; comments are left out."""
    pairs = [line.rpartition(b" ") for line in text.split(b"\n") if line and not line.startswith(b"#")]
    if not pairs:
        return b""
    return b"\n".join([pair[0] for pair in pairs]) + _BETWEEN + b"\n".join([pair[2] for pair in pairs])


def without_exemplars(text: bytes) -> tuple[bytes, bytes]:
    """Return sample lines in the OpenMetrics format without their exemplars, and these as snapshots hold them.

    Each is on a line of its own, after the number of its sample.
    """
    if _MARK not in text:
        return text, b""
    lines = [line for line in text.split(b"\n") if line and not line.startswith(b"#")]
    found = [_EXEMPLAR_OF_LINE.search(line) for line in lines]
    plain = b"\n".join([one.string[: one.start()] if one else line for one, line in zip(found, lines, strict=True)])
    return plain, b"\n".join([b"%d %s" % (at, one[1]) for at, one in enumerate(found) if one])


def read_exemplars(part: bytes, table: Table) -> dict[str, str]:
    """Return the exemplars of a part of a snapshot by the lines that they belong to.

    Raises:
        ValueError: Something in it is not what a process of ours writes.
    """
    lines, exemplars = table.shape.lines, {}
    for line in part.decode("ascii").split("\n") if part else ():
        found = _EXEMPLAR.fullmatch(line)
        at = int(found[1]) if found else len(lines)
        if not found or at >= len(lines) or not _has_exemplars(lines[at]):
            raise InvalidError(f"exemplar {line[:80]!r}")
        exemplars[lines[at]] = found[2]
    return exemplars


def _has_exemplars(line: str) -> bool:
    name = line.partition("{")[0]
    return _metric(line).kind == "counter" or name.endswith("_bucket")


def read(part: bytes, before: Table = EMPTY) -> Table:
    """Return the samples of a part of a snapshot.

    Args:
        part: What `packed` returned.
        before: What an earlier state of the same part gave.

    Raises:
        ValueError: Something in it is not what a process of ours writes.
    """
    if not part:
        return EMPTY
    shape, start = before.shape, len(before.shape.names)
    if not part.startswith(shape.names) or not part.startswith(_BETWEEN, start):
        if part.count(b"\n") > 2 * MAX_LINES:
            raise InvalidError("too many lines")
        start = part.find(_BETWEEN)
        shape = _shape(part[: max(start, 0)])
    found: dict[str, str] = {}  # most values are equal, such as 0.0
    values = [found.setdefault(value, value) for value in part[start + len(_BETWEEN) :].decode("ascii").split("\n")]
    if len(values) != len(shape.lines):
        raise InvalidError("not as many values as names")
    for value in found.keys() - set(before.values):
        if not _NUMBER.fullmatch(value) or not (value in _ENDLESS or isfinite(float(value))):
            raise InvalidError(f"{value[:40]!r} is no number")
    parsed = {value: float(value) for value in found}
    numbers = array("d", map(parsed.__getitem__, values))
    for metric, groups in shape.families:
        if metric.kind != "gauge":
            _check_counts(metric, groups, numbers)
    return Table(shape, values, numbers)


def _shape(names: bytes) -> Shape:
    """Return the shape of names, the same for all processes that tell the same."""
    shape = _shapes.get(names)
    if shape is None:
        shape = _shapes[names] = Shape(names)
    return shape


def family_of(line: str) -> str:
    """Return the name of the family of a line.

    Raises:
        InvalidError: There is no such metric.
    """
    return _metric(line).name


def labels(line: str) -> list[tuple[str, str]]:
    """Return the labels of a line, values as they are written.

    Raises:
        InvalidError: They are malformed.
    """
    found = _LABELS.fullmatch(line, line.find("{"))
    if not found:
        raise InvalidError(f"labels of {line[:80]!r}")
    return _ONE.findall(found[1])


def _run(lines: list[str], start: int) -> tuple[Metric, int]:
    """Return the family that begins at a line, and where it ends."""
    metric = _metric(lines[start])
    stop = start + 1
    while stop < len(lines) and _OF_SAMPLE.get(lines[stop].partition("{")[0]) is metric:
        stop += 1
    return metric, stop


def _metric(line: str) -> Metric:
    metric = _OF_SAMPLE.get(line.partition("{")[0])
    if metric is None:
        raise InvalidError(f"no metric of a process: {line[:80]!r}")
    return metric


def _singles(lines: list[str], start: int, stop: int, metric: Metric) -> Iterator[Group]:
    expected = sorted(metric.labels)
    for at in range(start, stop):
        if [name for name, _ in labels(lines[at])] != expected:
            raise InvalidError(f"labels of {lines[at][:80]!r}")
        yield Group((lines[at],), at)


def _histograms(lines: list[str], start: int, stop: int, metric: Metric) -> Iterator[Group]:
    at = start
    while at < stop:
        inf = next((i for i in range(at, stop) if lines[i].endswith(',le="+Inf"}')), stop)
        group = Group(tuple(lines[at : inf + 3]), at)
        if list(group.lines) != _expected(metric, group.lines):
            raise InvalidError(f"histogram at {lines[at][:80]!r}")
        yield group
        at = inf + 3


def _expected(metric: Metric, group: tuple[str, ...]) -> list[str]:
    """Return the lines of a histogram with the labels and bounds that a group names."""
    named = [labels(line) for line in group[:-2]]
    first = named[0][:-1] if named else []
    bounds = [pairs[-1][1] for pairs in named]
    if [name for name, _ in first] != sorted(metric.labels) or not _rising(bounds):
        return []
    # Values are compared as they are written, so nothing is escaped here.
    plain = ",".join(f'{name}="{value}"' for name, value in first)
    buckets = [f'{metric.name}_bucket{{{plain},le="{bound}"}}' for bound in bounds]
    return [*buckets, f"{metric.name}_count{{{plain}}}", f"{metric.name}_sum{{{plain}}}"]


def _rising(bounds: list[str]) -> bool:
    if bounds[-1:] != ["+Inf"] or not all(map(_NUMBER.fullmatch, bounds)):
        return False
    numbers = [float(bound) for bound in bounds]
    return all(a < b for a, b in pairwise(numbers)) and [*map(number, numbers)] == bounds


def _check_counts(metric: Metric, groups: list[Group], numbers: array[float]) -> None:
    counts = numbers[groups[0].start : groups[-1].start + len(groups[-1].lines)]
    if min(counts) < 0 or not isfinite(sum(counts)):
        raise InvalidError(f"{metric.name} has what is no count")
    if metric.kind != "histogram":
        return
    for group in groups:
        count = group.start + len(group.lines) - 2
        buckets = numbers[group.start : count]
        if buckets[-1] != numbers[count] or sorted(buckets) != buckets.tolist():
            raise InvalidError(f"buckets of {group.key[:80]!r}")
