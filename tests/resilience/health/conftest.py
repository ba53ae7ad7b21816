"""What the tests of health checks share."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from peak_observe import HealthCheck
from peak_observe.measures import Names
from peak_observe.resilience.health import registered_check
from peak_observe.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Time by hand."""
    return ManualClock()


@pytest.fixture
def health(clock: ManualClock) -> HealthCheck:
    """A registry of its own."""
    return HealthCheck(clock=clock)


@pytest.fixture
def hang() -> Iterator[Callable[[], bool]]:
    """A check that hangs until the test is over; `hang.calls` counts its beginnings."""
    over = threading.Event()

    def wait() -> bool:
        wait.calls += 1
        return over.wait(60)

    wait.calls = 0
    wait.release = over.set
    yield wait
    over.set()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """A function that waits for what another thread or process is about to do."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait


@pytest.fixture
def own_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of names of its own, as there is room for a thousand names in a process, and all tests share one."""
    monkeypatch.setattr(registered_check, "CHECKS", Names("check"))
