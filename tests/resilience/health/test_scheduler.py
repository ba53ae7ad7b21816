"""Runs in the background: started, shared, stopped, and gone with the process."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from peak_observe import HealthCheck


@pytest.fixture
def live() -> Iterator[HealthCheck]:
    """A registry on the real clock, stopped afterwards."""
    health = HealthCheck()
    yield health
    health.stop()


def threads() -> list[threading.Thread]:
    """Return the threads that run checks in the background."""
    return [thread for thread in threading.enumerate() if thread.name == "peak-observe-health"]


class Counted:
    """A check that counts its runs."""

    def __init__(self) -> None:
        self.runs: list[float] = []

    def __call__(self) -> bool:
        """Count."""
        self.runs.append(time.monotonic())
        return True


def test_every_check_runs_at_its_interval(live: HealthCheck, wait_until: Callable) -> None:
    """Its own, or that of start()."""
    often, seldom = Counted(), Counted()
    live.register("often", often, interval=0.02)
    live.register("seldom", seldom)
    live.start(interval=600)
    wait_until(lambda: len(often.runs) >= 10)
    assert len(seldom.runs) == 1


def test_intervals_vary(live: HealthCheck, wait_until: Callable) -> None:
    """Jitter keeps checks of many processes apart."""
    counted = Counted()
    live.register("x", counted)
    live.start(interval=0.02, jitter=1.0)
    due: set[float] = set()
    scheduler = live._scheduler
    while len(due) < 5:
        due.add(scheduler._next(live._registered["x"]))
    assert all(0 <= seconds <= 0.04 for seconds in due)
    wait_until(lambda: len(counted.runs) >= 3)


def test_results_are_shared_while_it_runs(live: HealthCheck, wait_until: Callable) -> None:
    """Whoever asks gets the last result, without a run of his own."""
    counted = Counted()
    live.register("x", counted)
    live.start(interval=600)
    wait_until(lambda: live._registered["x"].last is not None)
    for _ in range(5):
        assert live.is_system_healthy()
        live.get_status()
    assert len(counted.runs) == 1
    live.run_all()
    assert len(counted.runs) == 2, "run_all() always runs"


def test_start_twice_is_once(live: HealthCheck) -> None:
    """And stop twice too; start after stop begins again."""
    before = len(threads())
    live.start()
    live.start()
    assert len(threads()) == before + 1
    live.stop()
    live.stop()
    assert len(threads()) == before
    live.start()
    assert len(threads()) == before + 1


def test_checks_come_and_go_while_it_runs(live: HealthCheck, wait_until: Callable) -> None:
    """A new one runs at once, a removed one no more."""
    live.start(interval=600)
    first, second = Counted(), Counted()
    live.register("x", first)
    wait_until(lambda: first.runs)
    live.register("x", second)
    wait_until(lambda: second.runs)
    live.unregister("x")
    assert live.get_status()["checks"] == {}
    assert (len(first.runs), len(second.runs)) == (1, 1)


def test_a_check_that_replaces_a_running_one_gets_its_turn(
    live: HealthCheck, hang: Callable, wait_until: Callable
) -> None:
    """When that one's time is up, and not an interval later."""
    live.register("x", hang, timeout=0.2)
    live.start(interval=600)
    wait_until(lambda: hang.calls)
    counted = Counted()
    live.register("x", counted)
    wait_until(lambda: counted.runs)


def test_a_check_that_hangs_holds_up_no_other(live: HealthCheck, hang: Callable, wait_until: Callable) -> None:
    """The others keep their intervals, and it is begun once."""
    counted = Counted()
    live.register("hang", hang, timeout=0.05, interval=0.02)
    live.register("x", counted, interval=0.02)
    live.start()
    wait_until(lambda: len(counted.runs) >= 20)
    assert hang.calls == 1
    wait_until(lambda: live.get_status()["checks"]["hang"]["message"].startswith("still running after"))


def test_stop_does_not_wait_for_a_check(live: HealthCheck, hang: Callable, wait_until: Callable) -> None:
    """It returns at once while one is under way; the check's own end is in nobody's way."""
    live.register("hang", hang, timeout=60)
    live.start()
    wait_until(lambda: hang.calls)
    started = time.monotonic()
    live.stop()
    assert time.monotonic() - started < 10
    hang.release()
    assert live.run_all()["hang"].healthy


def test_a_check_may_stop_it(live: HealthCheck, wait_until: Callable) -> None:
    """From its own thread, without a deadlock."""
    before = len(threads())
    live.register("x", lambda: live.stop() is None)
    live.start()
    wait_until(lambda: live._scheduler is None and len(threads()) == before)


def test_an_observer_may_stop_it(live: HealthCheck, wait_until: Callable) -> None:
    """That is the thread itself, which cannot wait for itself."""
    from peak_observe import HealthChanged, observe

    end = observe(lambda event: isinstance(event, HealthChanged) and event.name == "stopping" and live.stop())
    before = len(threads())
    live.register("stopping", lambda: False)
    live.start()
    wait_until(lambda: len(threads()) == before and live._scheduler is None)
    end()


def test_started_on_a_loop_it_uses_that_loop(live: HealthCheck) -> None:
    """Clients that belong to it stay there, also when another thread asks."""
    seen: list = []

    async def check() -> bool:
        seen.append(asyncio.get_running_loop())
        return True

    async def main() -> None:
        live.register("x", check)
        live.start(interval=600)
        assert (await asyncio.to_thread(live.run_all))["x"].healthy
        assert set(seen) == {asyncio.get_running_loop()}

    asyncio.run(main())
    assert live.run_all()["x"].healthy, "the loop has ended, so the check gets one of its own"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval": 0}, "interval must be more than 0"),
        ({"interval": float("inf")}, "interval must be a finite number"),
        ({"jitter": 2}, "jitter must be a number from 0 to 1"),
    ],
)
def test_nonsense_is_refused(live: HealthCheck, settings: dict, message: str) -> None:
    """And nothing is started."""
    before = len(threads())
    with pytest.raises(ValueError, match=message):
        live.start(**settings)
    assert len(threads()) == before


PROGRAM = """
import asyncio, threading, time
from peak_observe import health_check

begun = threading.Semaphore(0)

@health_check.check("plain", timeout=600)
def plain():
    begun.release()
    time.sleep(600)

@health_check.check("async", timeout=600)
async def asynchronous():
    begun.release()
    await asyncio.to_thread(time.sleep, 600)

@health_check.check("stubborn", timeout=600)
async def stubborn():
    begun.release()
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@health_check.check("quick", interval=0.001)
def quick():
    return True

{run}
for _ in range(3):
    begun.acquire()
print("bye", flush=True)
"""
WAYS = {
    "background": "health_check.start()",
    "run": "threading.Thread(target=health_check.run_all, daemon=True).start()",
    "loop": """
async def main():
    task = asyncio.ensure_future(health_check.async_run_all(only=["plain"]))
    await asyncio.sleep(0.1)
asyncio.run(main())
threading.Thread(target=health_check.run_all, daemon=True).start()
""",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_process_ends_though_checks_hang(way: str) -> None:
    """Cleanly, silently, and at once; a coroutine's thread among them."""
    program = PROGRAM.replace("{run}", WAYS[way])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "bye\n", "")
