"""Fixtures and helpers of all tests: programs and which are missing, a real Prometheus, waiting for a condition."""

import gc
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

from tests import coverage_data, programs

# How long an example takes is the machine's affair: a busy one must not fail a test of what is right.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=25)
settings.register_profile("ci", settings.get_profile("patient"), max_examples=100)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "patient")

RULES = Path(__file__).parents[1] / "grafana" / "alerts" / "peak-observe.rules.yaml"
PATIENCE = 120.0
MANY = 300  # names in a process
NEEDS = "needs the program "


@pytest.fixture(autouse=True)
def every_line() -> None:
    """Forget which log lines were written: each test sees its first."""
    log = sys.modules.get("peak_observe.telemetry.log")
    if log is not None:
        log.throttle._lines.clear()


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    """Take back where a command in this process has the log written: to a stream that is closed after its test."""
    loggers = [logging.getLogger(name) for name in ("peak_observe", "uvicorn", "asyncio")]
    before = [(list(logger.handlers), logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        if logger.level != level:
            logger.setLevel(level)


@pytest.fixture(autouse=True)
def no_secrets_known() -> None:
    """Forget the secrets of earlier tests: an exchange's key `secret-key` would be hidden in all later texts."""
    values = sys.modules.get("peak_observe.support.secret_values")
    if values is not None:
        values.KNOWN.clear()


@pytest.fixture(autouse=True, scope="module")
def names_of_the_living() -> None:
    """Forget the names of primitives that are gone: a process has room for 1,000 of a kind, and a run needs more."""
    measures = sys.modules.get("peak_observe.measures")
    if measures is None:
        return
    crowded = [n for n in vars(measures).values() if isinstance(n, measures.Names) and len(n.known()) > MANY]
    if crowded:
        gc.collect()
    for names in crowded:
        names._series = {name: one for name, one in names._series.items() if any(ref() for ref, _ in one._members)}
        names._gone.clear()


@pytest.fixture(autouse=True, scope="session")
def signals_heard() -> None:
    """Hear Ctrl-C and hang-ups, which are ignored where `make test &` or nohup starts the tests."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="session")
def lean_processes() -> None:
    """Measure the coverage of started processes at less cost."""
    coverage_data.measure_only_what_runs()


@pytest.fixture(autouse=True, scope="module")
def unmeasured_processes(request: pytest.FixtureRequest, lean_processes: None) -> Iterator[None]:
    """Measure no coverage of the processes of some tests."""
    with pytest.MonkeyPatch.context() as patch:
        if coverage_data.is_measured_elsewhere(request.path):
            for name in os.environ.keys() - coverage_data.unmeasured().keys():
                patch.delenv(name)
        yield


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Drop half-written files when all tests are done, before their coverage is combined."""
    result = yield
    if coverage_data.CONFIG in os.environ and not hasattr(session.config, "workerinput"):
        coverage_data.drop_broken(coverage_data.parts())
    return result


@pytest.fixture(autouse=True, scope="session")
def patient_server() -> Iterator[None]:
    """Give a scrape a minute: under coverage, on a busy machine, thousands of names of earlier tests take over 10 s."""
    from peak_observe.telemetry import bounded_server, http_server

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded_server, "DEADLINE", 60.0)
        patch.setattr(bounded_server.BoundedHandler, "timeout", 60.0)
        patch.setattr(http_server, "HANDSHAKE", 60.0)
        yield


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def binary(name: str) -> str:
    """Return the path of a program that the test starts, or end the test if it is not installed.

    It fails in CI and where `make test` may install programs; elsewhere it is skipped and counted.

    Args:
        name: As `programs.PACKAGES` has it.
    """
    assert name in programs.PACKAGES, f"tests/programs.py does not name the package of {name}"
    if path := programs.find(name):
        return path
    if programs.required(name):
        pytest.fail(f"{name} is missing: {programs.advice([name])}", pytrace=False)
    pytest.skip(f"{NEEDS}{name}")


def read_yaml(text: str) -> Any:
    """Return what a text of YAML holds, by the parser in C: the rules take the one in Python a third of a second."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def lint(exposition: bytes) -> str:
    """Return what the real promtool says of an exposition; nothing if it is content."""
    command = [binary("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=exposition, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    return said or f"promtool ended with {done.returncode}" * (done.returncode != 0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with tests that share something costly, so that one worker makes it and no other takes half of them over.

    A demo that Prometheus watches for a minute, a night of alerts, the cases of promtool, the runs of the faults.
    """
    costly = {"prometheus", "all_pass", "runs", "night"}
    items.sort(key=lambda item: costly.isdisjoint(getattr(item, "fixturenames", ())))
    for item in items:
        if not costly.isdisjoint(getattr(item, "fixturenames", ())) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))  # the first of them makes what all share


def pytest_collection_finish() -> None:
    """Spare each later collection of garbage, and each fork, the half million objects of modules and tests."""
    gc.collect()
    gc.freeze()


