"""The one collector in a registry of prometheus_client."""

import gc
import re

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, generate_latest

import peak_observe
from peak_observe import CircuitBreaker, CircuitOpenError, catalog, circuit_breaker, retry_with_backoff
from peak_observe.telemetry.metrics import primitive_families
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock


def fail() -> None:
    """Fail like an exchange that is away."""
    raise ConnectionError


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry that serves our metrics."""
    registry = CollectorRegistry()
    peak_observe.register(registry)
    return registry


def of(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one primitive, keyed by metric and the labels that are not its name."""
    return {
        (sample.name, *(value for value in sample.labels.values() if value != name)): sample.value
        for family in registry.collect()
        for sample in family.samples
        if name in sample.labels.values()
    }


def test_every_series_of_a_breaker_exists_at_once(registry) -> None:
    """At 0, so that the first failure is an increase."""
    CircuitBreaker(7, 45.0, name="collector.new")
    breaker = CircuitBreaker(7, 45.0, name="collector.new")
    found = of(registry, "collector.new")
    expected = {
        **{("peak_breaker_state", state): float(state == "closed") for state in catalog.STATES},
        **{("peak_breaker_calls_total", outcome): 0.0 for outcome in catalog.CALL_OUTCOMES},
        **{("peak_breaker_transitions_total", state): 0.0 for state in catalog.STATES},
        **{("peak_breaker_call_duration_seconds_bucket", str(bound)): 0.0 for bound in catalog.BUCKETS},
        ("peak_breaker_call_duration_seconds_bucket", "+Inf"): 0.0,
        ("peak_breaker_call_duration_seconds_count",): 0.0,
        ("peak_breaker_call_duration_seconds_sum",): 0.0,
        ("peak_breaker_last_transition_timestamp_seconds",): 0.0,
        ("peak_breaker_failure_threshold",): 7.0,
        ("peak_breaker_recovery_timeout_seconds",): 45.0,
    }
    assert {key: found[key] for key in expected} == expected
    assert set(found) - set(expected) == {("peak_breaker_state_seconds_total", state) for state in catalog.STATES}
    assert breaker.name == "collector.new"


def test_every_series_of_a_retry_exists_at_once(registry) -> None:
    """Errors by class aside, which begin with the first error of a class."""
    protected = retry_with_backoff(4, name="collector.retry")(fail)
    assert of(registry, "collector.retry") == {
        **{("peak_retry_calls_total", outcome): 0.0 for outcome in catalog.RETRY_OUTCOMES},
        ("peak_retry_retries_total",): 0.0,
        ("peak_retry_backoff_seconds_total",): 0.0,
        ("peak_retry_nested_total",): 0.0,
        ("peak_retry_max_attempts",): 4.0,
    }
    assert protected


def test_what_happened_is_what_is_read(registry) -> None:
    """Outcomes, latency, transitions, retries, errors and waiting of one bad night."""
    clock = ManualClock()

    @circuit_breaker(1, 60, name="collector.night", clock=clock)
    @retry_with_backoff(3, name="collector.night", clock=clock)
    def fetch(seconds: float) -> None:
        clock.advance(seconds)
        fail()

    with pytest.raises(ConnectionError):
        fetch(2.0)
    with pytest.raises(CircuitOpenError):
        fetch(2.0)
    found = of(registry, "collector.night")
    assert found["peak_breaker_state", "open"] == 1.0
    assert found["peak_breaker_calls_total", "failure"] == 1.0
    assert found["peak_breaker_calls_total", "rejected"] == 1.0
    assert found["peak_breaker_transitions_total", "open"] == 1.0
    assert found["peak_breaker_call_duration_seconds_sum",] == 9.0  # three attempts of 2 s, waits of 1 and 2 s
    assert found["peak_breaker_call_duration_seconds_bucket", "5.0"] == 0.0
    assert found["peak_breaker_call_duration_seconds_bucket", "10.0"] == 1.0
    assert found["peak_breaker_last_transition_timestamp_seconds",] == clock.now().timestamp()
    assert found["peak_retry_calls_total", "exhausted"] == 1.0
    assert found["peak_retry_retries_total",] == 2.0
    assert found["peak_retry_errors_total", "ConnectionError"] == 3.0
    assert found["peak_retry_backoff_seconds_total",] == 3.0


