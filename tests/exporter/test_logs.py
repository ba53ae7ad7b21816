"""The exporter's log: a line an event, without secrets, and a traceback for nobody who did not ask."""

import json
import logging

import pytest

from peak_observe.exporter.logs import LineFormatter


def record(message: str, error: BaseException | None = None, level: int = logging.WARNING) -> logging.LogRecord:
    """Return an event."""
    info = (type(error), error, None) if error else None
    made = logging.LogRecord("peak_observe.exporter", level, __file__, 1, message, (), info)
    made.created = 1_767_582_000.25
    return made


def test_logfmt_quotes_what_needs_it() -> None:
    """Also quotes and newlines, so that a line is an event."""
    assert LineFormatter("logfmt").format(record('two words "and\nmore"')) == (
        'time=2026-01-05T03:00:00.250+00:00 level=warn logger=peak_observe.exporter msg="two words \\"and\\nmore\\""'
    )
    assert (
        LineFormatter("logfmt")
        .format(record("one", level=logging.INFO))
        .endswith("level=info logger=peak_observe.exporter msg=one")
    )


def test_json_is_an_object_a_line() -> None:
    """With the same facts."""
    assert json.loads(LineFormatter("json").format(record("ü"))) == {
        "time": "2026-01-05T03:00:00.250+00:00",
        "level": "warn",
        "logger": "peak_observe.exporter",
        "msg": "ü",
    }


def test_an_error_is_named_on_the_line() -> None:
    """Its traceback is for the level debug."""
    line = LineFormatter("logfmt").format(record("failed; token=abc", ValueError("no; token=abc")))
    assert line.endswith('msg="failed; token=***" error="ValueError: no; token=***"')


def test_debug_has_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same line."""
    monkeypatch.setattr(logging.getLogger("peak_observe"), "level", logging.DEBUG)
    logging.getLogger("peak_observe").manager._clear_cache()
    line = LineFormatter("json").format(record("failed", ValueError("no")))
    logging.getLogger("peak_observe").manager._clear_cache()
    assert "ValueError: no" in json.loads(line)["trace"]
