"""Odd answers, checks that run checks, forks, event loops and long chains: none of them takes the health down."""

import asyncio
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from peak_observe import HealthCheck, HealthCheckResult
from peak_observe.errors import ConfigError
from peak_observe.resilience.health import config
from peak_observe.resilience.health.http import answers
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock

HUGE = 10**5000


def kind(value: object) -> str:
    """Return the id of a parameter: pytest would write the number itself."""
    return value if isinstance(value, str) else type(value).__name__


class Scalar:
    """A number as numpy has them: no subclass of Python's own."""

    def __init__(self, value: object) -> None:
        self.value = value

    def item(self) -> object:
        """Return Python's own, or raise as an array of several values does."""
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


DETAILS = [
    {"huge": HUGE},
    {"deep": [{"huge": -HUGE}]},
    {HUGE: 1},
    {"nan": float("nan"), "inf": float("inf")},
    {"numpy": Scalar(7), "flag": Scalar(value=True), "array": Scalar(ValueError("several"))},
    {"bytes": b"\xff", "set": {1}, "when": datetime(2026, 1, 1, tzinfo=UTC), "surrogate": "\ud800"},
]


@pytest.mark.parametrize("details", DETAILS, ids=kind)
def test_details_of_any_kind_can_be_written_as_json(health: HealthCheck, details: dict) -> None:
    """By `/health`, by a program, and by the command."""
    health.register("odd", lambda: (True, "fine", details))
    status = health.get_status()
    assert status["healthy"] is True
    assert json.loads(json.dumps(status, allow_nan=False))["checks"]["odd"]["healthy"] is True
    answer = answers(health)("/health")
    assert answer is not None
    assert answer.status == 200
    assert json.loads(answer.body)["status"] == "pass"


def test_the_command_shows_a_check_with_a_huge_number(tmp_path: Path) -> None:
    """Without a traceback, and in its report."""
    (tmp_path / "odd.py").write_text(
        "from peak_observe import health_check\n"
        "health_check.register('odd', lambda: (True, 'fine', {'huge': 10**5000}))\n"
    )
    command = [sys.executable, "-m", "peak_observe", "health", "--app", "odd", "--json", "--report", "report.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "whole number of" in json.loads((tmp_path / "report.json").read_text())["checks"]["odd"]["details"]["huge"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Scalar(value=True), "healthy"),
        (Scalar(value=False), "unhealthy"),
        ((Scalar(value=True), "up"), "healthy"),
        ((Scalar(value=False), "down", {}), "unhealthy"),
        (Scalar(1), "error"),
        (Scalar(ValueError("several")), "error"),
        (HUGE, "error"),
        ((True, HUGE), "error"),
    ],
    ids=kind,
)
def test_a_truth_value_of_numpy_is_one(health: HealthCheck, answer: object, status: str) -> None:
    """And what is none is an error that says so."""
    health.register("odd", lambda: answer)
    result = health.run_all()["odd"]
    assert result.status == status
    if status == "error":
        assert "the check returned" in result.message


