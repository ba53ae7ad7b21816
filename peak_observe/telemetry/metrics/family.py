"""Metric family: which samples the reading of a primitive gives."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.telemetry.metrics.text_format import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from peak_observe import catalog
    from peak_observe.measures import Exemplar

Labels = tuple[tuple[str, str], ...]


CALLS, CHANGES, SETTINGS = range(3)
ATTEMPTS = CHANGES


class Family(NamedTuple):
    """Metric of the catalogue and how a reading fills it.

    Args:
        metric: Its entry in the catalogue.
        values: Returns the values of a name's series.
        second: Returns the values of the second label in the same order; None where there is one label only.
        exemplars: Returns exemplars by the position of their sample.
        follows: Which part of a reading's `since()` the values change with; None where time alone changes them.
    """

    metric: catalog.Metric
    values: Callable[[Any], Sequence[float]]
    second: Callable[[Any], Iterable[str]] | None = None
    exemplars: Callable[[Any], Mapping[int, Exemplar]] | None = None
    follows: int | None = CALLS

    def rows(self, name: str, reading: Any) -> list[tuple[str, Labels]]:
        """Return sample name and labels of each value, labels in alphabetical order."""
        first = (self.metric.labels[0], name)
        if self.metric.kind == "histogram":
            bounds = [number(bound) for bound in (*reading.bounds, math.inf)]
            buckets = [(f"{self.metric.name}_bucket", (first, ("le", bound))) for bound in bounds]
            return [*buckets, (f"{self.metric.name}_count", (first,)), (f"{self.metric.name}_sum", (first,))]
        if self.second is None:
            return [(self.metric.name, (first,))] * len(self.values(reading))
        label = self.metric.labels[1]
        return [(self.metric.name, tuple(sorted((first, (label, value))))) for value in self.second(reading)]


Readings = list[tuple[str, Any]]


def histogram(reading: Any) -> Sequence[float]:
    """Return the values of a histogram family: cumulative buckets, count and sum."""
    cumulative = tuple(accumulate(reading.buckets))
    return (*cumulative, cumulative[-1], reading.duration_sum)


def living(value: float | None) -> Sequence[float]:
    """Return one value, or none where nothing of the name is alive."""
    return () if value is None else (value,)
