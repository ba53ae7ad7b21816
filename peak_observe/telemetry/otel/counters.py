"""Counters of the SDK with exemplars, and with differences to what an exporter acknowledged.

The SDK drops exemplars of observable counters, takes a difference for sent however its export ended, and lets a
forked child tell its parent's counts again. Each point that is known here gets value and exemplars of the reading.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.sdk.metrics.export import Metric, NumberDataPoint, Sum

from peak_observe.telemetry.otel.exemplars import exemplars_of
from peak_observe.telemetry.otel.names import attributes_of, instrument_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peak_observe import measures
    from peak_observe.telemetry.metrics.family import Family, Readings

Key = tuple[str, frozenset[tuple[str, object]]]


class Sample(NamedTuple):
    """Value of one series of a counter, with its exemplars."""

    value: float
    exemplars: tuple[measures.Exemplar, ...] = ()


Samples = dict[Key, Sample]


def read(kinds: Iterable[tuple[tuple[Family, ...], Readings]]) -> Samples:
    """Return all series of counters of a reading."""
    return {
        key: sample
        for families, readings in kinds
        for family in families
        if family.metric.kind == "counter"
        for name, reading in readings
        for key, sample in _samples(family, name, reading)
    }


def _samples(family: Family, name: str, reading: object) -> Iterable[tuple[Key, Sample]]:
    exemplars = family.exemplars(reading) if family.exemplars else {}
    series = zip(family.rows(name, reading), family.values(reading), strict=True)
    for index, ((_, labels), value) in enumerate(series):
        found = (exemplars[index],) if index in exemplars else ()
        yield _key(instrument_of(family.metric).name, attributes_of(labels)), Sample(value, found)


def _key(name: str, attributes: Mapping[str, object]) -> Key:
    return name, frozenset(attributes.items())


def renewed(metric: Metric, samples: Samples, base: Samples, start: int) -> Metric:
    """Return a counter with what was added to a base since `start`; what a view made of it stays."""
    if not isinstance(metric.data, Sum):
        return metric
    points = [
        _point(point, _key(metric.name, point.attributes or {}), samples, base, start)
        for point in metric.data.data_points
    ]
    return replace(metric, data=replace(metric.data, data_points=points))


def _point(point: NumberDataPoint, key: Key, samples: Samples, base: Samples, start: int) -> NumberDataPoint:
    sample = samples.get(key)
    if sample is None:
        return point
    value = sample.value - base.get(key, Sample(0)).value
    return replace(point, value=value, start_time_unix_nano=start, exemplars=exemplars_of(sample.exemplars, start))


def sent(metrics: Iterable[Metric], samples: Samples) -> Samples:
    """Return those samples that stand in metrics."""
    keys = [_key(m.name, p.attributes or {}) for m in metrics if isinstance(m.data, Sum) for p in m.data.data_points]
    return {key: samples[key] for key in keys if key in samples}