# How many tests did not run for want of each program.
_wanting: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the tests that need a program which is not there."""
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if NEEDS in reason:
        _wanting[reason.partition(NEEDS)[2]] += 1


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last lines what did not run, and which command installs what it needs."""
    if _wanting and not hasattr(config, "workerinput"):
        counts = ", ".join(f"{count} of {name}" for name, count in _wanting.most_common())
        terminal = config.get_terminal_writer()
        terminal.line(f"{_wanting.total()} tests did not run for want of a program: {counts}.", yellow=True)
        terminal.line(f"To run them too: {programs.advice(_wanting)}", yellow=True)


class Prometheus:
    """The HTTP API of a running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> object:
        """Return the data of one answer."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=60) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of an instant query."""
        found = self.get("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def value(self, expression: str) -> float:
        """Return the value of a query that gives one series."""
        ((_, value),) = self.query(expression)
        return value

    def eventually(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the result of a query as soon as there is one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.query(expression)
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"no result in {PATIENCE} s: {expression}")


@contextmanager
def untraced() -> Iterator[None]:
    """Measure no coverage while the block lasts, in this thread and those that it starts."""
    here, there = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(there)
        sys.settrace(here)


@pytest.fixture
def uncovered() -> Iterator[None]:
    """Measure no coverage of a test that runs the same lines thousands of times: that takes longer than the test."""
    with untraced():
        yield


@contextmanager
def running(folder: Path, targets: list[str], interval: str, rules: list[str]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes `targets`, with rules that are evaluated each second."""
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": "1s"},
        "rule_files": rules,
        "scrape_configs": [{"job_name": "peak-observe", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    address = f"127.0.0.1:{free_port()}"
    log = folder / "prometheus.log"
    command = [
        binary("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            until_ready(f"http://{address}/-/ready", log)
            yield Prometheus(f"http://{address}")
        finally:
            process.terminate()
            process.wait(PATIENCE)


def quick_rules(folder: Path) -> str:
    """Return the path of the rules in a form that is evaluated each second, also those that are for each minute."""
    quick = folder / RULES.name
    quick.write_text(re.sub(r"^  interval: .*\n", "", RULES.read_text(), flags=re.MULTILINE))
    return str(quick)


def until_ready(url: str, log: Path) -> None:
    """Wait until a server answers; if it never does, its log says why."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=60):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Prometheus]]:
    """Return a function that starts a Prometheus for a list of targets."""
    binary("prometheus")  # before anything is started for it to scrape
    with ExitStack() as stack:

        def start(targets: list[str], interval: str = "250ms", *, rules: bool = False) -> Prometheus:
            folder = tmp_path_factory.mktemp("prometheus")
            return stack.enter_context(running(folder, targets, interval, [quick_rules(folder)] if rules else []))

        yield start


class Program:
    """A Python program of its own that tells of itself in a folder of snapshots.

    Args:
        path: Where its code is put; the file's name is what the process is called.
        code: The code.
        folder: The folder.
        environment: More variables.
    """

    def __init__(self, path: Path, code: str, folder: Path, **environment: str) -> None:
        path.write_text(code)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PEAK_OBSERVE_DIR": str(folder), **environment},
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def expect(self, line: str) -> None:
        """Wait until it prints a line."""
        assert self.process.stdout.readline().rstrip() == line

    def go_on(self) -> None:
        """Let its next `input()` return."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kill it as the kernel would that is out of memory, and do not bury it yet."""
        self.process.kill()

    def finish(self) -> int:
        """Let it go to its end and return the exit code."""
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End it in any case."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen]:
    """Start a program that is gone after the block: a failed test would wait for ever for one that runs on."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()


def eventually(condition: Callable[[], object]) -> object:
    """Return what a condition gives as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s")


@pytest.fixture
def until() -> Callable[[Callable[[], object]], object]:
    """Return a function that waits for a condition."""
    return eventually


@pytest.fixture
def snapshots(tmp_path: Path) -> Path:
    """A folder of snapshots, which does not exist yet."""
    return tmp_path / "run" / "peak-observe"


@pytest.fixture
def program(tmp_path: Path, snapshots: Path) -> Iterator[Callable[..., Program]]:
    """Return a function that starts a program by its name and code, with an interval of 0.2 s."""
    started: list[Program] = []

    def start(name: str, code: str, **environment: str) -> Program:
        folder = tmp_path / f"programs-{len(started)}"
        folder.mkdir()
        code = f"import peak_observe\npeak_observe.configure(snapshot_interval=0.2)\n{textwrap.dedent(code)}"
        started.append(Program(folder / f"{name}.py", code, snapshots, **environment))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def public_path() -> Iterator[Path]:
    """Return a folder that other users get to: each run of pytest that begins closes the folder of all runs to them."""
    with tempfile.TemporaryDirectory(prefix="peak-observe-test-", ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
