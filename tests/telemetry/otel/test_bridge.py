"""Histograms through the exporter: exemplars, deltas, resource, forks and the end of a program."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, View
from opentelemetry.sdk.resources import Resource

import peak_observe
from peak_observe import otel, timed
from peak_observe.telemetry.snapshot import writer

PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
TIMED = "peak_observe.timed_call.duration"
CUMULATIVE, DELTA = 2, 1
_names = map("otel.bridge.{}".format, count())


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return next(_names)


@pytest.fixture
def push(sink, monkeypatch) -> Iterator[Callable[..., PeriodicExportingMetricReader]]:
    """Return what makes a reader that sends to the sink."""
    monkeypatch.delenv(PREFERENCE, raising=False)
    providers = []

    def made(exporter: MetricExporter | None = None, resource: Resource | None = None) -> PeriodicExportingMetricReader:
        bridged = otel.bridge(exporter or OTLPMetricExporter(sink.url, timeout=5))
        reader = PeriodicExportingMetricReader(bridged, math.inf)
        providers.append(MeterProvider([reader], resource, shutdown_on_exit=False))
        peak_observe.register_otel(providers[-1])
        return reader

    yield made
    for provider in providers:
        provider.shutdown()


def histogram(sink) -> object:
    """Return the histogram of timed calls in the last request."""
    return sink.metrics()[TIMED].histogram


def point(sink, name: str) -> object:
    """Return the data point of a timed call in the last request."""
    points = histogram(sink).data_points
    (found,) = [one for one in points if name in [attribute.value.string_value for attribute in one.attributes]]
    return found


def successes(sink, name: str) -> object:
    """Return the data point of a breaker's successes in the last request."""
    (found,) = [
        one
        for one in sink.metrics()["peak_observe.breaker.calls"].sum.data_points
        if {name, "success"} <= {attribute.value.string_value for attribute in one.attributes}
    ]
    return found


def nothing() -> None:
    """Do nothing, quickly."""


def test_a_histogram_is_cumulative_from_the_start_of_the_process(sink, push, name) -> None:
    """Bounds without infinity, one bucket more than bounds, and neither minimum nor maximum, which nobody keeps."""
    reader, protected = push(), timed(name, buckets=(0.5, 1.0))(nothing)
    before = time.time_ns()
    protected()
    reader.collect()
    protected()
    reader.collect()
    found = point(sink, name)
    assert histogram(sink).aggregation_temporality == CUMULATIVE
    assert (list(found.explicit_bounds), list(found.bucket_counts), found.count) == ([0.5, 1.0], [2, 0, 0], 2)
    assert found.start_time_unix_nano < before < found.time_unix_nano <= time.time_ns()
    assert not found.HasField("min")
    assert not found.HasField("max")


def test_a_delta_is_what_was_added_since_the_last_success(sink, push, name, monkeypatch) -> None:
    """The next one begins where the last one ended."""
    monkeypatch.setenv(PREFERENCE, "delta")
    reader, protected = push(), timed(name)(nothing)
    protected()
    reader.collect()
    first = point(sink, name)
    protected()
    protected()
    reader.collect()
    second = point(sink, name)
    reader.collect()
    assert histogram(sink).aggregation_temporality == DELTA
    assert [first.count, second.count, point(sink, name).count] == [1, 2, 0]
    assert second.start_time_unix_nano == first.time_unix_nano
    assert 0 <= point(sink, name).sum < 1e-9


def test_a_delta_that_was_refused_is_part_of_the_next(sink, push, name, monkeypatch) -> None:
    """Nothing is lost with a collector that is away."""
    monkeypatch.setenv(PREFERENCE, "DELTA")
    reader, protected = push(), timed(name)(nothing)
    protected()
    reader.collect()
    sink.refusing = True
    protected()
    reader.collect()
    refused = point(sink, name)
    sink.refusing = False
    protected()
    reader.collect()
    assert (refused.count, point(sink, name).count) == (1, 2)
    assert point(sink, name).start_time_unix_nano == refused.start_time_unix_nano


def test_a_delta_of_a_counter_is_kept_as_well(sink, push, name, monkeypatch) -> None:
    """The SDK alone forgets what could not be sent."""
    monkeypatch.setenv(PREFERENCE, "delta")
    reader, protected = push(), peak_observe.circuit_breaker(name=name)(nothing)
    protected()
    reader.collect()
    assert successes(sink, name).as_int == 1
    sink.refusing = True
    protected()
    reader.collect()
    sink.refusing = False
    protected()
    reader.collect()
    assert successes(sink, name).as_int == 2
    reader.collect()
    assert successes(sink, name).as_int == 0


