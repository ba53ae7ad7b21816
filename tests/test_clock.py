"""The machine's clock and the one that tests move."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, timedelta

import pytest
import time_machine
from freezegun import freeze_time

from peak_observe import CircuitBreaker, CircuitOpenError, CircuitState, deadline, retry_with_backoff
from peak_observe.clock import SystemClock
from peak_observe.measures import BREAKERS
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


class Patched:
    """A breaker and a retry that use the system's clock, under a kind of patched time."""

    def __init__(self, name: str) -> None:
        self.breaker = CircuitBreaker(1, 60, name=name)
        self.down = True
        self.call = self.breaker.call(self._call)
        self.later = self.breaker.call(self._later)

    def _call(self) -> None:
        if self.down:
            raise ConnectionError

    async def _later(self) -> None:
        self._call()

    def check(self, move: Callable[[float], object]) -> None:
        """The circuit follows the time that `move` moves, and durations and moments stay sane."""
        for call in (self.call, lambda: asyncio.run(self.later())):
            self.down = False
            call()
            assert abs(self.breaker.stats.last_success_time - time.time()) < 5
            self.down = True
            with pytest.raises(ConnectionError):
                call()
            assert self.breaker.state is CircuitState.OPEN
            move(59)
            with pytest.raises(CircuitOpenError) as refusal:
                call()
            assert refusal.value.retry_after == pytest.approx(1, abs=0.5)
            move(2)
            assert self.breaker.state is CircuitState.HALF_OPEN
            self.down = False
            call()
            assert self.breaker.state is CircuitState.CLOSED
        assert BREAKERS.get(self.breaker.name).read().duration_sum < 5


def test_a_patched_monotonic_clock_moves_circuits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of trading code patch `time.monotonic`."""
    moved = [0.0]
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + moved[0])
    Patched("clock.patched").check(lambda seconds: moved.append(moved.pop() + seconds))


def test_freezegun_moves_circuits() -> None:
    """Also those that were made before."""
    before = Patched("clock.frozen_before")
    with freeze_time("2030-01-01", real_asyncio=True) as frozen:
        before.check(frozen.tick)
        Patched("clock.frozen").check(frozen.tick)
    before.call()


@pytest.mark.parametrize("tick", [False, True])
def test_time_machine_moves_circuits(*, tick: bool) -> None:
    """It moves wall-clock time alone, which a test of trading code means as all of it."""
    before = Patched(f"clock.travelled_before.{tick}")
    with time_machine.travel("2030-01-01T00:00Z", tick=tick) as traveller:
        before.check(traveller.shift)
        Patched(f"clock.travelled.{tick}").check(traveller.shift)
    before.call()


def test_a_patched_clock_moves_retries_and_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time between two attempts is what the patched clock says."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    attempts: list[float] = []

    @retry_with_backoff(10, 10, timeout=45)
    def always_fails() -> None:
        attempts.append(now[0])
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            always_fails()
    with deadline(15), pytest.raises(ConnectionError):
        always_fails()
    assert attempts == [1000, 1010, 1030, 1030, 1040, 1060, 1060, 1070]
