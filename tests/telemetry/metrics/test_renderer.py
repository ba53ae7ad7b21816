"""Our own text of our own families is what prometheus_client would write, byte for byte."""

import gc
import math
from copy import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from peak_observe import CircuitBreaker, retry_with_backoff
from peak_observe.catalog import BUCKETS, CALL_OUTCOMES, HEALTH_OUTCOMES, RETRY_OUTCOMES, STATES
from peak_observe.measures import BreakerReading, Exemplar, HealthReading, RetryReading
from peak_observe.telemetry.metrics import primitive_families
from peak_observe.telemetry.metrics.collector import PeakCollector
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.metrics.text_format import number
from tests.conftest import lint

COUNTS = st.integers(0, 2**60)
SECONDS = st.floats(0, 1e18)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def fixed(count: int, elements: st.SearchStrategy) -> st.SearchStrategy:
    """Return lists of one length."""
    return st.lists(elements, min_size=count, max_size=count)


@st.composite
def exemplars(draw: st.DrawFn, positions: int) -> dict[int, Exemplar]:
    """Return exemplars for some positions."""
    ids = st.builds(Exemplar, st.just("ab" * 16), st.just("cd" * 8), SECONDS, st.floats(1.0, 2e9))
    return draw(st.dictionaries(st.integers(0, positions - 1), ids, max_size=positions))


@st.composite
def breaker_readings(draw: st.DrawFn) -> BreakerReading:
    """Return whatever a breaker could tell."""
    reading = BreakerReading()
    reading.bounds = BUCKETS
    reading.state = draw(st.none() | st.integers(0, len(STATES) - 1))
    reading.calls = draw(fixed(len(CALL_OUTCOMES), COUNTS))
    reading.buckets = draw(fixed(len(BUCKETS) + 1, COUNTS))
    reading.duration_sum = draw(SECONDS)
    reading.transitions = draw(fixed(len(STATES), COUNTS))
    reading.state_seconds = draw(fixed(len(STATES), SECONDS))
    reading.last_transition = draw(st.floats(0, 2e9))
    reading.failure_threshold = draw(st.none() | st.integers(1, 2**40))
    reading.window = draw(st.none() | st.tuples(COUNTS, COUNTS, COUNTS))
    reading.recovery_timeout = draw(SECONDS)
    reading.exemplars = draw(exemplars(len(CALL_OUTCOMES)))
    reading.bucket_exemplars = draw(exemplars(len(BUCKETS) + 1))
    return reading


@st.composite
def retry_readings(draw: st.DrawFn) -> RetryReading:
    """Return whatever a retry could tell."""
    reading = RetryReading()
    reading.calls = draw(fixed(len(RETRY_OUTCOMES), COUNTS))
    reading.retries = draw(COUNTS)
    reading.nested = draw(COUNTS)
    reading.backoff_seconds = draw(SECONDS)
    reading.errors = draw(st.dictionaries(NAMES, COUNTS, max_size=3))
    reading.max_attempts = draw(st.integers(1, 2**40))
    reading.exemplars = draw(exemplars(len(RETRY_OUTCOMES)))
    return reading


@st.composite
def health_readings(draw: st.DrawFn) -> HealthReading:
    """Return whatever a check could tell, also one that has not run yet or is gone."""
    reading = HealthReading()
    reading.bounds = BUCKETS
    reading.runs = draw(fixed(len(HEALTH_OUTCOMES), COUNTS))
    reading.buckets = draw(fixed(len(BUCKETS) + 1, COUNTS))
    reading.duration_sum = draw(SECONDS)
    reading.healthy = draw(st.sampled_from([None, math.nan, 0.0, 1.0]))
    reading.last_run = None if reading.healthy is None else draw(st.floats(0, 2e9))
    reading.interval = None if reading.healthy is None else draw(st.one_of(st.just(math.nan), st.floats(0, 2e9)))
    reading.exemplars = draw(exemplars(len(HEALTH_OUTCOMES)))
    reading.bucket_exemplars = draw(exemplars(len(BUCKETS) + 1))
    return reading


READINGS = st.tuples(
    st.dictionaries(NAMES, breaker_readings(), max_size=3),
    st.dictionaries(NAMES, retry_readings(), max_size=3),
    st.dictionaries(NAMES, health_readings(), max_size=2),
)


