"""The machine's clock and the one that tests move."""

import asyncio
import time
from datetime import UTC, timedelta

import pytest

from peak_observe import retry_with_backoff
from peak_observe.clock import SystemClock
from peak_observe.testing import ManualClock


def test_the_system_clock_never_goes_back_and_knows_utc() -> None:
    """Monotonic seconds rise, and wall time is aware."""
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(1000)]
    assert readings == sorted(readings)
    assert clock.now().tzinfo is UTC
    assert abs(clock.now().timestamp() - time.time()) < 60


def test_the_system_clock_sleeps() -> None:
    """Both sleeps wait for the seconds they are told."""
    clock = SystemClock()
    start = clock.monotonic()
    clock.sleep(0.01)
    asyncio.run(clock.async_sleep(0.01))
    assert clock.monotonic() - start >= 0.02


def test_a_patched_sleep_is_the_one_that_is_called(monkeypatch) -> None:
    """Tests of trading code patch `time.sleep`; a retry then waits by what stands there."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    SystemClock().sleep(3600)

    @retry_with_backoff(max_attempts=3, base_delay=60)
    def always_fails() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        always_fails()
    assert slept == [3600, 60, 60]


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    """Both times go on by what is advanced."""
    clock = ManualClock()
    before = clock.now()
    assert clock.monotonic() == clock.monotonic() == 0.0
    clock.advance(1.5)
    assert clock.monotonic() == 1.5
    assert clock.now() - before == timedelta(seconds=1.5)


def test_a_manual_clock_sleeps_without_waiting() -> None:
    """Sleeping in a thread or a task moves the time and is remembered."""
    clock = ManualClock()
    clock.sleep(60)
    asyncio.run(clock.async_sleep(3600))
    assert clock.sleeps == [60, 3600]
    assert clock.monotonic() == 3660


def test_a_jump_moves_the_wall_clock_alone() -> None:
    """NTP sets the wall clock; the monotonic one does not notice."""
    clock = ManualClock()
    before = clock.now()
    clock.jump(-3600)
    assert clock.now() - before == timedelta(hours=-1)
    assert clock.monotonic() == 0.0


def test_a_monotonic_clock_refuses_to_go_back() -> None:
    """Advancing by less than nothing is an error that names jump()."""
    with pytest.raises(ValueError, match=r"use jump\(\)"):
        ManualClock().advance(-1)
