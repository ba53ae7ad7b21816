"""Latency histograms as ready data points, cumulative or the difference to what an exporter acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, HistogramDataPoint, Metric

from peak_observe.telemetry.otel.exemplars import exemplars_of
from peak_observe.telemetry.otel.names import attributes_of, instrument_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peak_observe import catalog, measures
    from peak_observe.telemetry.metrics.family import Family, Labels, Readings

Key = tuple[str, "Labels", tuple[float, ...]]
DELTA = AggregationTemporality.DELTA


class Counts(NamedTuple):
    """Counts of one series: calls in each bucket, not cumulative, and their sum in seconds."""

    buckets: tuple[int, ...]
    total: float

    def since(self, earlier: Counts | None) -> Counts:
        """Return what was added to earlier counts."""
        if earlier is None:
            return self
        added = tuple(now - then for now, then in zip(self.buckets, earlier.buckets, strict=True))
        return Counts(added, self.total - earlier.total)


class Series(NamedTuple):
    """Counts of one series at one moment, with what a data point says of it."""

    metric: catalog.Metric
    labels: Labels
    bounds: tuple[float, ...]
    counts: Counts
    exemplars: tuple[measures.Exemplar, ...]

    @property
    def key(self) -> Key:
        """Return what tells the series from all others, also from one of other buckets that had its name before."""
        return self.metric.name, self.labels, self.bounds

    def point(self, base: Counts | None, start: int, now: int) -> HistogramDataPoint:
        """Return the data point of what was added to a base since `start`, both times in nanoseconds."""
        counts = self.counts.since(base)
        return HistogramDataPoint(
            attributes=attributes_of(self.labels),
            start_time_unix_nano=start,
            time_unix_nano=now,
            count=sum(counts.buckets),
            sum=counts.total,
            bucket_counts=counts.buckets,
            explicit_bounds=self.bounds,
            min=None,  # type: ignore[arg-type] # optional in OTLP, and nobody keeps them
            max=None,  # type: ignore[arg-type] # as above
            exemplars=exemplars_of(self.exemplars, start),
        )


def read(kinds: Iterable[tuple[tuple[Family, ...], Readings]]) -> list[Series]:
    """Return all series of histograms of a reading."""
    return [
        _series(family, name, reading)
        for families, readings in kinds
        for family in families
        if family.metric.kind == "histogram"
        for name, reading in readings
    ]


def counts_of(series: Iterable[Series]) -> dict[Key, Counts]:
    """Return the counts of each series, as the base of a later difference."""
    return {one.key: one.counts for one in series}


def metrics_of(
    series: Iterable[Series], base: Mapping[Key, Counts], *, delta: bool, start: int, now: int
) -> list[Metric]:
    """Return one metric for each family that has a series.

    Args:
        series: What was read.
        base: The counts to take off.
        delta: Whether the base is what was sent before.
        start: The time of the base in nanoseconds.
        now: The time of the reading in nanoseconds.
    """
    points: dict[catalog.Metric, list[HistogramDataPoint]] = {}
    for one in series:
        points.setdefault(one.metric, []).append(one.point(base.get(one.key), start, now))
    temporality = DELTA if delta else AggregationTemporality.CUMULATIVE
    return [
        Metric(instrument_of(metric).name, metric.help, instrument_of(metric).unit, Histogram(found, temporality))
        for metric, found in points.items()
    ]


def _series(family: Any, name: str, reading: Any) -> Series:
    _, labels = family.rows(name, reading)[-1]  # of the sum, which has no `le`
    counts = Counts(tuple(reading.buckets), reading.duration_sum)
    return Series(family.metric, labels, tuple(reading.bounds), counts, tuple(family.exemplars(reading).values()))
