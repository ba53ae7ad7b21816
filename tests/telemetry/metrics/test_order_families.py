"""Metrics of the order journal, in `/metrics` and behind it."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from peak_observe import (
    OrderJournal,
    OrderSettled,
    OrderTimes,
    OrderUnresolved,
    OutcomeUnknown,
    ResilientExchangeClient,
    observe,
)
from peak_observe.telemetry import log
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.tracing import spans
from peak_observe.telemetry.tracing.log_events import as_record, severity_of
from peak_observe.testing import FakeExchange, Fault

TIMES = {"kraken": OrderTimes(deadline=2.0, visibility=0.0, interval=0.05)}


def samples(name: str) -> dict[tuple[str, str], float]:
    """Return the series of an exchange by metric, and state or outcome."""
    return {
        (sample.name, sample.labels.get("state") or sample.labels.get("outcome") or ""): sample.value
        for family in text_string_to_metric_families(Renderer().render().decode())
        for sample in family.samples
        if sample.labels.get("exchange") == name and sample.name.startswith("peak_orders")
        if "le" not in sample.labels
    }


@pytest.fixture
def fake() -> Iterator[FakeExchange]:
    """Return an exchange."""
    with FakeExchange() as fake:
        yield fake


def client(fake: FakeExchange, name: str, path: Path) -> ResilientExchangeClient:
    """Return a client with a journal."""
    journal = OrderJournal(path / "orders.sqlite", times=TIMES)
    return ResilientExchangeClient("kraken", fake.config(), name=name, health=None, journal=journal, max_attempts=1)


def test_all_series_are_there_from_the_beginning(fake, tmp_path) -> None:
    """At 0."""
    with client(fake, "orders.zero", tmp_path):
        found = samples("orders.zero")
    assert len(found) == 6 + 2 + 5 + 2
    assert not any(found.values())


def test_orders_are_counted_by_state_and_outcome(fake, tmp_path) -> None:
    """One stands, one has an unknown fate, which is pending until it is known."""
    name = "orders.counted"
    with client(fake, name, tmp_path) as bot:
        bot.submit("a", "BTC/USD", "limit", "buy", 0.1, 40_000)
        fake.fail(Fault.status(502), path="*Orders")
        fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
        with pytest.raises(OutcomeUnknown):
            bot.submit("b", "BTC/USD", "limit", "buy", 0.1, 40_000)
        found = samples(name)
        assert [found["peak_orders_total", state] for state in ("intended", "sent", "open", "unknown")] == [2, 2, 1, 1]
        assert found["peak_orders_pending", ""] == 1
        assert 1 < found["peak_orders_oldest_pending_seconds", ""] < 60
        assert found["peak_orders_reconciled_total", "unknown"] == 1
        fake.heal()
        bot.reconcile()
        found = samples(name)
    assert found["peak_orders_pending", ""] == found["peak_orders_oldest_pending_seconds", ""] == 0
    assert found["peak_orders_reconciled_total", "open"] == 1
    assert found["peak_orders_reconcile_duration_seconds_count", ""] == 1


def test_a_journal_that_cannot_be_read_spoils_no_scrape(fake, tmp_path) -> None:
    """Its gauges are left out; the counters stay."""
    with client(fake, "orders.broken", tmp_path) as bot:
        bot.journal.close()
        (tmp_path / "orders.sqlite").write_bytes(b"no database" * 1000)
        found = samples("orders.broken")
    assert ("peak_orders_pending", "") not in found
    assert found["peak_orders_total", "sent"] == 0


def test_what_is_pending_goes_with_the_client(fake, tmp_path) -> None:
    """The counters stay, for the life of the process."""
    name = "orders.gone"
    bot = client(fake, name, tmp_path)
    bot.submit("a", "BTC/USD", "limit", "buy", 0.1, 40_000)
    bot.close()
    del bot
    gc.collect()
    found = samples(name)
    assert ("peak_orders_pending", "") not in found
    assert found["peak_orders_total", "open"] == 1


def test_an_order_whose_fate_is_known_is_no_lost_write(fake, tmp_path) -> None:
    """The alert for writes of unknown fate is for those that nobody looks up."""
    name = "orders.writes"
    with client(fake, name, tmp_path) as bot:
        fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
        bot.submit("a", "BTC/USD", "limit", "buy", 0.1, 40_000)
        lines = Renderer().render().decode().splitlines()
    writes = [line for line in lines if line.startswith(f'peak_exchange_writes_total{{exchange="{name}"')]
    assert {line.rpartition(" ")[0].partition('outcome="')[2][:-2]: line.rpartition(" ")[2] for line in writes}[
        "success"
    ] == "1.0"
    assert not [line for line in writes if "ambiguous" in line and not line.endswith(" 0.0")]


def test_events_tell_what_became_of_an_order(fake, tmp_path) -> None:
    """Once unknown, once settled; in the log and as records, with key and client order id."""
    seen = []
    stop = observe(seen.append)
    try:
        with client(fake, "orders.events", tmp_path) as bot:
            fake.fail(Fault.status(502), path="*Orders")
            fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
            with pytest.raises(OutcomeUnknown):
                bot.submit("a", "BTC/USD", "limit", "buy", 0.1, 40_000)
            fake.heal()
            bot.reconcile()
    finally:
        stop()
    unresolved, settled = (event for event in seen if isinstance(event, OrderUnresolved | OrderSettled))
    assert (unresolved.key, settled.key, settled.outcome) == ("a", "a", "open")
    assert "the look-up failed" in unresolved.reason
    _, level, message, values = log.line(unresolved)
    assert level == log.ERROR
    assert "'orders.events' 'a' (limit buy 0.1 BTC/USD at 40000" in message % values
    name, facts = as_record(settled)
    assert name == "peak_observe.order.settled"
    assert facts["peak_observe.exchange"] == "orders.events"
    assert severity_of(settled)[1] == "INFO"


def test_each_intent_has_a_span(fake, tmp_path, monkeypatch) -> None:
    """With its key and its last state; the requests belong to its trace."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(spans, "_current_tracer", lambda: provider.get_tracer("peak_observe"))
    with client(fake, "orders.spans", tmp_path) as bot:
        bot.submit("a", "BTC/USD", "limit", "buy", 0.1, 40_000)
        bot.reconcile()
    found = {span.name: span for span in kept.get_finished_spans()}
    span = found["orders.spans submit"]
    assert span.attributes["peak_observe.order.key"] == "a"
    assert span.attributes["peak_observe.order.state"] == "open"
    assert span.attributes["peak_observe.order.sends"] == 1
    assert found["orders.spans POST private/AddOrder"].context.trace_id == span.context.trace_id
    assert "orders.spans reconcile" in found
