"""What health checks tell Prometheus, OpenTelemetry and the log."""

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

import peak_observe
from peak_observe import HealthCheck
from peak_observe.catalog import HEALTH_OUTCOMES
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock

TRACER = trace.get_tracer("tests")


@pytest.fixture
def health() -> HealthCheck:
    """A registry on a clock of its own."""
    return HealthCheck(clock=ManualClock())


@pytest.fixture
def scrape() -> Callable[[str], dict[str, float]]:
    """A function that returns all samples of a check; names are without their prefix."""
    registry = CollectorRegistry()
    peak_observe.register(registry)

    def samples(check: str) -> dict[str, float]:
        found = {}
        for family in registry.collect():
            for sample in family.samples:
                if sample.labels.get("check") == check:
                    rest = ",".join(value for label, value in sample.labels.items() if label != "check")
                    found[sample.name.removeprefix("peak_health_check_") + (f"/{rest}" if rest else "")] = sample.value
        return found

    return samples


def test_every_series_exists_from_registration_on(health: HealthCheck, scrape: Callable) -> None:
    """Counters at 0; the gauge says by NaN that nothing is known yet."""
    health.register("metrics.new", lambda: True)
    found = scrape("metrics.new")
    assert [found[f"runs_total/{outcome}"] for outcome in HEALTH_OUTCOMES] == [0, 0, 0, 0]
    assert math.isnan(found["healthy"])
    assert found["last_run_timestamp_seconds"] == found["duration_seconds_count"] == 0
    assert b'peak_health_check_healthy{check="metrics.new"} NaN\n' in Renderer().render()


def test_runs_are_counted_by_outcome(health: HealthCheck, scrape: Callable) -> None:
    """Each by what it found itself."""
    over = threading.Event()
    answers = iter([True, False, None])
    health.register("metrics.counted", lambda: over.wait(60) if (a := next(answers, over)) is over else a, timeout=0.2)
    for _ in range(5):
        health.run_all()
    over.set()
    found = scrape("metrics.counted")
    assert [found[f"runs_total/{outcome}"] for outcome in HEALTH_OUTCOMES] == [1, 1, 1, 2]
    assert found["healthy"] == 0
    assert found["last_run_timestamp_seconds"] == health._clock.now().timestamp()
    assert found["duration_seconds_count"] == 4, "the fifth one was not begun, as the fourth still hung"
    assert 0.2 <= found["duration_seconds_sum"] < 30


def test_the_gauge_follows_the_thresholds(health: HealthCheck, scrape: Callable) -> None:
    """And the counters do not."""
    answers = iter([True, False, False])
    health.register("metrics.thresholds", lambda: next(answers), failure_threshold=2)
    seen = []
    for _ in range(3):
        health.run_all()
        seen.append(scrape("metrics.thresholds")["healthy"])
    assert seen == [1, 1, 0]
    assert scrape("metrics.thresholds")["runs_total/unhealthy"] == 2


def test_a_skipped_check_is_not_healthy_and_did_not_run(health: HealthCheck, scrape: Callable) -> None:
    """So that an alert on checks that do not run sees it."""
    health.register("metrics.root", lambda: False)
    health.register("metrics.leaf", lambda: True, depends_on="metrics.root")
    health.run_all()
    found = scrape("metrics.leaf")
    assert (found["healthy"], found["last_run_timestamp_seconds"], found["runs_total/healthy"]) == (0, 0, 0)


def test_a_removed_check_leaves_its_counters_only(health: HealthCheck, scrape: Callable) -> None:
    """Counters never fall; gauges of what is gone would lie."""
    health.register("metrics.gone", lambda: True)
    health.run_all()
    health.unregister("metrics.gone")
    found = scrape("metrics.gone")
    assert found["runs_total/healthy"] == 1
    assert not {"healthy", "last_run_timestamp_seconds"} & set(found)
    health.register("metrics.gone", lambda: False)
    health.run_all()
    found = scrape("metrics.gone")
    assert (found["runs_total/healthy"], found["runs_total/unhealthy"], found["healthy"]) == (1, 1, 0)


def test_of_two_registries_the_worse_check_shows(health: HealthCheck, scrape: Callable) -> None:
    """A name is a series, whoever uses it."""
    other = HealthCheck(clock=ManualClock())
    health.register("metrics.shared", lambda: True)
    other.register("metrics.shared", lambda: False)
    health.run_all()
    assert scrape("metrics.shared")["healthy"] == 1
    other.run_all()
    assert scrape("metrics.shared")["healthy"] == 0


