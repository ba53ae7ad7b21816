"""All sources: exchanged as a whole, told of one by one, and never more threads than are needed."""

import logging
import threading

import pytest

from peak_observe.exporter.sources.metric_block import Block
from peak_observe.exporter.sources.poller import Status
from peak_observe.exporter.sources.registry import MAX_STRAYS, Definition, Sources, told

PATIENCE = 120.0


class Source:
    """A source that tells its name, and hangs where it is told to."""

    def __init__(self, name: str, gate: threading.Event | None = None) -> None:
        self.name = name
        self.asked = threading.Event()
        self._gate = gate

    def collect(self) -> list[Block]:
        """Answer."""
        self.asked.set()
        if self._gate is not None:
            self._gate.wait(PATIENCE)
        return [Block("peak_test", "gauge", "A test.", [f'peak_test{{source="{self.name}"}} 1.0'])]


def definition(name: str, gate: threading.Event | None = None, *, timeout: float = 10.0, **settings: str) -> Definition:
    """Return a definition."""
    return Definition(name, settings, lambda: Source(name, gate), 60.0, timeout, f"the source {name}")


def answered(sources: Sources) -> None:
    """Wait until all have been asked."""
    for source in sources.of(Source):
        assert source.asked.wait(PATIENCE)


def test_exchange_keeps_what_did_not_change() -> None:
    """The same object goes on, what is gone is stopped, what is new begins."""
    sources = Sources()
    sources.exchange([definition("a", path="x"), definition("b"), definition("c")])
    before = {source.name: source for source in sources.of(Source)}
    sources.exchange([definition("a", path="y"), definition("b"), definition("d")])
    after = {source.name: source for source in sources.of(Source)}
    answered(sources)
    assert list(after) == ["a", "b", "d"]
    assert after["b"] is before["b"]
    assert after["a"] is not before["a"]
    assert sources.abouts() == {name: f"the source {name}" for name in "abd"}
    sources.stop()


def test_an_exchange_that_fails_changes_nothing() -> None:
    """Whatever goes wrong while the new ones are made."""
    sources = Sources()
    sources.exchange([definition("a")])
    (before,) = sources.of(Source)

    def fail() -> Source:
        raise ValueError("cannot be made")

    with pytest.raises(ValueError, match="cannot be made"):
        sources.exchange([definition("new"), definition("b")._replace(make=fail)])
    assert sources.of(Source) == [before]
    sources.stop()


def test_ready_when_each_has_answered_or_had_the_time_to() -> None:
    """One that hangs does not keep the others from being told of for ever."""
    gate = threading.Event()
    sources = Sources()
    sources.exchange([definition("hangs", gate, timeout=0.3)])
    answered(sources)
    deadline = threading.Event()
    while not sources.ready:
        assert not deadline.wait(0.01)
    assert sources.statuses()["hangs"].up is False
    gate.set()
    sources.stop()


def test_threads_that_hang_do_not_pile_up_over_changes() -> None:
    """After a few, a source that was configured anew waits until they end."""
    gate = threading.Event()
    sources = Sources()
    before = threading.active_count()
    for number in range(MAX_STRAYS + 4):
        sources.exchange([definition("hangs", gate, path=str(number))])
        if number < MAX_STRAYS:
            answered(sources)
    assert threading.active_count() <= before + MAX_STRAYS
    status = sources.statuses()["hangs"]
    assert (status.up, status.problem) == (
        False,
        "runs from before the configuration was changed hang; it waits until they end",
    )
    gate.set()
    while any(stray.alive for strays in sources._strays.values() for stray in strays):
        pass
    sources.tick()
    answered(sources)
    sources.stop()


def test_what_changes_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Going down, and coming back."""
    caplog.set_level(logging.INFO, "peak_observe.exporter")
    sources = Sources()
    status = Status(False, (), 0.0, 0.0, (0, 1, 0), "no such folder")
    for _ in range(3):
        sources._tell("x", status)
    sources._tell("x", status._replace(up=None, problem=""))
    for _ in range(3):
        sources._tell("x", status._replace(up=True, problem=""))
    assert caplog.messages == ["source x: no such folder", "source x answers again"]


def test_the_metrics_of_sources() -> None:
    """Up, duration, last success and runs by outcome; NaN is for one that was never asked."""
    statuses = {"a": Status(True, (), 0.5, 7.0, (3, 2, 1), ""), "b": Status(None, (), 0.0, 0.0, (0, 0, 0), "")}
    lines = [line for block in told(statuses) for line in block.lines]
    assert lines == [
        'peak_exporter_source_up{source="a"} 1.0',
        'peak_exporter_source_up{source="b"} NaN',
        'peak_exporter_source_duration_seconds{source="a"} 0.5',
        'peak_exporter_source_duration_seconds{source="b"} 0.0',
        'peak_exporter_source_last_success_timestamp_seconds{source="a"} 7.0',
        'peak_exporter_source_last_success_timestamp_seconds{source="b"} 0.0',
        'peak_exporter_source_runs_total{outcome="success",source="a"} 3.0',
        'peak_exporter_source_runs_total{outcome="error",source="a"} 2.0',
        'peak_exporter_source_runs_total{outcome="timeout",source="a"} 1.0',
        'peak_exporter_source_runs_total{outcome="success",source="b"} 0.0',
        'peak_exporter_source_runs_total{outcome="error",source="b"} 0.0',
        'peak_exporter_source_runs_total{outcome="timeout",source="b"} 0.0',
    ]
