"""Switches in a folder of their own, and processes that trade on a fake exchange."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peak_observe import TradingSwitch
from peak_observe.testing import FakeExchange, ManualClock
from tests.coordination.conftest import server, shared_server, url, valkey_server

__all__ = ["server", "shared_server", "url", "valkey_server"]  # fixtures

SECONDS = 120.0


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


@pytest.fixture
def switch(tmp_path: Path, clock: ManualClock) -> Iterator[TradingSwitch]:
    """Return a switch in a folder of its own."""
    made = TradingSwitch("main", folder=tmp_path, clock=clock)
    yield made
    made.close()


@pytest.fixture
def exchange() -> Iterator[FakeExchange]:
    """Return a fake Kraken."""
    with FakeExchange() as fake:
        yield fake


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


class Processes:
    """Python programs, each ended by its own id at the end of a test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, code: str, *args: str) -> subprocess.Popen[str]:
        """Start a program."""
        environment = {"PEAK_OBSERVE_DIR": str(self._folder), "PYTHONPATH": str(Path(__file__).parents[2])}
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", code, *args]
        started = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        self._started.append(started)
        return started

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run `peak-observe trading …` to its end."""
        line = [sys.executable, "-m", "peak_observe", "trading", *args, "--dir", str(self._folder)]
        return subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, check=False)

    def end(self) -> None:
        """End what still runs."""
        for process in self._started:
            process.kill()
            process.wait(SECONDS)
            for stream in (process.stdin, process.stdout):
                stream.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Return what starts programs."""
    made = Processes(tmp_path)
    yield made
    made.end()