def test_each_run_is_a_span(otel, health: HealthCheck) -> None:
    """A child of the caller's, with what it found; spans of the check's own nest in it."""

    def check() -> bool:
        TRACER.start_span("query").end()
        return False

    async def asynchronous() -> bool:
        TRACER.start_span("async query").end()
        return True

    health.register("span.plain", check)
    health.register("span.async", asynchronous)
    with TRACER.start_as_current_span("caller"):
        health.run_all()
    (caller,) = otel.named("caller")
    for name, child, outcome in (("plain", "query", "unhealthy"), ("async", "async query", "healthy")):
        (span,) = otel.named(f"health.check span.{name}")
        assert span.parent.span_id == caller.context.span_id
        assert dict(span.attributes) == {"peak_observe.check": f"span.{name}", "peak_observe.outcome": outcome}
        assert span.status.status_code is StatusCode.UNSET
        assert otel.named(child)[0].parent.span_id == span.context.span_id


def test_a_run_on_the_callers_loop_is_a_span_too(otel, health: HealthCheck) -> None:
    """In the trace of the task that asked."""

    async def check() -> bool:
        return True

    async def main() -> None:
        health.register("span.loop", check)
        health.register("span.thread", lambda: True)
        with TRACER.start_as_current_span("task"):
            await health.async_run_all()

    asyncio.run(main())
    (task,) = otel.named("task")
    for name in ("span.loop", "span.thread"):
        (span,) = otel.named(f"health.check {name}")
        assert span.parent.span_id == task.context.span_id


def test_a_check_that_raises_is_an_error_without_secrets(otel, health: HealthCheck) -> None:
    """With the class of what was raised."""

    def check() -> None:
        raise ConnectionError("GET https://x.example/y?signature=hunter2")

    health.register("span.error", check)
    health.run_all()
    (span,) = otel.named("health.check span.error")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ConnectionError"
    assert "hunter2" not in span.to_json()


def test_a_sampled_run_is_an_exemplar(otel, health: HealthCheck) -> None:
    """The way from the latency on the dashboard to the trace."""
    health.register("span.exemplar", lambda: True)
    health.run_all()
    (span,) = otel.named("health.check span.exemplar")
    text = Renderer().render(openmetrics=True).decode()
    lines = [line for line in text.splitlines() if 'check="span.exemplar"' in line and "trace_id" in line]
    assert lines
    assert all(f'trace_id="{span.context.trace_id:032x}"' in line for line in lines)


def test_a_change_is_a_log_based_event(otel, health: HealthCheck) -> None:
    """With check, verdict, status and message."""
    health.register("event.api", lambda: (False, "down; token=hunter2"))
    health.run_all()
    (event,) = otel.events
    assert event.event_name == "peak_observe.health.changed"
    assert dict(event.attributes) == {
        "peak_observe.check": "event.api",
        "peak_observe.healthy": False,
        "peak_observe.status": "unhealthy",
        "peak_observe.message": "down; token=***",
    }


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """What is logged about health, from debug on."""
    logger, records = logging.getLogger("peak_observe.health"), []
    handler = logging.Handler()
    handler.emit = records.append
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_change_is_one_line(lines, health: HealthCheck) -> None:
    """A failure is a warning, a recovery information, and what stays is silence."""
    answers = iter([False, False, True])
    health.register("log.api", lambda: (next(answers), "said 100 %s"))
    for _ in range(3):
        health.run_all()
    assert [(line.levelname, line.getMessage()) for line in lines] == [
        ("WARNING", "check 'log.api' is unhealthy: said 100 %s"),
        ("INFO", "check 'log.api' is healthy: said 100 %s"),
    ]
    assert (lines[0].peak_event, lines[0].peak_name, lines[0].peak_status) == ("HealthChanged", "log.api", "unhealthy")


def test_the_interval_of_a_check_shows(scrape: Callable) -> None:
    """As is usual where only probes run it, without the longest gap, which may be an outage; as scheduled else."""
    clock = ManualClock()
    health = HealthCheck(clock=clock)
    health.register("metrics.rhythm", lambda: True)
    for gap in (30, 30, 7200, 30, 30):
        assert math.isnan(scrape("metrics.rhythm")["interval_seconds"])
        health.run_all()
        clock.advance(gap)
    health.run_all()
    assert scrape("metrics.rhythm")["interval_seconds"] == 30
    health.start(interval=120)
    assert scrape("metrics.rhythm")["interval_seconds"] == 120
    health.stop()
