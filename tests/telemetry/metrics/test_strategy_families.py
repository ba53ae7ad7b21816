"""What hedges, timed calls, chaos and reloads tell: samples, log lines, spans and log-based events."""

import asyncio
import logging

import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry, generate_latest

from peak_observe import catalog, hedge
from peak_observe.events import HedgeFailed, PolicyReloaded
from peak_observe.measures import ChaosReading, HedgeReading, ReloadReading, TimedReading
from peak_observe.observers import emit
from peak_observe.telemetry.metrics import primitive_families, strategy_families
from peak_observe.telemetry.metrics.collector import PeakCollector
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock
from tests.conftest import lint

KINDS = (
    strategy_families.HEDGE_FAMILIES,
    strategy_families.TIMED_FAMILIES,
    strategy_families.CHAOS_FAMILIES,
    strategy_families.RELOAD_FAMILIES,
)


def readings(count: int, *, alive: bool = True) -> tuple[HedgeReading, TimedReading, ChaosReading, ReloadReading]:
    """Return one reading of each kind."""
    hedged, timed, chaos, reloads = HedgeReading(), TimedReading(), ChaosReading(), ReloadReading()
    hedged.calls, hedged.started, hedged.refused, hedged.after = [count] * len(catalog.HEDGE_OUTCOMES), count, 0, 0.5
    timed.bounds, timed.buckets, timed.duration_sum, timed.bucket_exemplars = (0.1, 1.0), [count, 0, 1], count / 3, {}
    chaos.calls, chaos.ratio = [count] * len(catalog.CHAOS_OUTCOMES), 0.02
    reloads.success, reloads.last_success = count > 1, 1.7e9
    if not alive:
        chaos.retire()
        reloads.retire()
    return hedged, timed, chaos, reloads


def test_the_text_is_what_prometheus_client_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after changes, and when nothing of a name lives any more."""
    renderer, registry = Renderer(), CollectorRegistry()
    registry.register(PeakCollector())
    texts = []
    for scrape in (readings(0), readings(2), readings(2), readings(3, alive=False)):
        found = [(family, [("kraken", reading)]) for family, reading in zip(KINDS, scrape, strict=True)]
        monkeypatch.setattr(primitive_families, "read", lambda found=found: found)
        texts.append(renderer.render())
        assert texts[-1] == generate_latest(registry)
    assert b'peak_hedge_calls_total{operation="kraken",outcome="hedge"} 0.0\n' in texts[0]
    assert b'peak_policy_reload_success{policy="kraken"} 0.0\n' in texts[0]
    assert b'peak_policy_reload_success{policy="kraken"} 1.0\n' in texts[1]
    assert b'peak_timed_call_duration_seconds_count{call="kraken"} 3.0\n' in texts[2]
    assert b'peak_chaos_ratio{operation="kraken"} 0.02\n' in texts[2]
    assert b"peak_chaos_ratio{" not in texts[3]
    assert b"peak_policy_reload_success{" not in texts[3]
    assert lint(texts[1]) == ""


def test_readings_of_a_name_add_up() -> None:
    """Counts are sums; of settings and states the one shows that somebody has to know of."""
    one, other = readings(1), readings(2)
    for mine, its in zip(one, other, strict=True):
        mine.add(its)
    hedged, timed, chaos, reloads = one
    assert (hedged.calls[0], hedged.started, timed.buckets, timed.duration_sum) == (3, 3, [3, 0, 2], 1.0)
    assert (chaos.calls[0], chaos.ratio) == (3, 0.02)
    assert reloads.success is False
    gone = readings(1, alive=False)[3]
    gone.add(readings(2)[3])
    assert (gone.success, gone.last_success) == (True, 1.7e9)


def test_each_request_of_a_hedged_call_is_a_span(otel) -> None:
    """Below the current one, with its number; the loser that was cancelled did not fail."""
    asked = []

    async def work() -> str:
        asked.append(True)
        if len(asked) == 1:
            await asyncio.Event().wait()
        return "hedge"

    with trace.get_tracer("test").start_as_current_span("outer") as outer:
        asyncio.run(hedge(name="families.spans", clock=ManualClock())(work)())
    spans = otel.named("request families.spans")
    assert sorted(span.attributes["peak_observe.request"] for span in spans) == [0, 1]
    assert {span.parent.span_id for span in spans} == {outer.get_span_context().span_id}
    assert all(span.status.is_unset for span in spans)


def test_they_are_log_based_events_and_log_lines(otel, caplog: pytest.LogCaptureFixture) -> None:
    """With their facts, and the error without its secrets; errors of one name are throttled."""
    error = ConnectionError("https://api.test/?apiKey=0123456789abcdef0123456789abcdef")
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            emit(HedgeFailed("candles", 1, error))
        emit(PolicyReloaded("kraken", "bot.toml", success=False, message="bot.toml: not valid TOML"))
    first, *_, last = [(event.event_name, dict(event.attributes)) for event in otel.events]
    assert first[0] == "peak_observe.hedge.failed"
    assert (first[1]["peak_observe.operation"], first[1]["peak_observe.request"]) == ("candles", 1)
    assert first[1]["error.type"] == "ConnectionError"
    assert last == (
        "peak_observe.policy.reloaded",
        {
            "peak_observe.policy": "kraken",
            "peak_observe.path": "bot.toml",
            "peak_observe.success": False,
            "peak_observe.message": "bot.toml: not valid TOML",
        },
    )
    lines = [(record.name, record.levelname) for record in caplog.records]
    assert lines == [("peak_observe.hedge", "INFO"), ("peak_observe.policy", "ERROR")]
    assert "0123456789abcdef" not in caplog.text
