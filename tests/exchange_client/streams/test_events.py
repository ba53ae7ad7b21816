"""What observers, the log and OpenTelemetry are told of streams."""

import logging
from datetime import UTC, datetime

import pytest

from peak_observe import StreamBroken, StreamResumed
from peak_observe.observers import emit
from peak_observe.telemetry.tracing.log_events import as_record, severity_of

AT = datetime(2026, 11, 28, tzinfo=UTC)
LOST = StreamBroken("kraken", "orders", "closed with code 1012", "ws.kraken.com/v2", AT, 1012)
BACK = StreamResumed("kraken", "orders", "closed with code 1012", "ws.kraken.com/v2", AT, 3.25)


def test_each_has_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """With the reason, the address, and what to do then."""
    caplog.set_level(logging.INFO, "peak_observe.stream")
    emit(LOST)
    emit(BACK)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "stream 'orders' of 'kraken' is broken: closed with code 1012 (ws.kraken.com/v2)"),
        (
            "INFO",
            "stream 'orders' of 'kraken' is back after 3.2 s (closed with code 1012): fetch what happened meanwhile",
        ),
    ]
    assert caplog.records[0].peak_code == 1012


def test_a_storm_of_reconnects_is_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """One of each kind in 30 seconds, and each stream has its own."""
    caplog.set_level(logging.INFO, "peak_observe.stream")
    for _ in range(100):
        emit(LOST)
        emit(BACK)
        emit(LOST._replace(stream="ticker"))
    assert len(caplog.records) == 3


def test_each_is_an_event_of_opentelemetry() -> None:
    """With its facts as attributes; what is not known is left out."""
    name, attributes = as_record(LOST)
    assert name == "peak_observe.stream.broken"
    assert attributes == {
        "peak_observe.exchange": "kraken",
        "peak_observe.stream": "orders",
        "peak_observe.reason": "closed with code 1012",
        "peak_observe.address": "ws.kraken.com/v2",
        "peak_observe.code": 1012,
    }
    assert "peak_observe.code" not in as_record(LOST._replace(code=None))[1]
    name, attributes = as_record(BACK)
    assert (name, attributes["peak_observe.seconds"]) == ("peak_observe.stream.resumed", 3.25)
    assert severity_of(LOST)[1] == "WARNING"
