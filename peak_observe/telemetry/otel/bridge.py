"""Metric exporter that adds latency histograms and exemplars to what another one sends."""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from peak_observe._version import __version__
from peak_observe.support import process_start
from peak_observe.telemetry.metrics import primitive_families
from peak_observe.telemetry.otel import counters, histograms
from peak_observe.telemetry.otel.exemplars import NANO
from peak_observe.telemetry.otel.names import SCOPE
from peak_observe.telemetry.otel.resource import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
EXIT_TIMEOUT = 4.0
MAX_TIMEOUT = 86_400.0
_CUMULATIVE, _DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
_ALWAYS_CUMULATIVE: dict[type, AggregationTemporality] = dict.fromkeys(
    (UpDownCounter, ObservableUpDownCounter, ObservableGauge), _CUMULATIVE
)
_PREFERENCES: Mapping[str, Mapping[type, AggregationTemporality]] = {
    "DELTA": {**dict.fromkeys((Counter, Histogram, ObservableCounter), _DELTA), **_ALWAYS_CUMULATIVE},
    "LOWMEMORY": {**dict.fromkeys((Counter, Histogram), _DELTA), ObservableCounter: _CUMULATIVE, **_ALWAYS_CUMULATIVE},
}


class _Told(NamedTuple):
    """Counts of histograms and counters that an exporter acknowledged, and when they were read in nanoseconds."""

    series: Mapping[histograms.Key, histograms.Counts]
    samples: counters.Samples
    at: int


class _Moment(NamedTuple):
    """All histograms and counters at one time in nanoseconds."""

    series: list[histograms.Series]
    samples: counters.Samples
    at: int

    @classmethod
    def now(cls) -> Self:
        """Read everything."""
        kinds, at = primitive_families.read(), time.time_ns()
        return cls(histograms.read(kinds), counters.read(kinds), at)

    def told(self, before: _Told, resources: list[ResourceMetrics]) -> _Told:
        """Return what is told once this was sent; a counter that was not among it is told later."""
        metrics = [metric for found in resources for scope in found.scope_metrics for metric in scope.metrics]
        samples = {**before.samples, **counters.sent(metrics, self.samples)}
        return _Told(histograms.counts_of(self.series), samples, self.at)


class HistogramBridge(MetricExporter):
    """Exporter that sends our histograms along with the metrics of the SDK.

    Args:
        exporter: Sends them; its own preference decides on delta or cumulative, that of the environment if it has none.
        exit_timeout: Seconds for the last export, when the program ends.
    """

    def __init__(self, exporter: MetricExporter, exit_timeout: float) -> None:
        own = exporter._preferred_temporality  # noqa: SLF001 - readers ask an exporter for it in the same way
        temporality = dict(_of_environment() if own is None else own)
        super().__init__(temporality, exporter._preferred_aggregation)  # noqa: SLF001 - as above
        self._exporter, self._exit_timeout = exporter, exit_timeout
        self._delta = {
            "histogram": temporality.get(Histogram) is _DELTA,
            "counter": temporality.get(ObservableCounter) is _DELTA,
        }
        self._identity = Identity()
        self._forked: _Moment | None = None
        # What was added up before is told too: the counts begin with the process.
        self._told = self._born = _Told({}, {}, _started())
        _at_fork(self)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Send metrics of the SDK and our histograms; a difference counts as told once this has succeeded."""
        moment = _Moment.now()
        resources = [self._extended(found, moment) for found in _resources(metrics_data)]
        data = MetricsData(resources)
        result = self._send(lambda: self._exporter.export(data, timeout_millis=timeout_millis, **kwargs))
        if result is MetricExportResult.SUCCESS and any(self._delta.values()):
            self._told = moment.told(self._told, resources)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Have the exporter send what it holds."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown(timeout_millis, **kwargs)

    def set_meter_provider(self, meter_provider: Any) -> None:
        """Hand on where an exporter counts its own work, if it does."""
        getattr(self._exporter, "set_meter_provider", lambda _: None)(meter_provider)

    def _extended(self, found: ResourceMetrics, moment: _Moment) -> ResourceMetrics:
        base = self._base("histogram")
        delta = self._delta["histogram"]
        added = histograms.metrics_of(moment.series, base.series, delta=delta, start=base.at, now=moment.at)
        theirs = [scope for scope in found.scope_metrics if scope.scope.name != SCOPE]
        ours = [self._renewed(scope, moment) for scope in found.scope_metrics if scope.scope.name == SCOPE]
        first = ours[0] if ours else ScopeMetrics(InstrumentationScope(SCOPE, __version__), [], "")
        scopes = [*theirs, replace(first, metrics=[*first.metrics, *added]), *ours[1:]]
        return replace(found, resource=self._identity.named(found.resource), scope_metrics=scopes)

    def _renewed(self, scope: ScopeMetrics, moment: _Moment) -> ScopeMetrics:
        base = self._base("counter")
        metrics = [counters.renewed(metric, moment.samples, base.samples, base.at) for metric in scope.metrics]
        return replace(scope, metrics=metrics)

    def _base(self, kind: str) -> _Told:
        """Return what to take off: what was acknowledged for differences, else what a parent counted."""
        return self._told if self._delta[kind] else self._born

    def _send(self, export: Callable[[], MetricExportResult]) -> MetricExportResult:
        """Export, and no longer than the deadline once the main thread has ended."""
        if threading.main_thread().is_alive():
            return export()
        results: list[MetricExportResult] = []
        thread = threading.Thread(target=lambda: results.append(export()), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # this Python starts none any more; the exporter's own timeout has to do
            return export()
        thread.join(self._exit_timeout)
        return results[0] if results else MetricExportResult.FAILURE

    def before_fork(self) -> None:
        """Read what a child must not tell again; in the child, a lock of another thread could stay locked."""
        self._forked = _Moment.now()

    def after_fork(self, *, child: bool) -> None:
        """Go on, in a child anew: what was counted before is its parent's."""
        moment, self._forked = self._forked, None
        if child and moment is not None:
            self._told = self._born = _Told(histograms.counts_of(moment.series), moment.samples, moment.at)