def show(monkeypatch: pytest.MonkeyPatch, readings: tuple[dict, dict, dict]) -> None:
    """Let both writers see these readings."""
    breakers, retries, checks = (list(names.items()) for names in readings)
    found = [
        (primitive_families.BREAKER_FAMILIES, breakers),
        (primitive_families.RETRY_FAMILIES, retries),
        (primitive_families.HEALTH_FAMILIES, checks),
    ]
    monkeypatch.setattr(primitive_families, "read", lambda: found)


def theirs(*, openmetrics: bool) -> bytes:
    """Return what prometheus_client writes of our collector."""
    registry = CollectorRegistry()
    registry.register(PeakCollector())
    return generate_openmetrics(registry).removesuffix(b"# EOF\n") if openmetrics else generate_latest(registry)


# Readings are large, and on a busy machine with coverage on it takes a while to make them.
patient = settings(suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
@patient
@given(readings=READINGS)
def test_the_bytes_are_the_librarys(openmetrics: bool, readings: tuple) -> None:
    """Any name, any count, with exemplars where the format has them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        show(monkeypatch, readings)
        assert Renderer().render(openmetrics=openmetrics) == theirs(openmetrics=openmetrics)


@settings(patient, max_examples=min(40, patient.max_examples))  # each is up to four scrapes in two formats
@given(scrapes=st.lists(READINGS, min_size=2, max_size=4))
def test_what_is_kept_between_scrapes_is_never_stale(scrapes: list) -> None:
    """Whatever comes, goes or changes from one scrape to the next."""
    renderer = Renderer()
    with pytest.MonkeyPatch.context() as monkeypatch:
        for readings in scrapes:
            show(monkeypatch, (readings[0], _with_all_errors_of(scrapes, readings[1]), readings[2]))
            for openmetrics in (False, True):
                assert renderer.render(openmetrics=openmetrics) == theirs(openmetrics=openmetrics)


def _with_all_errors_of(scrapes: list, retries: dict) -> dict:
    # Classes of errors come and never go; here all are there from the start.
    found = {}
    for name, reading in retries.items():
        kinds = {kind: 0 for _, others, _ in scrapes if name in others for kind in others[name].errors}
        found[name] = copy(reading)
        found[name].errors = kinds | reading.errors
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.0"), (7, "7.0"), (0.1, "0.1"), (999_999, "999999.0"), (1e6, "1e+06"), (1.5e21, "1.5e+21"), (1e-7, "1e-07")],
)
def test_numbers_are_written_like_go_does(value: float, text: str) -> None:
    """From a million on with an exponent."""
    assert number(value) == text


def test_infinity_is_a_bound() -> None:
    """The last bucket's label."""
    assert number(math.inf) == "+Inf"


def test_real_primitives_round_trip_through_the_parser() -> None:
    """What is served parses back to what happened, quotes and line ends in a name included."""
    name = 'exposition "quoted"\\\n☃'
    breaker = CircuitBreaker(name=name)
    breaker.call(lambda: None)()
    retry_with_backoff(name=name)(lambda: None)()
    parsed = text_string_to_metric_families(Renderer().render().decode())
    found = {
        (sample.name, sample.labels.get("outcome")): sample.value
        for family in parsed
        for sample in family.samples
        if name in sample.labels.values()
    }
    assert found["peak_breaker_calls_total", "success"] == 1.0
    assert found["peak_retry_calls_total", "first_try"] == 1.0


def test_a_second_scrape_follows_the_first() -> None:
    """Calls made between two scrapes of one renderer show in the second."""
    breaker, renderer = CircuitBreaker(name="exposition.second"), Renderer()

    def successes() -> float:
        prefix = 'peak_breaker_calls_total{breaker="exposition.second",outcome="success"} '
        (line,) = [line for line in renderer.render().decode().splitlines() if line.startswith(prefix)]
        return float(line.removeprefix(prefix))

    assert successes() == 0
    breaker.call(lambda: None)()
    assert successes() == 1
    del breaker
    gc.collect()
    assert successes() == 1, "counts outlive the breaker"


def test_promtool_has_nothing_to_say() -> None:
    """The real linter, on real metrics of every family."""
    CircuitBreaker(name="exposition.lint")

    @retry_with_backoff(2, base_delay=0.001, name="exposition.lint")
    def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert lint(Renderer().render()) == ""
