"""Observable instruments in the real SDK."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum

import peak_observe
from peak_observe import CircuitBreaker, catalog
from peak_observe.telemetry.metrics import primitive_families
from peak_observe.telemetry.otel.names import instrument_of


def fresh(code: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def collected(reader: InMemoryMetricReader) -> dict:
    """Return the metrics of one collection by name."""
    data = reader.get_metrics_data()
    metrics = [metric for found in data.resource_metrics for scope in found.scope_metrics for metric in scope.metrics]
    assert len({metric.name for metric in metrics}) == len(metrics), "an instrument was created twice"
    return {metric.name: metric for metric in metrics}


def calls(metrics: dict, name: str) -> dict[str, float]:
    """Return the calls of a breaker by outcome."""
    points = metrics["peak_observe.breaker.calls"].data.data_points
    found = [point for point in points if point.attributes["peak_observe.breaker"] == name]
    return {point.attributes["peak_observe.outcome"]: point.value for point in found}


@pytest.fixture
def reader() -> InMemoryMetricReader:
    """A reader of a provider with our instruments, registered twice."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    reader.provider = provider
    peak_observe.register_otel(provider)
    peak_observe.register_otel(provider)
    return reader


def test_a_series_exists_at_0_and_counts(reader) -> None:
    """Each collection reads what is there at its time."""
    breaker = CircuitBreaker(name="otel.counts")
    assert calls(collected(reader), "otel.counts") == dict.fromkeys(catalog.CALL_OUTCOMES, 0)
    breaker.call(lambda: None)()
    breaker.call(lambda: None)()
    assert calls(collected(reader), "otel.counts")["success"] == 2
    breaker.call(lambda: None)()
    assert calls(collected(reader), "otel.counts")["success"] == 3


def test_counters_are_monotonic_sums_with_unit_and_help(reader) -> None:
    """As a collector for Prometheus needs them."""
    breaker = CircuitBreaker(name="otel.kinds")
    metric = collected(reader)["peak_observe.breaker.calls"]
    assert isinstance(metric.data, Sum)
    assert metric.data.is_monotonic
    assert (metric.unit, metric.description) == ("{call}", catalog.BREAKER_CALLS_TOTAL.help)
    assert breaker.name == "otel.kinds"


def test_the_primitives_are_read_once_for_a_collection(reader, monkeypatch) -> None:
    """All instruments of one collection agree, and it costs one reading."""
    breaker = CircuitBreaker(name="otel.once")
    collected(reader)
    read, times = primitive_families.read, []
    monkeypatch.setattr(primitive_families, "read", lambda: times.append(1) or read())
    collected(reader)
    assert len(times) == 1
    collected(reader)
    assert len(times) == 2
    assert breaker.name == "otel.once"


def test_two_readers_of_a_provider_see_the_same() -> None:
    """A collector and the console, for instance."""
    first, second = InMemoryMetricReader(), InMemoryMetricReader()
    provider = MeterProvider([first, second], shutdown_on_exit=False)
    peak_observe.register_otel(provider)
    breaker = CircuitBreaker(name="otel.two")
    breaker.call(lambda: None)()
    assert calls(collected(first), "otel.two") == calls(collected(second), "otel.two")
    breaker.call(lambda: None)()
    assert calls(collected(second), "otel.two")["success"] == calls(collected(first), "otel.two")["success"] == 2


def test_build_info_and_start_time_are_always_there() -> None:
    """A reader without a single value never calls its exporter."""
    code = """
import peak_observe
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
peak_observe.register_otel(provider)
for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
    (point,) = metric.data.data_points
    print(metric.name, point.value > 0, *sorted(point.attributes))
"""
    assert fresh(code).splitlines() == [
        "peak_observe.build_info True peak_observe.version process.runtime.version",
        "peak_observe.start_time True",
    ]


def test_the_global_provider_may_come_later_and_is_one_with_its_stand_in() -> None:
    """Registering before and after the program sets its provider is once."""
    code = """
import peak_observe
peak_observe.register_otel()
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
metrics.set_meter_provider(provider)
peak_observe.register_otel()
peak_observe.register_otel(provider)
metric, _ = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
print(metric.name, len(metric.data.data_points))
"""
    assert fresh(code) == "peak_observe.build_info 1"


def test_only_the_api_is_loaded_and_only_when_asked() -> None:
    """A program without the SDK can call it, too."""
    code = """
import sys, peak_observe
before = "opentelemetry" in sys.modules
peak_observe.register_otel()
sdk = [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
print(before, "opentelemetry.metrics" in sys.modules, sdk)
"""
    assert fresh(code) == "False True []"


def test_something_else_than_a_provider_is_refused() -> None:
    """In words, at once."""
    with pytest.raises(TypeError, match="meter_provider must be an OpenTelemetry MeterProvider, not InMemoryMetric"):
        peak_observe.register_otel(InMemoryMetricReader())


def test_a_value_that_is_not_known_yet_is_left_out(reader, caplog) -> None:
    """A check that never ran is NaN in `/metrics`, which the SDK would drop with a warning at each collection."""
    check = peak_observe.HealthCheck()
    check.register("otel.unknown", lambda: True)
    metrics = collected(reader)
    name = instrument_of(catalog.HEALTH_CHECK_HEALTHY).name
    points = metrics[name].data.data_points if name in metrics else ()
    assert not [point for point in points if point.attributes["peak_observe.check"] == "otel.unknown"]
    check.run_all()
    points = collected(reader)[name].data.data_points
    assert [p.value for p in points if p.attributes["peak_observe.check"] == "otel.unknown"] == [1.0]
    assert not caplog.records
