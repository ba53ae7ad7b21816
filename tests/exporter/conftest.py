"""The real exporter as a process of its own, in a folder of its own, on a free port."""

import http.client
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

PATIENCE = 120.0
COMMAND = Path(sys.executable).with_name("peak-observe")


class Answer(NamedTuple):
    """What a server says."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Running:
    """An exporter that serves.

    Args:
        process: It.
        log: What it writes to standard error.
    """

    def __init__(self, process: subprocess.Popen, log: Path) -> None:
        self.process = process
        self._log = log
        self.port = int(self.logged(r"listening on https?://.*:(\d+)")[1])

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()

    def logged(self, pattern: str) -> re.Match[str]:
        """Return the first match in its log as soon as there is one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.log):
                return found
            assert self.process.poll() is None, self.log
            time.sleep(0.02)
        raise AssertionError(f"{pattern} is not in {self.log}")

    def get(
        self, path: str = "/metrics", method: str = "GET", *, tls: ssl.SSLContext | None = None, **headers: str
    ) -> Answer:
        """Ask."""
        if tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=tls)
        try:
            connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def eventually(self, part: str, path: str = "/metrics") -> str:
        """Return an answer as soon as `part` is in it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if part in (text := self.get(path).text):
                return text
            time.sleep(0.05)
        raise AssertionError(f"{part} is not in {text}\n{self.log}")

    def value(self, series: str) -> float:
        """Return the value of one series."""
        (line,) = [line for line in self.get().text.splitlines() if line.startswith(f"{series} ")]
        return float(line.rpartition(" ")[2])

    def memory(self) -> int:
        """Return its resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


Start = Callable[..., Running]


def start(folder: Path, config: str = "", *options: str, **environment: str) -> Running:
    """Start an exporter with a configuration in its folder."""
    if config:
        (folder / "peak-observe.toml").write_text(config)
    log = folder / "log"
    settings = {key: value for key, value in os.environ.items() if key != "PEAK_OBSERVE_DIR"}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [COMMAND, "exporter", "--web.listen-address", "127.0.0.1:0", *options],
            cwd=folder,
            stderr=stderr,
            env=settings | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        )
    try:
        return Running(process, log)
    except BaseException:
        process.kill()
        process.wait()
        raise


def finish(running: Running) -> None:
    """End an exporter that a test has done with, which shall never have shown a traceback."""
    if running.process.poll() is None and running.end() != 0:
        raise AssertionError(running.log)
    assert "Traceback" not in running.log, running.log


@contextmanager
def serve(folder: Path, config: str = "", *options: str, **environment: str) -> Iterator[Running]:
    """Run an exporter for a while."""
    running = start(folder, config, *options, **environment)
    try:
        yield running
    finally:
        finish(running)


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[Running]]:
    """Return a function that runs one in a folder."""
    return serve


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts one in the test's folder."""
    with ExitStack() as stack:

        def started(config: str = "", *options: str, **environment: str) -> Running:
            return stack.enter_context(serve(tmp_path, config, *options, **environment))

        yield started