def test_a_result_needs_no_timestamp() -> None:
    """It is of now, and its status is what `healthy` says."""
    before = datetime.now(UTC)
    result = HealthCheckResult("db", False, "down")
    assert before <= result.timestamp <= datetime.now(UTC)
    assert (result.status, HealthCheckResult("db", True, "up").status) == ("unhealthy", "healthy")
    assert pickle.loads(pickle.dumps(result)) == result
    assert result._replace(message="gone").message == "gone"
    assert repr(result).startswith("HealthCheckResult(name='db', healthy=False, message='down'")
    assert HealthCheckResult(name="x", healthy=True, message="", timestamp=before).to_dict()["timestamp"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_check_that_runs_all_checks_gets_the_others(health: HealthCheck, *, asynchronous: bool) -> None:
    """It is left out of that run, and does not wait for itself until its timeout."""
    seen = []

    def everything() -> tuple[bool, str]:
        found = health.run_all()
        seen.append(sorted(found))
        return all(result.healthy for result in found.values()), "all"

    async def everything_async() -> tuple[bool, str]:
        found = await health.async_run_all()
        seen.append(sorted(found))
        return all(result.healthy for result in found.values()), "all"

    health.register("db", lambda: True)
    health.register("everything", everything_async if asynchronous else everything, timeout=30)
    start = time.monotonic()
    results = asyncio.run(health.async_run_all()) if asynchronous else health.run_all()
    assert time.monotonic() - start < 10
    assert {name: result.status for name, result in results.items()} == {"db": "healthy", "everything": "healthy"}
    assert seen == [["db"]]


@pytest.mark.parametrize("ask", ["run_all", "is_system_healthy", "get_status"])
def test_checks_that_run_each_other_do_not_wait_for_each_other(health: HealthCheck, ask: str) -> None:
    """Two, or a ring of three: whoever asks first leaves the others out that wait for it."""
    started = threading.Barrier(3, timeout=30)
    first = [True] * 3

    def check(number: int) -> Callable[[], bool]:
        def run() -> bool:
            if first[number]:
                first[number] = False
                started.wait()
            getattr(health, ask)()
            return True

        return run

    for number in range(3):
        health.register(f"ring.{number}", check(number), timeout=30)
    start = time.monotonic()
    assert [result.status for result in health.run_all().values()] == ["healthy"] * 3
    assert time.monotonic() - start < 10


def test_a_coroutine_that_asks_synchronously_on_its_own_loop_is_answered(health: HealthCheck) -> None:
    """The loop stands still meanwhile, so its other checks get a thread."""

    async def everything() -> bool:
        return set(health.run_all()) == {"db"}

    async def db() -> bool:
        return True

    health.register("db", db)
    health.register("everything", everything, timeout=30)
    results = asyncio.run(health.async_run_all())
    assert results["everything"].status == "healthy"


def test_a_forked_child_runs_its_checks_in_the_background_too() -> None:
    """Its results would grow old otherwise, and its gauges with them."""
    code = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from peak_observe import HealthCheck
health = HealthCheck()
runs = []
health.register("x", lambda: runs.append(os.getpid()) or True, interval=0.02)
health.start(interval=60)
while len(runs) < 2:
    time.sleep(0.01)
child = os.fork()
if child == 0:
    del runs[:]
    deadline = time.monotonic() + 20
    while len(runs) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    health.stop()
    os._exit(0 if len(runs) >= 3 and set(runs) == {os.getpid()} else 1)
_, status = os.waitpid(child, 0)
health.stop()
quiet = HealthCheck()
quiet.register("y", lambda: True)
child = os.fork()
if child == 0:
    os._exit(0 if quiet._scheduler is None and quiet.run_all()["y"].healthy else 1)
_, second = os.waitpid(child, 0)
print(status, second)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["0", "0"]


def test_a_forked_child_waits_for_no_lock_of_the_parents_threads() -> None:
    """Its checks start when all locks are made anew, in whichever order that happens."""
    code = """
import os, threading, time, warnings
from contextlib import ExitStack
warnings.simplefilter("ignore")
from peak_observe import HealthCheck
health, done = HealthCheck(), set()
for number in range(50):
    health.register(f"x{number}", lambda number=number: done.add(number) or True, interval=0.02)
health.start(interval=60)
while len(done) < 50:
    time.sleep(0.01)
held, go_on = threading.Event(), threading.Event()
def hold():
    with ExitStack() as stack:
        for check in health._registered.values():
            stack.enter_context(check._counts.lock)
        held.set()
        go_on.wait(60)
thread = threading.Thread(target=hold)
thread.start()
held.wait(60)
child = os.fork()
if child == 0:
    done.clear()
    deadline = time.monotonic() + 20
    while len(done) < 50 and time.monotonic() < deadline:
        time.sleep(0.01)
    os._exit(0 if len(done) == 50 else 1)
go_on.set()
print(os.waitpid(child, 0)[1])
health.stop()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0\n"


def test_a_fork_in_the_midst_of_a_registration_leaves_no_lock_held() -> None:
    """A thread of the parent that is in the registry is not there in the child."""
    health = HealthCheck()
    with health._lock:
        child = os.fork()
        if child == 0:
            health.register("x", lambda: True)
            os._exit(0 if health.run_all()["x"].healthy else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_the_status_can_be_awaited(health: HealthCheck, clock: ManualClock) -> None:
    """While other tasks run; and `ttl` holds for coroutines as for threads."""
    runs = []

    async def slow() -> bool:
        runs.append(asyncio.get_running_loop())
        await asyncio.sleep(0.05)
        return len(runs) < 3

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticker = asyncio.create_task(tick())
        status = await health.async_get_status()
        assert (status["healthy"], status["summary"]["total"]) == (True, 1)
        assert ticks >= 5
        assert await health.async_is_system_healthy() is True
        assert runs == [asyncio.get_running_loop()]
        clock.advance(11)
        assert list(await health.async_results()) == ["slow"]
        assert len(runs) == 2
        clock.advance(11)
        assert await health.async_is_system_healthy() is False
        ticker.cancel()

    health.register("slow", slow, ttl=10)
    asyncio.run(main())


def test_asking_synchronously_on_an_event_loop_is_warned_of_once(
    health: HealthCheck, caplog: pytest.LogCaptureFixture
) -> None:
    """With the mend."""
    health.register("db", lambda: True)

    async def main() -> None:
        health.get_status()
        health.is_system_healthy()

    with caplog.at_level(logging.WARNING, "peak_observe.health"):
        asyncio.run(main())
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "health checks hold up the event loop that runs here: await the async_… method of the same name"
    ]


def chain(health: HealthCheck, length: int) -> float:
    """Return the CPU seconds for registering and running a chain."""
    start = time.process_time()
    for number in range(length):
        health.register(f"c{number}", lambda: True, depends_on=[f"c{number - 1}"] if number else [])
    health._registered["c0"].func = lambda: False  # nothing behind it needs a thread
    results = health.run_all()
    assert len(results) == length
    assert results[f"c{length - 1}"].status == "skipped"
    return time.process_time() - start


@pytest.mark.usefixtures("own_series", "uncovered")
def test_a_chain_of_two_thousand_checks_is_linear() -> None:
    """Four times as many cost about four times as much, and not sixteen."""
    logging.disable(logging.CRITICAL)
    try:
        short = min(chain(HealthCheck(), 500) for _ in range(3))
        assert min(chain(HealthCheck(), 2000) for _ in range(3)) < 9 * short
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("own_series")
def test_a_circle_is_found_in_whichever_order_its_checks_come(health: HealthCheck) -> None:
    """Also after one was replaced or removed."""
    health.register("a", lambda: True, depends_on=["b"])
    health.register("b", lambda: True, depends_on=["c"])
    with pytest.raises(ValueError, match="check 'c' would depend on itself: a leads back to it"):
        health.register("c", lambda: True, depends_on=["a"])
    with pytest.raises(ValueError, match="would depend on itself"):
        health.register("d", lambda: True, depends_on=["d"])
    health.register("a", lambda: True)
    health.register("c", lambda: True, depends_on=["a"])
    health.unregister("b")
    with pytest.raises(ValueError, match="would depend on itself"):
        health.register("a", lambda: True, depends_on=["c"])
    health.register("c", lambda: True)
    health.register("a", lambda: True, depends_on=["c"])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("timeout", 10**400),
        ("timeout", float("inf")),
        ("timeout", HUGE),
        ("timeout", "5"),
        ("interval", float("nan")),
        ("interval", -HUGE),
        ("ttl", 10**400),
        ("failure_threshold", HUGE),
        ("failure_threshold", 10**400),
        ("success_threshold", 1.0),
        ("critical", "false"),
        ("tags", [HUGE]),
        ("depends_on", 5),
    ],
    ids=kind,
)
def test_absurd_settings_are_one_error_that_names_the_setting(health: HealthCheck, setting: str, value: object) -> None:
    """And /metrics is read as before."""
    with pytest.raises(ValueError, match=f"^{setting} ") as error:
        health.register("x", lambda: True, **{setting: value})
    assert len(str(error.value)) < 300
    assert health.names() == []
    assert b"peak_health_check_runs_total" in Renderer().render()


@pytest.mark.parametrize("name", ["", 5, None, b"x", ["x"], "\ud800"])
def test_a_name_that_is_no_text_is_refused(health: HealthCheck, name: object) -> None:
    """Before anything is kept of it."""
    with pytest.raises(ValueError, match=r"^name "):
        health.register(name, lambda: True)
    assert health.names() == []


@pytest.mark.parametrize(
    "line", ["timeout = inf", "interval = nan", f"failure_threshold = {10**400}", 'critical = "no"']
)
def test_absurd_settings_in_a_file_are_a_config_error(health: HealthCheck, tmp_path: Path, line: str) -> None:
    """That names the file and the check."""
    path = tmp_path / "bot.toml"
    path.write_text(f'[checks.x]\nkind = "memory"\n{line}\n')
    with pytest.raises(ConfigError) as error:
        config.add(health, path)
    assert error.value.key.startswith("checks.x")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h: h.register("x", bool, timeot=1), r"register\(\) .* 'timeot'; did you mean timeout\?"),
        (lambda h: h.check("x", tag=["a"]), r"check\(\) .* 'tag'; did you mean tags\?"),
        (lambda h: h.check("x", requires=["a"]), r"did you mean depends_on\?"),
        (lambda h: h.check("x", zzz=1), r"there are name, timeout, interval, ttl, critical"),
    ],
)
def test_a_wrong_keyword_names_the_right_one(health: HealthCheck, call: Callable, message: str) -> None:
    """In both ways to register a check."""
    with pytest.raises(TypeError, match=message):
        call(health)


@pytest.mark.parametrize(
    "name", [name for name in vars(HealthCheck) if not name.startswith("_") and callable(getattr(HealthCheck, name))]
)
def test_type_hints_can_be_read(name: str) -> None:
    """Of all public methods, and of the results."""
    assert typing.get_type_hints(getattr(HealthCheck, name))
    assert typing.get_type_hints(HealthCheckResult.__new__)["timestamp"] == datetime | None
