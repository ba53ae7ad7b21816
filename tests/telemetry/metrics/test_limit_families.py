"""What bulkheads, rate limits and timeouts tell: samples, log lines, spans and log-based events."""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry, generate_latest

from peak_observe import (
    BulkheadFullError,
    CallTimeoutError,
    DeadlineExceededError,
    Policy,
    RateLimitedError,
    bulkhead,
    circuit_breaker,
    deadline,
    rate_limit,
    retry_with_backoff,
    timeout,
)
from peak_observe.catalog import LIMIT_OUTCOMES, TIMEOUT_OUTCOMES
from peak_observe.measures import BULKHEADS, BulkheadReading, RateLimitReading, TimeoutReading
from peak_observe.resilience.limits import Bulkhead
from peak_observe.telemetry.metrics import limit_families, primitive_families
from peak_observe.telemetry.metrics.collector import PeakCollector
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock
from tests.conftest import lint


async def hang() -> None:
    """Never end."""
    await asyncio.Event().wait()


@contextmanager
def held(limited: Bulkhead) -> Iterator[None]:
    """Take a place that the block does not belong to."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(limited.__enter__).result()
        yield
        thread.submit(limited.__exit__, None, None, None).result()


def places(count: int, limit: int | None) -> BulkheadReading:
    """Return the reading of a bulkhead, or of one that is gone."""
    reading = BulkheadReading()
    reading.calls, reading.wait_seconds = [count] * len(LIMIT_OUTCOMES), count / 3
    reading.limit = reading.in_flight = reading.waiting = limit
    return reading


def turns(count: int, rate: float | None) -> RateLimitReading:
    """Return the reading of a rate limit, or of one that is gone."""
    reading = RateLimitReading()
    reading.calls, reading.wait_seconds = [count] * len(LIMIT_OUTCOMES), count / 3
    reading.rate, reading.burst, reading.waiting, reading.pause = rate, rate and 3, rate and 1, rate and 0.5
    reading.weight, reading.classes = count * 2.0, {"default": (count, count / 3), "trade": (count, 0.0)}
    return reading


def times(count: int, seconds: float) -> TimeoutReading:
    """Return the reading of a timeout."""
    reading = TimeoutReading()
    reading.calls, reading.seconds = [count] * len(TIMEOUT_OUTCOMES), seconds
    return reading


SCRAPES = [
    (places(0, 8), turns(0, 2.5), times(0, 30.0)),
    (places(10**7, 8), turns(10**7, 2e6), times(10**7, 30.0)),
    (places(10**7, 9), turns(10**7, 1.0), times(10**7, 5.0)),
    (places(10**7, None), turns(10**7, None), times(10**7, 5.0)),
]


def test_the_bytes_are_the_librarys_and_promtool_is_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """From scrape to scrape of one renderer, with large numbers, new settings, and limits that go."""
    renderer, registry = Renderer(), CollectorRegistry()
    registry.register(PeakCollector())
    kinds = (limit_families.BULKHEAD_FAMILIES, limit_families.RATE_LIMIT_FAMILIES, limit_families.TIMEOUT_FAMILIES)
    texts = []
    for scrape in SCRAPES:
        found = [(family, [("kraken", reading)]) for family, reading in zip(kinds, scrape, strict=True)]
        monkeypatch.setattr(primitive_families, "read", lambda found=found: found)
        texts.append(renderer.render())
        assert texts[-1] == generate_latest(registry)
    assert b'peak_bulkhead_calls_total{bulkhead="kraken",outcome="after_wait"} 0.0\n' in texts[0]
    assert b'peak_rate_limit_calls_per_second{limiter="kraken"} 2e+06\n' in texts[1]
    assert b'peak_timeout_limit_seconds{operation="kraken"} 5.0\n' in texts[2]
    assert b"peak_bulkhead_in_flight{" not in texts[3]
    assert lint(texts[1]) == ""


def test_readings_of_one_name_add_up_and_know_what_changed() -> None:
    """So that a scrape renders only that; what only the living have goes with them."""
    assert places(1, 2).since(places(1, 2)) == turns(1, 2).since(turns(1, 2)) == (False, False, False)
    assert places(1, 2).since(places(2, 3)) == turns(1, 2).since(turns(2, 3)) == (True, True, True)
    assert times(1, 2).since(times(2, 3)) == (True, False, True)
    both, gone = turns(1, 2.0), turns(4, None)
    both.add(turns(2, 3.0))
    gone.add(both)
    assert (gone.calls, gone.rate, gone.burst, gone.waiting) == ([7] * 7, 5.0, 6, 2)
    assert (gone.weight, gone.pause, gone.classes["trade"]) == (14.0, 0.5, (7, 0.0))
    gone.retire()
    assert (gone.rate, gone.burst, gone.waiting, gone.pause) == (None, None, None, None)
    late = times(1, 2.0)
    late.add(times(2, 3.0))
    late.retire()
    assert (late.calls, late.seconds) == ([3, 3, 3], 3.0)


def test_refusals_and_timeouts_are_warnings(caplog: pytest.LogCaptureFixture) -> None:
    """With what is allowed, and how many were refused."""
    limited = bulkhead(1, name="limits.log")
    with held(limited), pytest.raises(BulkheadFullError), limited:
        pytest.fail("there is no place")
    turnstile = rate_limit(0.5, name="limits.log")
    with turnstile, pytest.raises(RateLimitedError), turnstile:
        pytest.fail("it is not its turn")
    with pytest.raises(CallTimeoutError):
        asyncio.run(timeout(0.01, name="limits.log")(hang)())
    assert [(record.name, record.levelno, record.getMessage()) for record in caplog.records] == [
        ("peak_observe.limits", logging.WARNING, "bulkhead 'limits.log' is full (1 under way): 1 refused"),
        ("peak_observe.limits", logging.WARNING, "rate limit 'limits.log' is used up (0.5 a second): 1 refused"),
        ("peak_observe.limits", logging.WARNING, "'limits.log' took longer than 0.01 s and was cancelled"),
    ]


def test_waits_are_spans_where_one_is_recorded(otel) -> None:
    """And calls that do not wait are none."""
    turnstile = rate_limit(1, wait=5, name="limits.turns", clock=ManualClock())
    with turnstile:
        pass
    with turnstile:
        pass
    assert otel.spans == []
    with trace.get_tracer("test").start_as_current_span("request"):
        with turnstile:
            pass
        with deadline(1), pytest.raises(DeadlineExceededError), turnstile:
            pytest.fail("its turn comes too late")
    assert [span.name for span in otel.spans] == ["request", "wait limits.turns"]
    (wait,) = otel.named("wait limits.turns")
    assert wait.attributes == {"peak_observe.limiter": "limits.turns"}
    assert wait.status.status_code is StatusCode.UNSET


def test_a_wait_in_vain_is_a_span_that_failed(otel, until) -> None:
    """With the kind of refusal."""
    limited = bulkhead(1, wait=0.01, name="limits.places")
    with ThreadPoolExecutor(1) as pool, held(limited), trace.get_tracer("test").start_as_current_span("request"):
        assert pool.submit(lambda: BULKHEADS.get("limits.places").read().in_flight).result(30) == 1
        with pytest.raises(BulkheadFullError), limited:
            pytest.fail("there is no place")
    (wait,) = otel.named("wait limits.places")
    assert wait.status.status_code is StatusCode.ERROR
    assert wait.attributes["error.type"] == "peak_observe.errors.BulkheadFullError"


def test_they_are_log_based_events(otel) -> None:
    """With their facts as attributes."""
    limited = bulkhead(1, name="limits.events")
    with held(limited), pytest.raises(BulkheadFullError), limited:
        pytest.fail("there is no place")
    with pytest.raises(CallTimeoutError):
        asyncio.run(timeout(0.01, name="limits.events")(hang)())
    assert [(event.event_name, dict(event.attributes)) for event in otel.events] == [
        (
            "peak_observe.limit.reached",
            {
                "peak_observe.kind": "bulkhead",
                "peak_observe.name": "limits.events",
                "peak_observe.refused": 1,
                "peak_observe.limit": 1,
                "peak_observe.mode": "enforce",
            },
        ),
        ("peak_observe.timeout.timed_out", {"peak_observe.operation": "limits.events", "peak_observe.seconds": 0.01}),
    ]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("tracing", ["auto", "off"])
def test_a_policy_is_traced_like_the_decorators_that_it_is_made_of(otel, tracing: str, asynchronous: bool) -> None:
    """Each part as it was told, whatever the other does."""

    def work() -> None:
        pass

    async def later() -> None:
        pass

    policy = Policy(circuit_breaker(name="limits.circuit"), retry_with_backoff(name="limits.retry", tracing=tracing))
    protected = policy(later if asynchronous else work)
    with trace.get_tracer("test").start_as_current_span("request"):
        asyncio.run(protected()) if asynchronous else protected()
    retried = ["call limits.retry", "attempt limits.retry"] if tracing == "auto" else []
    assert [span.name for span in otel.spans] == ["request", "call limits.circuit", *retried]
