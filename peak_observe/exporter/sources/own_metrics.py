"""Metrics of the exporter's own process as metric blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.exporter.sources.metric_block import Block
from peak_observe.measures import CHECKS
from peak_observe.telemetry.metrics import primitive_families
from peak_observe.telemetry.metrics.text_format import sample_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peak_observe.telemetry.metrics.family import Family, Readings


def of_readings(kept: Iterable[Family], readings: Readings) -> list[Block]:
    """Return the families filled with what all names have to tell."""
    return [_block(family.metric, _lines(family, readings)) for family in kept]


def _lines(family: Family, readings: Readings) -> list[str]:
    return [
        sample_line(name, labels, value)
        for label, reading in readings
        for (name, labels), value in zip(family.rows(label, reading), family.values(reading), strict=True)
    ]


def of_values(metric: catalog.Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Block:
    """Return a family of the values of its labels with a value each."""
    lines = [
        sample_line(metric.name, sorted(zip(metric.labels, labels, strict=True)), value) for labels, value in values
    ]
    return _block(metric, lines)


def _block(metric: catalog.Metric, lines: list[str]) -> Block:
    return Block(metric.name, metric.kind, metric.help, lines)


class Checks:
    """Source of the results of the exporter's own health checks."""

    name = "checks"

    def collect(self) -> list[Block]:
        """Return it."""
        readings: Any = CHECKS.read()
        return of_readings(primitive_families.HEALTH_FAMILIES, readings)


class ThisProcess:
    """Source of the exporter's own process: build information, and primitives created by user functions."""

    name = "exporter"

    def collect(self) -> list[Block]:
        """Return it, without checks and backups, which have sources of their own."""
        others = (primitive_families.HEALTH_FAMILIES, primitive_families.BACKUP_FAMILIES)
        known = [pair for pair in primitive_families.read() if pair[0] not in others]
        return [
            *(block for kept, readings in known for block in of_readings(kept, readings)),
            *(
                of_values(metric, [(tuple(dict(labels)[label] for label in metric.labels), value)])
                for metric, labels, value in primitive_families.about_process()
                if metric is not catalog.OBSERVE_TIME_SECONDS  # `peak_exporter_time_seconds` is read at the scrape
            ),
        ]