def test_a_counter_has_exemplars(sink, push, name, otel) -> None:
    """Which the SDK drops on observable counters."""
    assert not otel.spans
    reader, protected = push(), peak_observe.circuit_breaker(name=name)(nothing)
    with trace.get_tracer("test").start_as_current_span("order") as span:
        protected()
    reader.collect()
    (exemplar,) = successes(sink, name).exemplars
    assert exemplar.trace_id == span.get_span_context().trace_id.to_bytes(16, "big")


def test_a_view_of_the_program_is_respected(sink, monkeypatch) -> None:
    """A metric that it drops is not sent, and one that it names otherwise is sent as it is."""
    monkeypatch.delenv(PREFERENCE, raising=False)
    views = [
        View(instrument_name="peak_observe.breaker.state", aggregation=DropAggregation()),
        View(instrument_name="peak_observe.breaker.calls", name="calls", attribute_keys={"peak_observe.outcome"}),
    ]
    reader = PeriodicExportingMetricReader(otel.bridge(OTLPMetricExporter(sink.url)), math.inf)
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    peak_observe.register_otel(provider)
    breaker = peak_observe.CircuitBreaker(name="otel.bridge.view")
    reader.collect()
    provider.shutdown()
    assert "peak_observe.breaker.state" not in sink.metrics()
    (metric,) = [metric for name, metric in sink.metrics().items() if name == "calls"]
    assert all(len(point.attributes) == 1 for point in metric.sum.data_points)
    assert breaker.name == "otel.bridge.view"


def test_each_exporter_has_its_own_state(sink, push, name, monkeypatch) -> None:
    """What one of two acknowledged is news to the other."""
    monkeypatch.setenv(PREFERENCE, "DELTA")
    first, second, protected = push(), push(), timed(name)(nothing)
    protected()
    first.collect()
    protected()
    first.collect()
    assert point(sink, name).count == 1
    second.collect()
    assert point(sink, name).count == 2


@pytest.mark.parametrize(
    ("preference", "counters", "durations"),
    [("", CUMULATIVE, CUMULATIVE), ("delta", DELTA, DELTA), ("LowMemory", CUMULATIVE, DELTA)],
)
def test_the_preference_of_the_environment_holds_for_any_exporter(
    sink, push, monkeypatch, preference: str, counters: int, durations: int
) -> None:
    """Also for one that has none of its own, as that of the console."""

    class Plain(MetricExporter):
        """Exporter without a preference."""

        def __init__(self) -> None:
            super().__init__()
            self._inner = OTLPMetricExporter(sink.url)

        def export(self, *args: object, **options: object) -> object:
            return self._inner.export(*args, **options)

        def force_flush(self, timeout_millis: float = 0) -> bool:
            return True

        def shutdown(self, timeout_millis: float = 0, **_: object) -> None:
            self._inner.shutdown()

    monkeypatch.setenv(PREFERENCE, preference)
    reader = push(Plain())
    kept = timed("otel.bridge.preference")(nothing), peak_observe.CircuitBreaker(name="otel.bridge.preference")
    reader.collect()
    assert sink.metrics()["peak_observe.breaker.calls"].sum.aggregation_temporality == counters
    assert histogram(sink).aggregation_temporality == durations
    assert len(kept) == 2


def test_a_call_in_a_sampled_span_is_an_exemplar(sink, push, name, otel) -> None:
    """From the bucket one comes to the trace."""
    assert not otel.spans
    reader, protected = push(), timed(name)(nothing)
    with trace.get_tracer("test").start_as_current_span("order") as span:
        protected()
    reader.collect()
    (exemplar,) = point(sink, name).exemplars
    context = span.get_span_context()
    assert exemplar.trace_id == context.trace_id.to_bytes(16, "big")
    assert exemplar.span_id == context.span_id.to_bytes(8, "big")
    assert 0 <= exemplar.as_double < 1
    assert abs(exemplar.time_unix_nano - time.time_ns()) < 60e9


def test_a_delta_carries_the_exemplars_of_its_own_time(sink, push, name, otel, monkeypatch) -> None:
    """An old trace is not told again with new counts."""
    assert not otel.spans
    monkeypatch.setenv(PREFERENCE, "delta")
    reader, protected = push(), timed(name)(nothing)
    with trace.get_tracer("test").start_as_current_span("order"):
        protected()
    reader.collect()
    assert len(point(sink, name).exemplars) == 1
    protected()
    reader.collect()
    assert not point(sink, name).exemplars


def test_the_resource_has_the_name_of_the_process_and_an_instance(sink, push, monkeypatch) -> None:
    """Where the program gave none; the same at each export."""
    monkeypatch.setattr(writer, "_settings", writer.Settings(process="grid-bot"))
    reader = push()
    reader.collect()
    first = sink.resource
    reader.collect()
    assert first["service.name"] == "grid-bot"
    assert first["service.instance.id"]
    assert sink.resource == first


