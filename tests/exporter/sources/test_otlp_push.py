"""Push of everything that the exporter serves to a collector."""

import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from prometheus_client.parser import text_string_to_metric_families

from peak_observe import catalog
from peak_observe.exporter.sources.otlp_push import EXPORTER, OtlpPush, metrics_data
from peak_observe.telemetry.otel.names import attributes_of, instrument_of
from tests.exporter.conftest import PATIENCE, Running, Start
from tests.otlp_sink import Sink, sink

__all__ = ["sink"]

METRICS = {metric.name: metric for metric in catalog.METRICS}
BOT = """
import peak_observe
peak_observe.configure(process="grid bot")
guarded = peak_observe.circuit_breaker(failure_threshold=3, name='kra"ken')(lambda: None)
for _ in range(7):
    guarded()
"""
PUSH = (
    '[otlp]\nendpoint = "{url}"\ninterval = 0.1\ntimeout = 5\n\n[processes]\ndirectory = "snapshots"\ninterval = 0.1\n'
)

Series = dict[tuple[str, str, frozenset[tuple[str, str]]], float]


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def run_bot(folder: Path) -> None:
    """Let a job end that leaves a snapshot."""
    environment = os.environ | {"PEAK_OBSERVE_DIR": str(folder / "snapshots")}
    subprocess.run([sys.executable, "-c", BOT], check=True, env=environment, timeout=PATIENCE)


def pushed(sink: Sink) -> Series:
    """Return the last value of each number and each count of a histogram, by process and OpenTelemetry name."""
    found: Series = {}
    for resource in sink.requests[-1].resource_metrics:
        (process,) = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    attributes = frozenset((one.key, one.value.string_value) for one in point.attributes)
                    value = point.count if metric.HasField("histogram") else point.as_double or point.as_int
                    found[process, metric.name, attributes] = value
    return found


def served(text: str) -> Series:
    """Return the same of `/metrics`."""
    found: Series = {}
    for family in text_string_to_metric_families(text):
        metric = METRICS.get(family.name) or METRICS[f"{family.name}_total"]
        for sample in family.samples:
            if sample.name.endswith(("_bucket", "_sum")) and metric.kind == "histogram":
                continue
            labels = {key: value for key, value in sample.labels.items() if key != "process"}
            if math.isfinite(sample.value):
                attributes = frozenset(attributes_of(tuple(labels.items())).items())
                found[sample.labels.get("process", EXPORTER), instrument_of(metric).name, attributes] = sample.value
    return found


def test_every_family_of_the_exporter_reaches_the_collector(tmp_path: Path, exporter: Start, sink: Sink) -> None:
    """Each process is a resource; all values of what does not change by itself are equal."""
    run_bot(tmp_path)
    running = exporter(PUSH.format(url=sink.url))
    calls = ("grid bot", "peak_observe.breaker.calls")
    # A push tells how the one before it went: the first one has less than `/metrics`.
    of_itself = (EXPORTER, "peak_observe.exporter.source_up", frozenset({("peak_observe.source", "otlp")}))
    until(lambda: sink.requests and of_itself in (found := pushed(sink)) and any(key[:2] == calls for key in found))
    there, here = pushed(sink), served(running.get().text)
    assert there.keys() == here.keys()
    of_bot = {key: value for key, value in here.items() if key[0] == "grid bot" and "age" not in key[1]}
    assert len(of_bot) > 10
    assert {key: there[key] for key in of_bot} == of_bot
    outcome = {("peak_observe.breaker", 'kra"ken'), ("peak_observe.outcome", "success")}
    assert there[*calls, frozenset(outcome)] == 7


def test_a_collector_that_is_away_is_a_source_that_is_down(tmp_path: Path, exporter: Start) -> None:
    """The log says once why; when it is back, everything is pushed."""
    running = exporter(PUSH.format(url="http://127.0.0.1:9").replace("timeout = 5", "timeout = 1"))
    running.eventually('peak_exporter_source_up{source="otlp"} 0')
    running.logged(
        r"source otlp: .*the collector at http://127\.0\.0\.1:9 did not take the metrics: Connection refused"
    )
    assert running.log.count("did not take the metrics") == 1