def bridge(exporter: MetricExporter, *, exit_timeout: float = EXIT_TIMEOUT) -> MetricExporter:
    """Return an exporter that adds our latency histograms, with exemplars, to what `exporter` sends.

    Histograms are cumulative or deltas as the exporter prefers (OTLP:
    `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`). A delta that could not be sent is part of the next one.
    The resource gets `service.name` from `configure(process=)` and `service.instance.id` where it has none.

    Args:
        exporter: Any metric exporter of the OpenTelemetry SDK; a bridge is returned as it is.
        exit_timeout: Seconds that the end of the program waits for the last export, if the collector hangs.

    Raises:
        TypeError: `exporter` is no metric exporter.
        ValueError: `exit_timeout` is not a number of seconds above 0 and up to a day.
    """
    if not isinstance(exporter, MetricExporter):
        raise TypeError(f"exporter must be a MetricExporter of the OpenTelemetry SDK, not {type(exporter).__name__}")
    number = isinstance(exit_timeout, int | float) and not isinstance(exit_timeout, bool)
    if not number or not 0 < exit_timeout <= MAX_TIMEOUT:
        raise ValueError(f"exit_timeout must be seconds, more than 0 and at most a day, not {exit_timeout!r}")
    return exporter if isinstance(exporter, HistogramBridge) else HistogramBridge(exporter, exit_timeout)


def _of_environment() -> Mapping[type, AggregationTemporality]:
    return _PREFERENCES.get(os.environ.get(PREFERENCE, "").strip().upper(), {})


def _resources(data: MetricsData) -> list[ResourceMetrics]:
    return list(data.resource_metrics) or [ResourceMetrics(Resource.create(), [], "")]


def _started() -> int:
    return int(process_start.started() * NANO)


def _at_fork(bridged: HistogramBridge) -> None:
    """Have forks told to a bridge for as long as it is used."""
    found = weakref.ref(bridged)

    def tell(call: Callable[[HistogramBridge], None]) -> None:
        alive = found()
        if alive is not None:
            call(alive)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lambda: tell(HistogramBridge.before_fork),
            after_in_parent=lambda: tell(lambda alive: alive.after_fork(child=False)),
            after_in_child=lambda: tell(lambda alive: alive.after_fork(child=True)),
        )
