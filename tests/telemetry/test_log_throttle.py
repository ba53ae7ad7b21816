"""Log lines that repeat are written once, and then in sums."""

import asyncio
import logging
import os
import threading

import pytest

from peak_observe import (
    BulkheadFullError,
    CallTimeoutError,
    RateLimitedError,
    bulkhead,
    rate_limit,
    retry_with_backoff,
    timeout,
)
from peak_observe.events import CallTimedOut, GaveUp, HealthChanged, RetryScheduled
from peak_observe.telemetry import log
from peak_observe.telemetry.log_throttle import MOST_KEYS, LogThrottle
from peak_observe.testing import ManualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """Return the clock of the log lines."""
    clock = ManualClock()
    monkeypatch.setattr(log, "throttle", LogThrottle(clock))
    return clock


def texts(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    """Return the lines of one logger."""
    return [record.getMessage() for record in caplog.records if record.name == f"peak_observe.{logger}"]


def test_a_call_that_times_out_again_and_again_is_a_line_in_thirty_seconds(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The first at once, then how many there were."""

    @timeout(1e-6, name="throttle.hang")
    async def hang() -> None:
        await asyncio.sleep(60)

    for _ in range(65):
        with pytest.raises(CallTimeoutError):
            asyncio.run(hang())
        clock.advance(1)
    line = "'throttle.hang' took longer than 1e-06 s and was cancelled"
    assert texts(caplog, "limits") == [
        line,
        f"{line} (and 29 times before, in 30 s)",
        f"{line} (and 29 times before, in 30 s)",
    ]
    assert [getattr(record, "peak_repeated", None) for record in caplog.records] == [None, 29, 29]


@pytest.mark.usefixtures("uncovered")
def test_an_hour_of_ten_failing_calls_a_second_is_fewer_than_a_thousand_lines(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It was 108,000."""
    caplog.set_level(logging.DEBUG, "peak_observe")

    @retry_with_backoff(3, 0.0, name="throttle.outage")
    def fail() -> None:
        raise ConnectionError("down")

    for _ in range(3600):
        with pytest.raises(ConnectionError):
            fail()
        clock.advance(1)
    found = texts(caplog, "retry")
    assert [line.split(" (")[0] for line in found[:2]] == ["'throttle.outage' failed"] * 2
    assert found[2].startswith("'throttle.outage' gave up after 3 attempts")
    assert 300 <= len(found) < 400


def test_refusals_are_a_line_in_thirty_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """Of a bulkhead and of a rate limit, and in dry run they say so."""
    clock = ManualClock()
    limited = rate_limit(0.001, name="throttle.rate", clock=clock)
    limited.acquire()
    for _ in range(61):
        with pytest.raises(RateLimitedError):
            limited.acquire()
        clock.advance(1)
    line = "rate limit 'throttle.rate' is used up (0.001 a second): "
    assert texts(caplog, "limits") == [f"{line}1 refused", f"{line}30 refused", f"{line}30 refused"]
    caplog.clear()
    observed = bulkhead(1, name="throttle.places", mode="observe", clock=clock)
    with observed:
        thread = threading.Thread(target=observed.call(lambda: None))
        thread.start()
        thread.join()
    line = "bulkhead 'throttle.places' is full (1 under way): "
    assert texts(caplog, "limits") == [f"{line}1 would have been refused (mode observe)"]
    observed.configure(mode="enforce")
    refused = []

    def work() -> None:
        try:
            observed.call(lambda: None)()
        except BulkheadFullError as error:
            refused.append(error)

    with observed:
        clock.advance(31)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert texts(caplog, "limits")[1:] == [f"{line}1 refused"]


def test_names_and_kinds_do_not_silence_each_other(clock: ManualClock) -> None:
    """Nor do attempts of one operation; what is rare always has its line."""
    throttle = log.throttle
    error = ConnectionError("down")
    events = [
        CallTimedOut("a", 1.0),
        CallTimedOut("b", 1.0),
        RetryScheduled("a", 1, 3, 1.0, error),
        RetryScheduled("a", 2, 3, 1.0, error),
        GaveUp("a", 3, 3.0, "exhausted", error),
        GaveUp("a", 3, 3.0, "out_of_time", error),
    ]
    assert [throttle.admit(event).times for event in events] == [0] * 6
    assert [throttle.admit(event) for event in events] == [None] * 6
    changed = HealthChanged("db", False, "error", clock.now(), "down", True)
    assert [throttle.admit(changed).times for _ in range(3)] == [0, 0, 0]


def test_memory_is_bounded(clock: ManualClock) -> None:
    """Names made of order ids are forgotten, the oldest first."""
    for number in range(MOST_KEYS + 100):
        log.throttle.admit(CallTimedOut(str(number), 1.0))
    assert len(log.throttle._lines) == MOST_KEYS
    assert log.throttle.admit(CallTimedOut("0", 1.0)).times == 0


def test_a_fork_in_the_midst_of_a_line_leaves_no_lock_held() -> None:
    """The child writes its own."""
    throttle = LogThrottle()
    with throttle._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if throttle.admit(CallTimedOut("a", 1.0)) else 1)
    assert os.waitpid(child, 0)[1] == 0
