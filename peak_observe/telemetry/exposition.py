"""Our own families straight to text, in the Prometheus and the OpenMetrics format.

Labels are sorted and escaped once, when a name is new; a scrape fills numbers into ready lines and keeps the lines
whose numbers did not change. The bytes are those that prometheus_client makes of the same samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.telemetry import families
from peak_observe.telemetry.families import number, numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from peak_observe.measures import Exemplar
    from peak_observe.telemetry.families import Labels


class _Lines:
    """The lines of one name in one family: their prefixes, made once, and the text of the last scrape."""

    __slots__ = ("rows", "template", "text", "values")

    def __init__(self, rows: list[tuple[str, Labels]]) -> None:
        self.rows = rows
        self.template = "".join(f"{_prefix(*row).replace('%', '%%')} %s\n" for row in rows)
        self.values: Sequence[float] | None = None
        self.text = ""


class Renderer:
    """Renders the metrics of this process; keeps what it can from scrape to scrape. For one thread at a time."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[str, _Lines]] = {metric.name: {} for metric in catalog.METRICS}

    def render(self, *, openmetrics: bool = False) -> bytes:
        """Return all families, with exemplars in the OpenMetrics format."""
        parts: list[str] = []
        for family, readings in families.read():
            parts.append(_header(family.metric, openmetrics=openmetrics))
            known, values_of = self._lines[family.metric.name], family.values
            exemplars_of = family.exemplars if openmetrics else None
            for name, reading in readings:
                values = values_of(reading)
                exemplars = exemplars_of(reading) if exemplars_of else None
                lines = known.get(name)
                # Of a name only the exception classes can change, and they only grow in number.
                if lines is None or len(lines.rows) != len(values):
                    lines = known[name] = _Lines(family.rows(name, reading))
                if exemplars:
                    parts.extend(_with_exemplars(lines.rows, values, exemplars))
                    continue
                if lines.values != values:
                    lines.text = lines.template % numbers(values)
                    lines.values = values
                parts.append(lines.text)
        parts.append(_header(catalog.OBSERVE_BUILD_INFO, openmetrics=openmetrics))
        parts.append(_prefix(catalog.OBSERVE_BUILD_INFO.name, families.BUILD_LABELS) + " 1.0\n")
        return "".join(parts).encode()


def _header(metric: catalog.Metric, *, openmetrics: bool) -> str:
    name = metric.name.removesuffix("_total") if openmetrics and metric.kind == "counter" else metric.name
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"


def _prefix(sample: str, labels: Labels) -> str:
    pairs = ",".join(f'{label}="{_escape(value)}"' for label, value in labels)
    return f"{sample}{{{pairs}}}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _with_exemplars(
    rows: list[tuple[str, Labels]],
    values: Sequence[float],
    exemplars: Mapping[int, Exemplar],
) -> Iterable[str]:
    for index, (row, value) in enumerate(zip(rows, values, strict=True)):
        found = exemplars.get(index)
        yield f"{_prefix(*row)} {number(value)}{_exemplar(found) if found else ''}\n"


def _exemplar(exemplar: Exemplar) -> str:
    ids = f'span_id="{exemplar.span_id}",trace_id="{exemplar.trace_id}"'
    return f" # {{{ids}}} {number(exemplar.value)} {exemplar.timestamp}"
