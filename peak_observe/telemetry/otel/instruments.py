"""Observable instruments of OpenTelemetry, fed by the same readings as `/metrics`."""

from __future__ import annotations

import math
import threading
import weakref
from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider, Observation

from peak_observe import catalog
from peak_observe._version import __version__
from peak_observe.telemetry.metrics import primitive_families
from peak_observe.telemetry.otel.names import SCOPE, attributes_of, instrument_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Meter

    from peak_observe.telemetry.metrics.family import Family, Labels, Readings

    Callback = Callable[[CallbackOptions], Iterable[Observation]]
    Rows = list[tuple[Labels, float]]


class _Collection(threading.local):
    """Readings of one collection, in the thread that collects.

    The SDK asks each instrument on its own. The first one to be asked again begins the next collection, so that all
    instruments of one collection agree, and nothing is read once for each of them.
    """

    def __init__(self) -> None:
        self._readings: dict[str, tuple[Family, Readings]] = {}

    def take(self, metric: str) -> Rows:
        """Return the series of a metric, once for each collection."""
        if metric not in self._readings:
            self._readings = {
                family.metric.name: (family, readings)
                for families, readings in primitive_families.read()
                for family in families
            }
        family, readings = self._readings.pop(metric)
        return [row for name, reading in readings for row in _rows(family, name, reading)]


def _rows(family: Family, name: str, reading: object) -> Rows:
    labels = (labels for _, labels in family.rows(name, reading))
    return list(zip(labels, family.values(reading), strict=True))


class _Registered:
    """Meter providers that have our instruments."""

    def __init__(self) -> None:
        self._providers: weakref.WeakKeyDictionary[MeterProvider, object] = weakref.WeakKeyDictionary()
        self._global = False

    def add(self, provider: MeterProvider, current: MeterProvider) -> bool:
        """Return whether a provider is new; without a lock, which a fork could leave locked.

        Before the program sets its provider, the API's stand-in is the current one, and hands what it was asked for
        on to that: the two are one.
        """
        mark = object()
        is_new = self._providers.setdefault(provider, mark) is mark
        if provider is current:
            is_new, self._global = is_new and not self._global, True
        return is_new


_registered = _Registered()


def register_otel(meter_provider: MeterProvider | None = None) -> None:
    """Give the metrics of this process to OpenTelemetry as observable instruments; twice is once.

    The names are those of `/metrics` with dots, without `_total` and unit: `peak_observe.breaker.calls`. Latency
    histograms need `peak_observe.otel.bridge` around the exporter, as OpenTelemetry has no observable histogram.

    Args:
        meter_provider: The provider; the global one if not given, which the program may also set later.

    Raises:
        TypeError: The provider is none.
    """
    if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
        raise TypeError(f"meter_provider must be an OpenTelemetry MeterProvider, not {type(meter_provider).__name__}")
    current = metrics.get_meter_provider()
    provider = current if meter_provider is None else meter_provider
    if _registered.add(provider, current):
        _create(provider.get_meter(SCOPE, __version__))


def _create(meter: Meter) -> None:
    collection = _Collection()
    for families, _ in primitive_families.read():
        for family in families:
            if family.metric.kind != "histogram":
                _observe(meter, family.metric, _callback(collection, family.metric.name))
    # A reader calls its exporter, and with it the bridge, only if some instrument has a value: this one always does.
    for metric, labels, value in primitive_families.about_process():
        if metric is not catalog.OBSERVE_TIME_SECONDS:  # points carry their time; scraped from a collector, it is late
            _observe(meter, metric, _fact(labels, value))


def _fact(labels: Labels, value: float) -> Callback:
    return lambda _: _observations([(labels, value)])


def _callback(collection: _Collection, metric: str) -> Callback:
    return lambda _: _observations(collection.take(metric))


def _observe(meter: Meter, metric: catalog.Metric, callback: Callback) -> None:
    name, unit = instrument_of(metric)
    create = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
    create(name, [callback], unit, metric.help)


def _observations(rows: Iterable[tuple[Labels, float]]) -> list[Observation]:
    """Return observations of the finite values: the SDK drops others with a warning each."""
    return [Observation(_number(value), attributes_of(labels)) for labels, value in rows if math.isfinite(value)]


def _number(value: float) -> float:
    """Return a number also for True and False, which OTLP does not take for one."""
    return int(value) if isinstance(value, bool) else value
