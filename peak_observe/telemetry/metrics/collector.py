"""Collector for prometheus_client: reads the primitives when it is scraped."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Exemplar, Sample

from peak_observe import catalog
from peak_observe.support.shown import shown
from peak_observe.telemetry.metrics import primitive_families

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peak_observe import measures
    from peak_observe.telemetry.metrics.family import Family, Readings


class PeakCollector(Collector):
    """Collector of the counts of all primitives of this process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Sequence[float], list[Sample]]] = {}
        self._names: list[list[str]] = []

    def collect(self) -> Iterator[Metric]:
        """Yield the families in the order of the catalogue."""
        kinds = primitive_families.read()
        self._forget_others(kinds)
        for families_of_kind, readings in kinds:
            for family in families_of_kind:
                yield self._filled(family, readings)
        for fact, labels, value in primitive_families.about_process():
            found = _family(fact)
            found.add_sample(fact.name, dict(labels), value)
            yield found

    def _forget_others(self, kinds: Sequence[tuple[tuple[Family, ...], Readings]]) -> None:
        """Forget the samples of names that are gone."""
        names = [[name for name, _ in readings] for _, readings in kinds]
        if names != self._names:
            self._names = names
            known = {(f.metric.name, name) for families, readings in kinds for f in families for name, _ in readings}
            self._known = {key: found for key, found in self._known.items() if key in known}

    def _filled(self, family: Family, readings: Readings) -> Metric:
        metric = _family(family.metric)
        for name, reading in readings:
            metric.samples.extend(self._samples(family, name, reading))
        return metric

    def _samples(self, family: Family, name: str, reading: Any) -> list[Sample]:
        key = (family.metric.name, name)
        values = family.values(reading)
        exemplars = family.exemplars(reading) if family.exemplars else {}
        known, samples = self._known.get(key, ((), []))
        # What did not change since the last scrape is kept; labels are made anew only with new rows.
        if values == known:
            return samples
        if len(values) == len(samples):
            rows = [(sample.name, sample.labels) for sample in samples]
        else:
            rows = [(sample, dict(labels)) for sample, labels in family.rows(name, reading)]
        samples = [
            Sample(sample, labels, value, None, _exemplar(exemplars[index]) if index in exemplars else None)
            for index, ((sample, labels), value) in enumerate(zip(rows, values, strict=True))
        ]
        self._known[key] = (values, samples)
        return samples

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples, so that registering finds clashes without reading anything."""
        return map(_family, catalog.IN_PROCESS)


def _family(metric: catalog.Metric) -> Metric:
    return Metric(metric.name.removesuffix("_total"), metric.help, metric.kind)


def _exemplar(exemplar: measures.Exemplar) -> Exemplar:
    labels = {"trace_id": exemplar.trace_id, "span_id": exemplar.span_id}
    return Exemplar(labels, exemplar.value, exemplar.timestamp)


_collectors: weakref.WeakKeyDictionary[CollectorRegistry, PeakCollector] = weakref.WeakKeyDictionary()


def register(registry: CollectorRegistry | None = None) -> PeakCollector:
    """Add the metrics of this process to a registry that the program serves already.

    Args:
        registry: The registry; prometheus_client's default one if not given.

    Returns:
        The collector, for `registry.unregister()`. The same registry gets only one.
    """
    registry = REGISTRY if registry is None else registry
    if not callable(getattr(registry, "register", None)):
        raise TypeError(f"register takes a CollectorRegistry of prometheus_client, not {shown(registry)}")
    known = _collectors.get(registry)
    collector = known or PeakCollector()
    try:
        registry.register(collector)
    except ValueError:
        # Our names are taken: by ourselves, as the registry cannot be asked, or by somebody else.
        if known is None:
            raise
    _collectors[registry] = collector
    return collector