def test_time_alone_changes_what_is_read(registry) -> None:
    """An open circuit that is due for a probe shows half-open though nobody called, and its seconds add up."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 60, name="collector.time", clock=clock)
    with pytest.raises(ConnectionError):
        breaker.call(fail)()
    clock.advance(90)
    found = of(registry, "collector.time")
    assert found["peak_breaker_state", "half_open"] == 1.0
    assert found["peak_breaker_state", "open"] == 0.0
    assert found["peak_breaker_transitions_total", "half_open"] == 1.0
    assert found["peak_breaker_state_seconds_total", "open"] == 60.0
    assert found["peak_breaker_state_seconds_total", "half_open"] == 30.0


def test_counts_outlive_the_breaker(registry) -> None:
    """A counter never falls; a state that nobody is in is 0 everywhere."""
    breaker = CircuitBreaker(name="collector.gone")
    breaker.call(lambda: None)()
    del breaker
    gc.collect()
    found = of(registry, "collector.gone")
    assert found["peak_breaker_calls_total", "success"] == 1.0
    assert sum(found["peak_breaker_state", state] for state in catalog.STATES) == 0.0


def test_registering_twice_is_once(registry) -> None:
    """A module that is imported twice does no harm."""
    first = peak_observe.register(registry)
    assert peak_observe.register(registry) is first
    assert generate_latest(registry).count(b"# TYPE peak_breaker_state ") == 1


def test_what_was_unregistered_can_be_registered_again(registry) -> None:
    """And is served again."""
    registry.unregister(peak_observe.register(registry))
    assert list(registry.collect()) == []
    peak_observe.register(registry)
    assert generate_latest(registry).count(b"# TYPE peak_breaker_state ") == 1


def test_the_default_registry_is_the_default() -> None:
    """The one that `prometheus_client.start_http_server` serves."""
    collector = peak_observe.register()
    try:
        assert b"peak_observe_build_info{" in generate_latest(REGISTRY)
        assert b"peak_observe_start_time_seconds 1" in generate_latest(REGISTRY)
    finally:
        REGISTRY.unregister(collector)


def test_a_clash_of_names_is_said_at_once() -> None:
    """By the registry itself, whoever comes second."""
    taken = CollectorRegistry()
    Gauge("peak_breaker_state", "Not ours.", registry=taken)
    with pytest.raises(ValueError, match="peak_breaker_state"):
        peak_observe.register(taken)
    ours = CollectorRegistry()
    peak_observe.register(ours)
    with pytest.raises(ValueError, match="peak_breaker_calls"):
        Counter("peak_breaker_calls", "Not ours.", registry=ours)


def test_every_metric_of_the_catalogue_is_served(registry) -> None:
    """Those of a process in their order, with kind and help; none besides."""
    served = [(family.name, family.type, family.documentation) for family in registry.collect()]
    ours = catalog.IN_PROCESS
    assert served == [(metric.name.removesuffix("_total"), metric.kind, metric.help) for metric in ours]
    described = {family.metric for families_of_kind, _ in primitive_families.read() for family in families_of_kind}
    itself = {catalog.OBSERVE_BUILD_INFO, catalog.OBSERVE_START_TIME_SECONDS, catalog.OBSERVE_TIME_SECONDS}
    assert described | itself == set(ours)


def test_the_clock_of_the_process_is_read_at_each_scrape(registry, standing) -> None:
    """Of the collector and of the renderer, which keeps what does not change."""
    renderer, line = Renderer(), re.compile(r"^peak_observe_time_seconds (\S+)$", re.MULTILINE)
    reads = [
        lambda: registry.get_sample_value("peak_observe_time_seconds"),
        lambda: float(line.search(renderer.render().decode())[1]),
    ]
    for read in [*reads, *reads]:
        standing.advance(1.5)
        assert read() == standing.now().timestamp()


def test_labels_are_those_of_the_catalogue(registry) -> None:
    """Besides `le` none that is not written there."""
    CircuitBreaker(name="collector.labels")
    retry_with_backoff(name="collector.labels")(fail)
    labels = {metric.name.removesuffix("_total"): set(metric.labels) for metric in catalog.METRICS}
    for family in registry.collect():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels[family.name]
