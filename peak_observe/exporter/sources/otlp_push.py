"""Push of everything that the exporter serves to an OpenTelemetry collector, over OTLP/HTTP.

The push is a source that has nothing to tell: it runs at an interval, a hanging collector delays nobody, and
`peak_exporter_source_up{source="otlp"}` and its alert tell when the collector does not take the metrics.
"""

from __future__ import annotations

import logging
import math
import socket
import time
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # as the library comes without types
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.parser import text_string_to_metric_families

from peak_observe import catalog
from peak_observe._version import __version__
from peak_observe.support.secret_urls import origin
from peak_observe.telemetry.otel.names import SCOPE, attributes_of, instrument_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.samples import Sample

    from peak_observe.exporter.sources.metric_block import Block

EXPORTER = "peak-observe-exporter"
"""The `service.name` of what belongs to no process: backups, probes, the exporter itself."""
_METRICS = {metric.name: metric for metric in catalog.METRICS}
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_LIBRARY = "opentelemetry.exporter.otlp.proto.http.metric_exporter"


class OtlpPush:
    """Source that sends the text of all other sources to a collector.

    Args:
        endpoint: URL that takes metrics over OTLP/HTTP; headers and certificates are those of the environment
            (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_CERTIFICATE`).
        timeout: Seconds that one push may take, its retries included.
        text: Returns what `/metrics` shows, in the Prometheus text format.
    """

    name = "otlp"

    def __init__(self, endpoint: str, *, timeout: float, text: Callable[[], str]) -> None:
        self._origin = origin(endpoint)
        self._text = text
        self._since = time.time_ns()
        self._session = _Session()
        self._exporter = OTLPMetricExporter(endpoint, timeout=timeout, session=self._session)
        # It logs each retry: the source's own line tells the reason once.
        logging.getLogger(_LIBRARY).disabled = True

    def collect(self) -> list[Block]:
        """Push once, and tell nothing.

        Raises:
            ConnectionError: The collector cannot be reached, or did not take the metrics, or not all.
        """
        data = metrics_data(self._text(), self._since, time.time_ns())
        if self._exporter.export(data) is not MetricExportResult.SUCCESS or self._session.problem:
            problem = self._session.problem or "no answer in time"
            raise ConnectionError(f"the collector at {self._origin} did not take the metrics: {problem}")
        return []


class _Session(requests.Session):
    """Session that keeps why its last request failed, in words that stay the same while the reason does.

    It follows no redirect, which would turn the push into a GET, and tell another host the headers with their keys.
    """

    problem = ""

    def request(self, *args: Any, **settings: Any) -> requests.Response:
        """Send one request."""
        try:
            response = super().request(*args, **settings | {"allow_redirects": False})
        except requests.RequestException as error:
            self.problem = _cause(error)
            raise
        self.problem = _problem(response)
        return response


def _problem(response: requests.Response) -> str:
    """Return what an answer says against the push; the exporter of the SDK takes each below 400 for a success."""
    if response.is_redirect:
        elsewhere = origin(urljoin(response.url, response.headers["Location"]))
        return f"it answered {response.status_code} and sends to {elsewhere}: name that as endpoint"
    if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return f"it answered {response.status_code} {response.reason}"
    if response.headers.get("Content-Type", "").startswith("text/html"):
        return "it answered with a web page: a collector's path ends in /v1/metrics as a rule"
    try:
        rejected = ExportMetricsServiceResponse.FromString(response.content).partial_success
    except DecodeError:
        return ""  # such as JSON, of which only the status is understood
    return f"it rejected some: {rejected.error_message[:200]}" if rejected.rejected_data_points else ""


def _cause(error: BaseException) -> str:
    """Return what the system said first; the text of a later one names objects by their addresses."""
    while isinstance(before := error.__cause__ or error.__context__, Exception):
        error = before
    return getattr(error, "strerror", None) or type(error).__name__


def metrics_data(text: str, since: int, now: int) -> MetricsData:
    """Return an exposition as OTLP metrics: one resource for each process, one for all that belongs to none.

    Args:
        text: Samples in the Prometheus text format.
        since: Since when counts are told, in nanoseconds.
        now: The time of the samples, in nanoseconds.
    """
    times = _Times(since, now)
    resources: dict[str, list[Metric]] = {}
    for family in text_string_to_metric_families(text):
        metric = _METRICS.get(family.name) or _METRICS.get(f"{family.name}_total")
        if metric is not None:
            for process, samples in _by_process(family.samples).items():
                resources.setdefault(process, []).append(_metric(metric, samples, times))
    return MetricsData([_resource(process, found) for process, found in resources.items()])


class _Times(NamedTuple):
    """Since when counts are told, and the time of the samples, in nanoseconds."""

    since: int
    now: int

    def __call__(self, attributes: dict[str, str]) -> dict[str, Any]:
        """Return what each data point has."""
        return {"attributes": attributes, "start_time_unix_nano": self.since, "time_unix_nano": self.now}


def _by_process(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.labels.pop("process", ""), []).append(sample)
    return found


def _resource(process: str, metrics: list[Metric]) -> ResourceMetrics:
    host = socket.gethostname()
    # Resource.create adds what OTEL_RESOURCE_ATTRIBUTES says; a process keeps its own name.
    resource = Resource.create({"service.name": process or EXPORTER, "service.instance.id": host, "host.name": host})
    scope = InstrumentationScope(SCOPE, __version__)
    return ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")


def _metric(metric: catalog.Metric, samples: list[Sample], times: _Times) -> Metric:
    name, unit = instrument_of(metric)
    return Metric(name, metric.help, unit, _data(metric.kind, samples, times))


def _data(kind: str, samples: list[Sample], times: _Times) -> Sum | Gauge | Histogram:
    if kind == "histogram":
        return Histogram(list(_histograms(samples, times)), _CUMULATIVE)
    points = [
        NumberDataPoint(**times(attributes_of(tuple(sorted(sample.labels.items())))), value=sample.value)
        for sample in samples
        if math.isfinite(sample.value)
    ]
    return Sum(points, _CUMULATIVE, is_monotonic=True) if kind == "counter" else Gauge(points)


def _histograms(samples: Iterable[Sample], times: _Times) -> Iterable[HistogramDataPoint]:
    series: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in samples:
        bound = sample.labels.pop("le", "")
        part = bound or sample.name.rpartition("_")[2]
        series.setdefault(tuple(sorted(sample.labels.items())), {})[part] = sample.value
    for labels, found in series.items():
        total, count = found.pop("sum"), found.pop("count")
        cumulative = sorted((float(bound), value) for bound, value in found.items())
        buckets = [int(after - before) for before, after in pairwise([0.0, *(value for _, value in cumulative)])]
        yield HistogramDataPoint(
            **times(attributes_of(labels)),
            count=int(count),
            sum=total,
            bucket_counts=buckets,
            explicit_bounds=[bound for bound, _ in cumulative if math.isfinite(bound)],
            min=None,  # type: ignore[arg-type] # optional in OTLP, and nobody keeps them
            max=None,  # type: ignore[arg-type] # as above
        )
