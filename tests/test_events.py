"""Events reach every observer, and an observer's fault reaches nobody."""

import logging
import signal
import threading
from types import FrameType

import pytest

from peak_observe import NamesOverflowed, Recovered, observe
from peak_observe.observers import emit
from peak_observe.testing import RecordingObserver

EVENT = Recovered("events", 2, 1.0)


def test_every_observer_is_told_in_order() -> None:
    """Two observers see the same records, oldest first."""
    with RecordingObserver() as one, RecordingObserver() as two:
        emit(EVENT)
        emit(NamesOverflowed("breaker", "x", 1))
    assert one.events == two.events == [EVENT, NamesOverflowed("breaker", "x", 1)]
    assert one.of(Recovered) == [EVENT]


def test_an_observation_ends_once_and_for_all() -> None:
    """The function that observe() returns may be called again."""
    seen: list[object] = []
    stop = observe(seen.append)
    stop()
    stop()
    emit(EVENT)
    assert seen == []


def test_an_observer_that_raises_is_logged_once_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """The others are told all the same."""

    def broken(event: object) -> None:
        raise RuntimeError("my fault")

    observe(broken)
    with RecordingObserver() as seen, caplog.at_level(logging.ERROR, "peak_observe.events"):
        emit(EVENT)
        emit(EVENT)
    assert seen.events == [EVENT, EVENT]
    assert len(caplog.records) == 1
    assert "broken" in caplog.text


def test_an_alarm_does_not_end_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What the handler of a signal raises while an event is told is no fault of who is told."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("my alarm")

    class Ringing(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            signal.raise_signal(signal.SIGALRM)
            return True

    caplog.set_level(logging.INFO, "peak_observe")
    log, handler, before = logging.getLogger("peak_observe"), Ringing(), signal.signal(signal.SIGALRM, ring)
    log.addHandler(handler)
    try:
        emit(EVENT)
    finally:
        log.removeHandler(handler)
        signal.signal(signal.SIGALRM, before)
    caplog.clear()
    emit(Recovered("another", 2, 1.0))
    assert ["another" in record.getMessage() for record in caplog.records] == [True]


def test_an_observer_may_stop_itself_while_it_is_told() -> None:
    """The list of observers is replaced, never changed under a loop."""
    told: list[object] = []

    def once(event: object) -> None:
        told.append(event)
        stop()

    stop = observe(once)
    emit(EVENT)
    emit(EVENT)
    assert told == [EVENT]


def test_observers_come_and_go_from_many_threads() -> None:
    """No registration is lost and none stays."""
    seen: list[object] = []
    stops: list[object] = []

    def come_and_go() -> None:
        stop = observe(seen.append)
        stops.append(observe(lambda event: None))
        stop()

    threads = [threading.Thread(target=come_and_go) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stop in stops:
        stop()
    emit(EVENT)
    assert len(stops) == 32
    assert seen == []


def test_what_cannot_be_called_cannot_observe() -> None:
    """The mistake shows where it is made."""
    with pytest.raises(TypeError, match="takes a callable"):
        observe("not a function")


def test_events_are_frozen() -> None:
    """An observer cannot change what the next one sees."""
    with pytest.raises(AttributeError):
        EVENT.attempts = 3