def test_the_instance_of_an_orchestrator_is_taken(sink, push, monkeypatch) -> None:
    """The same after each restart of the replica, where the SDK would throw dice."""
    monkeypatch.setattr(writer, "_settings", writer.Settings(instance="pod-1"))
    push().collect()
    assert sink.resource["service.instance.id"] == "pod-1"


def test_what_the_program_gave_stays(sink, push, monkeypatch) -> None:
    """By its resource, as by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES."""
    monkeypatch.setattr(writer, "_settings", writer.Settings(process="grid-bot", instance="pod-1"))
    given = "6f1b1d0e-3c7a-4c55-9d0e-0123456789ab"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of-env")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"service.instance.id={given}")
    push(resource=Resource.create()).collect()
    assert (sink.resource["service.name"], sink.resource["service.instance.id"]) == ("of-env", given)
    push(resource=Resource({"service.name": "mine", "service.instance.id": "one"})).collect()
    assert (sink.resource["service.name"], sink.resource["service.instance.id"]) == ("mine", "one")


def test_a_bridge_is_not_bridged_again(sink) -> None:
    """Nothing is sent twice."""
    bridged = otel.bridge(OTLPMetricExporter(sink.url))
    assert otel.bridge(bridged) is bridged


@pytest.mark.parametrize("wrong", [None, "http://collector", InMemoryMetricReader()])
def test_something_else_than_an_exporter_is_refused(wrong: object) -> None:
    """The message names what it must be."""
    with pytest.raises(TypeError, match="exporter must be a MetricExporter of the OpenTelemetry SDK, not"):
        otel.bridge(wrong)


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, True, "4", None])
def test_a_deadline_that_makes_no_sense_is_refused(sink, wrong: object) -> None:
    """The message names the argument."""
    with pytest.raises(ValueError, match="exit_timeout must be seconds"):
        otel.bridge(OTLPMetricExporter(sink.url), exit_timeout=wrong)


PROGRAM = """
import os, sys
import peak_observe
from peak_observe import otel, timed
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

exporter = otel.bridge(OTLPMetricExporter(sys.argv[1], timeout=20), exit_timeout=1)
provider = MeterProvider([PeriodicExportingMetricReader(exporter)])
peak_observe.register_otel(provider)
call = peak_observe.circuit_breaker(name="job")(timed("job")(lambda: None))
call()
"""
FORK = """
provider.force_flush()
child = os.fork()
call()
if child == 0:
    call()
    provider.force_flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def run(sink, code: str, **variables: str) -> float:
    """Run a program that sends to the sink, and return the seconds it took."""
    environ = {**os.environ, **variables}
    started = time.monotonic()
    command = [sys.executable, "-W", "error::UserWarning", "-c", code, sink.url]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started


def test_a_job_tells_its_last_word_when_it_ends(sink) -> None:
    """Long before the first interval is over."""
    run(sink, PROGRAM)
    assert [len(sink.requests), point(sink, "job").count] == [1, 1]


def test_a_collector_that_hangs_does_not_hold_up_the_end_of_a_job(sink) -> None:
    """The deadline holds, not the exporter's own timeout of 20 seconds."""
    sink.silence = threading.Event()
    assert run(sink, PROGRAM) < 15


@pytest.mark.parametrize("preference", ["cumulative", "delta"])
def test_a_forked_child_is_an_instance_of_its_own_without_its_parents_counts(sink, preference: str) -> None:
    """Both can be added up."""
    run(sink, PROGRAM + FORK, **{PREFERENCE: preference})
    parent, child = sink.requests[0], sink.requests[1]
    ids = []
    for request in (parent, child):
        attributes = {one.key: one.value.string_value for one in request.resource_metrics[0].resource.attributes}
        ids.append(attributes["service.instance.id"])
    assert ids[0] != ids[1]
    sink.requests = [parent]
    first, calls = point(sink, "job"), successes(sink, "job").as_int
    sink.requests = [child]
    second = point(sink, "job")
    assert (first.count, second.count) == (1, 2)
    assert (calls, successes(sink, "job").as_int) == (1, 2)
    assert second.start_time_unix_nano >= first.time_unix_nano


def test_the_console_gets_histograms_too(tmp_path) -> None:
    """As JSON that can be read."""
    code = PROGRAM.replace("OTLPMetricExporter(sys.argv[1], timeout=20)", "ConsoleMetricExporter()").replace(
        "export import Periodic", "export import ConsoleMetricExporter, Periodic"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    (found,) = json.loads(done.stdout)["resource_metrics"][0]["scope_metrics"]
    assert TIMED in [metric["name"] for metric in found["metrics"]]


def test_without_the_sdk_the_extra_is_named() -> None:
    """Not the module that is missing."""
    code = """
import sys
sys.modules["opentelemetry.sdk.metrics"] = None
try:
    from peak_observe import otel
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "peak_observe.otel needs the extra 'otlp': pip install 'peak-observe[otlp]'\n"
