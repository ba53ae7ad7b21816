"""Renderer of our own families straight to text, in the Prometheus and the OpenMetrics format.

Labels are sorted and escaped once, when a name is new; a scrape fills numbers into ready lines and keeps the lines
and families whose numbers did not change. The bytes are those that prometheus_client makes of the same samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.telemetry.metrics import primitive_families
from peak_observe.telemetry.metrics.text_format import header, is_chosen, number, numbers, sample_line, series_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from peak_observe.measures import Exemplar
    from peak_observe.telemetry.metrics.family import Family, Labels, Readings


class _Lines:
    """Lines of one name in one family: prefixes made once, and the text of the last scrape."""

    __slots__ = ("rows", "template", "text")

    def __init__(self, rows: list[tuple[str, Labels]]) -> None:
        self.rows = len(rows)
        self.template = "".join(f"{series_line(*row).replace('%', '%%')} %s\n" for row in rows)
        self.text = ""


class _Name:
    """Lines of one name in all its families."""

    __slots__ = ("lines", "reading")

    def __init__(self, families_of_kind: Sequence[Family], name: str, reading: Any) -> None:
        self.reading = reading
        self.lines = [_Lines(family.rows(name, reading)) for family in families_of_kind]
        for index in range(len(families_of_kind)):
            self._fill(index, families_of_kind[index], name)

    def update(self, kind: _Kind, name: str, reading: Any, changed: set[int]) -> None:
        """Fill in a new reading, where something happened since the last one or time alone changes the values."""
        since = reading.since(self.reading)
        self.reading = reading
        for index, family in kind.families if True in since else kind.timed:
            if family.follows is None or since[family.follows]:
                self._fill(index, family, name)
                changed.add(index)

    def _fill(self, index: int, family: Family, name: str) -> None:
        values = family.values(self.reading)
        lines = self.lines[index]
        # Of a name only the exception classes can change, and they only grow in number.
        if len(values) != lines.rows:
            lines = self.lines[index] = _Lines(family.rows(name, self.reading))
        lines.text = lines.template % numbers(values)


class _Kind:
    """Families of one kind of primitive, each with its text since its last change.

    Attributes:
        families: The families, each with its number.
        timed: Those of them whose values time alone changes.
    """

    def __init__(self, families_of_kind: Sequence[Family]) -> None:
        self._families = families_of_kind
        self.families = list(enumerate(families_of_kind))
        self.timed = [(index, family) for index, family in self.families if family.follows is None]
        self._known: dict[str, _Name] = {}
        self._names: list[_Name] = []
        self._texts = [b""] * len(families_of_kind)

    def update(self, readings: Readings) -> None:
        """Take in the readings of one scrape."""
        changed: set[int] = set()
        names = []
        for name, reading in readings:
            found = self._known.get(name)
            if found is None:
                found = self._known[name] = _Name(self._families, name, reading)
            else:
                found.update(self, name, reading, changed)
            names.append(found)
        if names != self._names:
            self._names = names
            if len(names) < len(self._known):  # some names are gone
                kept = {name for name, _ in readings}
                self._known = {name: lines for name, lines in self._known.items() if name in kept}
            changed.update(range(len(self._families)))
        for index in changed:
            self._texts[index] = "".join([name.lines[index].text for name in names]).encode()

    def write(self, parts: list[bytes], *, openmetrics: bool, names: Collection[str]) -> None:
        """Append the text of all families, or of those that one of the names means."""
        for index, family in self.families:
            if not is_chosen(family.metric.name, family.metric.kind, names):
                continue
            parts.append(_header(family.metric, openmetrics=openmetrics))
            exemplars = [family.exemplars(name.reading) for name in self._names] if family.exemplars else []
            if openmetrics and any(exemplars):
                pairs = zip(self._names, exemplars, strict=True)
                parts.append("".join([_with_exemplars(name.lines[index], found) for name, found in pairs]).encode())
            else:
                parts.append(self._texts[index])


class Renderer:
    """Renderer of this process's metrics, with a cache from scrape to scrape; for one thread at a time.

    Args:
        start_time: Whether it tells when the process began, and its time, which a snapshot has in its header.
    """

    def __init__(self, *, start_time: bool = True) -> None:
        self._told = None if start_time else 1
        self._kinds: dict[str, _Kind] = {}

    def render(self, *, openmetrics: bool = False, names: Collection[str] = ()) -> bytes:
        """Return all families, or those that one of the names means, with exemplars in the OpenMetrics format."""
        parts: list[bytes] = []
        for families_of_kind, readings in primitive_families.read():
            first = families_of_kind[0].metric.name
            kind = self._kinds.setdefault(first, _Kind(families_of_kind))
            kind.update(readings)
            kind.write(parts, openmetrics=openmetrics, names=names)
        for metric, labels, value in primitive_families.about_process()[: self._told]:
            if is_chosen(metric.name, "gauge", names):
                parts.append(_header(metric, openmetrics=openmetrics))
                parts.append(f"{sample_line(metric.name, labels, value)}\n".encode())
        return b"".join(parts)


def _header(metric: catalog.Metric, *, openmetrics: bool) -> bytes:
    return header(metric.name, metric.kind, metric.help, openmetrics=openmetrics)


def _with_exemplars(lines: _Lines, exemplars: Mapping[int, Exemplar]) -> str:
    if not exemplars:
        return lines.text
    texts = lines.text.split("\n")  # not splitlines(): a name may hold a character that it takes for a line's end
    for index, exemplar in exemplars.items():
        texts[index] += _exemplar(exemplar)
    return "\n".join(texts)


def _exemplar(exemplar: Exemplar) -> str:
    ids = f'span_id="{exemplar.span_id}",trace_id="{exemplar.trace_id}"'
    return f" # {{{ids}}} {number(exemplar.value)} {exemplar.timestamp}"