def test_a_collector_that_refuses_or_hangs_delays_no_scrape(tmp_path: Path, exporter: Start, sink: Sink) -> None:
    """Its source is down until it answers again."""
    sink.refusing = True
    running = exporter(PUSH.format(url=sink.url).replace("timeout = 5", "timeout = 1"))
    running.logged("source otlp: .*did not take the metrics: it answered 400 Bad Request")
    sink.silence = threading.Event()
    began = time.monotonic()
    running.eventually('peak_exporter_source_up{source="otlp"} 0')
    assert time.monotonic() - began < PATIENCE / 3
    sink.refusing = False
    sink.silence.set()
    sink.silence = None
    running.eventually('peak_exporter_source_up{source="otlp"} 1')


def test_a_reload_begins_and_ends_the_push(tmp_path: Path, exporter: Start, sink: Sink) -> None:
    """With the headers of the environment, which no page and no log shows."""
    token = "s3cr3t-token-of-the-collector"  # noqa: S105 - a made-up one
    running: Running = exporter(
        "[processes]\ndirectory = 'snapshots'\n",
        "--web.enable-lifecycle",
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer {token}",
    )
    assert 'source="otlp"' not in running.get().text
    (tmp_path / "peak-observe.toml").write_text(PUSH.format(url=sink.url))
    assert running.get("/-/reload", "POST").status == 200
    until(lambda: sink.requests)
    assert f"Bearer {token}" in sink.headers[-1].values()
    (tmp_path / "peak-observe.toml").write_text("[processes]\ndirectory = 'snapshots'\n")
    assert running.get("/-/reload", "POST").status == 200
    assert 'source="otlp"' not in running.get().text
    assert token not in running.get("/").text + running.log


REJECTED = ExportMetricsServiceResponse(
    partial_success=ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too old")
)
WARNED = ExportMetricsServiceResponse(partial_success=ExportMetricsPartialSuccess(error_message="renamed one"))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((307, {"Location": "https://user:pw@other.example/v1/metrics?key=1"}, b""), "sends to https://other.example"),
        ((301, {"Location": "/elsewhere"}, b""), "it answered 301 and sends to http://127.0.0.1"),
        ((302, {}, b""), "it answered 302"),
        ((413, {}, b"too much"), "it answered 413"),
        ((200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Log in</html>"), "a web page"),
        ((200, {"Content-Type": "application/x-protobuf"}, REJECTED.SerializeToString()), "rejected some: too old"),
        ((200, {"Content-Type": "application/x-protobuf"}, WARNED.SerializeToString()), ""),
        ((200, {"Content-Type": "application/json"}, b"{}"), ""),
        ((202, {}, b""), ""),
    ],
)
def test_an_answer_that_is_no_yes_is_told(sink: Sink, answer: tuple, problem: str) -> None:
    """The exporter of the SDK takes redirects, pages and half a yes for success; keys go to no other host."""
    push = OtlpPush(sink.url, timeout=5, text=lambda: "")
    sink.answer = answer
    if problem:
        with pytest.raises(ConnectionError, match=re.escape(problem)) as raised:
            push.collect()
        assert "pw" not in str(raised.value)
    else:
        assert push.collect() == []
    assert len(sink.requests) == 1


def test_histograms_keep_bounds_and_buckets() -> None:
    """OTLP counts each bucket for itself."""
    text = (
        "# TYPE peak_timed_call_duration_seconds histogram\n"
        'peak_timed_call_duration_seconds_bucket{call="x",le="0.1",process="p"} 2\n'
        'peak_timed_call_duration_seconds_bucket{call="x",le="1.0",process="p"} 5\n'
        'peak_timed_call_duration_seconds_bucket{call="x",le="+Inf",process="p"} 6\n'
        'peak_timed_call_duration_seconds_count{call="x",process="p"} 6\n'
        'peak_timed_call_duration_seconds_sum{call="x",process="p"} 9.5\n'
    )
    (resource,) = metrics_data(text, 1, 2).resource_metrics
    (metric,) = resource.scope_metrics[0].metrics
    (point,) = metric.data.data_points
    assert (point.bucket_counts, point.explicit_bounds) == ([2, 3, 1], [0.1, 1.0])
    assert (point.count, point.sum, point.start_time_unix_nano, point.time_unix_nano) == (6, 9.5, 1, 2)
    assert resource.resource.attributes["service.name"] == "p"


def test_unknown_values_and_foreign_families_are_left_out() -> None:
    """Nobody downstream can tell what they mean."""
    unknown = '# TYPE peak_backup_age_seconds gauge\npeak_backup_age_seconds{repository="x"} NaN\n'
    text = f"# TYPE other gauge\nother 1\n{unknown}"
    (resource,) = metrics_data(text, 1, 2).resource_metrics
    (metric,) = resource.scope_metrics[0].metrics
    assert list(metric.data.data_points) == []
