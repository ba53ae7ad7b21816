"""A policy follows its file while the program runs: all of a change or nothing, with its circuits as they are."""

import asyncio
import gc
import inspect
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from peak_observe import CircuitOpenError, Policy, PolicyReloaded, RateLimitedError, retry_with_backoff
from peak_observe.errors import ConfigError
from peak_observe.measures import BREAKERS, BULKHEADS, LIMITERS, RELOADS, RETRIES, TIMED
from peak_observe.resilience.policy import file_watcher
from peak_observe.resilience.policy.file_watcher import WATCHER
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import RecordingObserver

NUMBERS = count()
Until = Callable[[Callable[[], object]], object]


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"reload-{next(NUMBERS)}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, so that tests need not wait."""
    monkeypatch.setattr(file_watcher, "INTERVAL", 0.02)
    monkeypatch.setattr(file_watcher, "SETTLING", 0.02)


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Let no policy of another test be watched."""
    yield
    for file in WATCHER._present():
        WATCHER.remove(file)


class PolicyFile:
    """A policy's file in a folder of its own.

    Args:
        folder: The folder.
        name: The name of its table.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / "bot.toml"
        self.name = name

    def write(self, **tables: str) -> Path:
        """Write the tables in place, as `retry="max_attempts = 1"`."""
        text = "".join(f"[policies.{self.name}.{kind}]\n{keys}\n" for kind, keys in tables.items())
        self.path.write_text(text)
        return self.path

    def policy(self, **tables: str) -> Policy:
        """Return a policy that follows the file."""
        return Policy.from_toml(self.write(**tables), self.name, watch=True)


@pytest.fixture
def file(tmp_path: Path, name: str) -> PolicyFile:
    """Return a file that is not there yet."""
    return PolicyFile(tmp_path, name)


def failing(policy: Policy) -> Callable[[], int]:
    """Return a function that tells how often it is called until it has failed for good."""
    calls = []

    @policy
    def fail() -> None:
        calls.append(True)
        raise ConnectionError("lost")

    def attempts() -> int:
        calls.clear()
        with pytest.raises(ConnectionError):
            fail()
        return len(calls)

    return attempts


def threads() -> list[threading.Thread]:
    """Return the watcher's threads."""
    return [thread for thread in threading.enumerate() if thread.name == "peak-observe-policies"]


def test_functions_that_are_decorated_follow_the_file(file: PolicyFile) -> None:
    """And those that are decorated later, and what is shown of the policy."""
    policy = file.policy(retry="max_attempts = 2\nbase_delay = 0")
    attempts = failing(policy)
    assert attempts() == 2
    file.write(retry="max_attempts = 4\nbase_delay = 0")
    with RecordingObserver() as seen:
        assert policy.reload()
        assert not policy.reload()
    assert (attempts(), failing(policy)()) == (4, 4)
    assert "max_attempts=4" in repr(policy.layers)
    assert seen.of(PolicyReloaded) == [PolicyReloaded(file.name, str(file.path), success=True, message="retry")]
    assert RETRIES.get(file.name).read().calls[2] == 3  # exhausted operations, before and after


@pytest.mark.usefixtures("quick")
def test_a_change_is_taken_over_by_itself(file: PolicyFile, until: Until, caplog: pytest.LogCaptureFixture) -> None:
    """With one line that names the parts."""
    attempts = failing(file.policy(retry="max_attempts = 2\nbase_delay = 0"))
    with caplog.at_level(logging.INFO, "peak_observe.policy"):
        file.write(retry="max_attempts = 3\nbase_delay = 0", timed="")
        until(lambda: attempts() == 3)
    assert [record.getMessage() for record in caplog.records if record.name == "peak_observe.policy"] == [
        f"policy '{file.name}' took over {file.path}: retry, timed"
    ]
    assert sum(TIMED.get(file.name).read().buckets) >= 1


@pytest.mark.usefixtures("quick")
def test_an_invalid_file_changes_nothing_and_is_named(
    file: PolicyFile, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    """One line with file, key and mend; the metric tells until it is mended."""
    attempts = failing(file.policy(retry="max_attempts = 2\nbase_delay = 0"))
    loaded = RELOADS.get(file.name).read().last_success
    assert f'peak_policy_reload_success{{policy="{file.name}"}} 1.0\n' in Renderer().render().decode()
    file.write(retry="max_attempts = 0\nbase_delay = 0", timed="")
    until(lambda: not RELOADS.get(file.name).read().success)
    time.sleep(0.1)  # for lines that must not come
    assert attempts() == 2
    assert TIMED.get(file.name) is None
    lines = [record.getMessage() for record in caplog.records if record.name == "peak_observe.policy"]
    assert lines == [
        (
            f"policy '{file.name}' keeps its settings, {file.path}: policies.{file.name}.retry.max_attempts: it must "
            "be a whole number of at least 1, not 0"
        )
    ]
    assert f'peak_policy_reload_success{{policy="{file.name}"}} 0.0\n' in Renderer().render().decode()
    assert RELOADS.get(file.name).read().last_success == loaded
    file.write(retry="max_attempts = 3\nbase_delay = 0")
    until(lambda: attempts() == 3)
    assert RELOADS.get(file.name).read().last_success > loaded


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[policies.NAME.retry", "not valid TOML: "),
        ("", "there is no table"),
        ("[policies.other.retry]", "there is no policy 'NAME'; there are other"),
        ("[policies.NAME.retri]", "policies.NAME.retri: there is no such key; did you mean 'retry'"),
        ("[policies.NAME]\nretry = 3\nname = 'x'", "policies.NAME.name: it cannot change while the program runs"),
        ("[policies.NAME]\ntimeout = 3", "policies.NAME: timeout cannot interrupt .*fail, which is no coroutine"),
        ("[policies.NAME.retry]\nexpected_exception = 'no.such'", "'no.such' cannot be found as module.name"),
    ],
)
def test_every_fault_leaves_the_policy_as_it_is(file: PolicyFile, text: str, problem: str) -> None:
    """Also one that shows only when the functions are protected anew."""
    policy = file.policy(retry="max_attempts = 2\nbase_delay = 0")
    attempts, before = failing(policy), repr(policy.layers)
    file.path.write_text(text.replace("NAME", file.name))
    with pytest.raises(ConfigError, match=problem.replace("NAME", file.name)):
        policy.reload()
    assert (attempts(), repr(policy.layers)) == (2, before)
    assert RELOADS.get(file.name).read().success is False


def test_a_circuit_stays_open_over_a_reload(file: PolicyFile) -> None:
    """With its counts, and with its new settings from the next time on."""
    policy = file.policy(circuit_breaker="failure_threshold = 1")
    attempts = failing(policy)
    attempts()
    file.write(circuit_breaker="failure_threshold = 7\nrecovery_timeout = 5", retry="max_attempts = 2")
    assert policy.reload()
    with pytest.raises(CircuitOpenError):
        attempts()
    reading = BREAKERS.get(file.name).read()
    assert (reading.calls[1], reading.calls[3], reading.failure_threshold) == (1, 1, 7)
    assert "failure_threshold=7, recovery_timeout=5" in repr(policy.layers)
    file.write(circuit_breaker="window = 20\nfailure_ratio = 0.5")
    policy.reload()
    with pytest.raises(CircuitOpenError):
        attempts()


def test_limits_keep_what_is_used_up(file: PolicyFile) -> None:
    """Places taken, tokens spent, and their series stay one."""
    policy = file.policy(bulkhead="limit = 2", rate_limit="limit = 1\nper = 3600\nburst = 2")

    @policy
    def work(inside: Callable[[], object] = lambda: None) -> object:
        return inside()

    def during() -> None:
        file.write(bulkhead="limit = 3\nwait = 1", rate_limit="limit = 1\nper = 3600\nburst = 1")
        assert policy.reload()
        reading = BULKHEADS.get(file.name).read()
        assert (reading.in_flight, reading.limit) == (1, 3)

    work(during)
    with pytest.raises(RateLimitedError):
        work()
    assert LIMITERS.get(file.name).read().burst == 1
    assert repr(policy.layers).splitlines()[0] == "1. bulkhead(limit=3, wait=1)"


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ({"circuit_breaker": ""}, {"circuit_breaker": "name = 'x'"}, "circuit_breaker.name cannot change"),
        ({"circuit_breaker": ""}, {"circuit_breaker": "buckets = [1, 2]"}, "circuit_breaker.buckets cannot change"),
        ({"bulkhead": "limit = 1"}, {"bulkhead": "limit = 1\nname = 'x'"}, "bulkhead.name cannot change"),
        (
            {"rate_limit": "limit = 9\nburst = 9"},
            {"rate_limit": "limit = [[9, 1]]"},
            "rate_limit.limit cannot change between",
        ),
        ({"timed": "buckets = [1]"}, {"timed": "buckets = [2]"}, "buckets of call .* already"),
    ],
)
def test_what_cannot_change_is_refused_before_anything_has(
    file: PolicyFile, before: dict[str, str], after: dict[str, str], problem: str
) -> None:
    """The other changes of the file wait for the restart too."""
    policy = file.policy(**before, retry="max_attempts = 2\nbase_delay = 0")
    attempts = failing(policy)
    file.write(**after, retry="max_attempts = 3\nbase_delay = 0")
    with pytest.raises(ConfigError, match=problem):
        policy.reload()
    assert attempts() == 2


def test_parts_come_and_go(file: PolicyFile) -> None:
    """In the order of the file."""
    policy = file.policy(retry="max_attempts = 2\nbase_delay = 0")
    attempts = failing(policy)
    file.write(circuit_breaker="failure_threshold = 9", chaos="latency = 1", hedge="after = 1")
    with pytest.raises(ConfigError, match="hedge cannot ask twice"):
        policy.reload()
    file.write(circuit_breaker="failure_threshold = 9")
    policy.reload()
    assert (attempts(), [layer.kind for layer in policy.layers]) == (1, ["circuit_breaker"])


def test_the_fallback_follows_too(file: PolicyFile) -> None:
    """But not inside of another policy, which is the one to have it."""
    with_fallback = f"[policies.{file.name}]\nfallback = -1\n[policies.{file.name}.retry]\nmax_attempts = 1\n"
    policy = file.policy(retry="max_attempts = 1")
    work = policy(lambda: 1 / 0)
    file.path.write_text(with_fallback)
    assert policy.reload()
    assert work() == -1
    with pytest.raises(ValueError, match="fallback belongs to the outer policy"):
        Policy(policy)
    file.write(retry="max_attempts = 1")
    policy.reload()
    Policy(policy)
    file.path.write_text(with_fallback)
    with pytest.raises(ConfigError, match="this one is part of another"):
        policy.reload()


def test_functions_of_every_kind_stay_what_they_are(file: PolicyFile) -> None:
    """To those who ask, and with what the parts put on them."""
    policy = file.policy(retry="max_attempts = 2")

    @policy
    async def coroutine(x: int) -> int:
        return x

    @policy
    def items(x: int) -> Iterator[int]:
        yield (yield x)

    @policy
    async def async_items(x: int) -> AsyncIterator[int]:
        yield x

    class Client:
        @policy
        def fetch(self, x: int) -> int:
            return x

        @policy
        @classmethod
        def make(cls, x: int) -> int:
            return x

    async def collect() -> list[int]:
        return [await coroutine(1), *[item async for item in async_items(1)]]

    file.write(circuit_breaker="")
    for part in ("retry", "breaker"):
        assert asyncio.run(collect()) == [1, 1]
        generator = items(1)
        assert (next(generator), generator.send(5)) == (1, 5)
        assert Client().fetch(1) == Client.make(1) == 1
        assert inspect.iscoroutinefunction(coroutine)
        assert inspect.isgeneratorfunction(items)
        assert inspect.isasyncgenfunction(async_items)
        assert str(inspect.signature(Client().fetch)) == "(x: int) -> int"
        assert [hasattr(coroutine, has) for has in ("retry", "breaker")] == [part == "retry", part == "breaker"]
        policy.reload()


def test_inside_of_another_policy_it_still_follows(file: PolicyFile) -> None:
    """As one layer, whose order is checked with the rest."""
    inner = file.policy(rate_limit="limit = 1000\nburst = 100")
    with pytest.raises(ValueError, match="rate_limit stands outside retry"):
        Policy(inner, retry_with_backoff())
    outer = Policy(retry_with_backoff(2, 0), inner)
    work = outer(lambda: "done")
    assert work() == "done"
    assert repr(outer.layers).splitlines()[1] == f"2. policy(name='{file.name}')"
    file.write(rate_limit="limit = 1000\nburst = 100", timed="")
    inner.reload()
    work()
    assert sum(TIMED.get(file.name).read().buckets) == 1


def save_in_place(path: Path, text: str) -> None:
    """Write over the file."""
    path.write_text(text)


def save_by_rename(path: Path, text: str) -> None:
    """Write beside it and rename, as most editors do."""
    beside = path.with_suffix(".tmp")
    beside.write_text(text)
    beside.replace(path)


def save_with_backup(path: Path, text: str) -> None:
    """Rename the old one first, so that for a moment there is none."""
    path.replace(path.with_suffix(".toml~"))
    time.sleep(0.01)
    path.write_text(text)


def save_in_pieces(path: Path, text: str) -> None:
    """Write a part that is valid, and the rest a little later."""
    with path.open("w") as stream:
        for line in text.splitlines(keepends=True):
            stream.write(line)
            stream.flush()
            time.sleep(0.01)


def save_with_its_time(path: Path, text: str) -> None:
    """Write as many bytes and turn the time back, as a restore from a backup does."""
    found = path.stat()
    path.write_text(text)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def remove_and_write(path: Path, text: str) -> None:
    """Delete it for longer than a look."""
    path.unlink()
    time.sleep(0.2)
    path.write_text(text)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "save", [save_in_place, save_by_rename, save_with_backup, save_in_pieces, save_with_its_time, remove_and_write]
)
def test_whichever_way_a_file_is_saved(file: PolicyFile, until: Until, save: Callable[[Path, str], None]) -> None:
    """Every way is noticed, and nothing half is taken over."""
    policy = file.policy(retry="max_attempts = 2\nbase_delay = 0", circuit_breaker="failure_threshold = 99")
    attempts = failing(policy)
    with RecordingObserver() as seen:
        for expected in (3, 4):
            text = file.path.read_text().replace(f"max_attempts = {expected - 1}", f"max_attempts = {expected}")
            save(file.path, text)
            until(lambda expected=expected: attempts() == expected)
            assert len(policy.layers) == 2
    assert [event.message for event in seen.of(PolicyReloaded) if event.success] == ["retry", "retry"]


@pytest.mark.usefixtures("quick")
def test_a_config_map_is_swapped_by_its_link(tmp_path: Path, name: str, until: Until) -> None:
    """As Kubernetes does: file → ..data/file, and ..data → a folder that is another one each time."""
    for number in (2, 3):
        PolicyFile((tmp_path / f"..{number}"), name).path.parent.mkdir()
        PolicyFile(tmp_path / f"..{number}", name).write(retry=f"max_attempts = {number}\nbase_delay = 0")
    (tmp_path / "..data").symlink_to("..2")
    (tmp_path / "bot.toml").symlink_to("..data/bot.toml")
    attempts = failing(Policy.from_toml(tmp_path / "bot.toml", name, watch=True))
    assert attempts() == 2
    (tmp_path / "..data_tmp").symlink_to("..3")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    until(lambda: attempts() == 3)


@pytest.mark.usefixtures("quick")
def test_a_file_that_is_gone_is_a_fault_until_it_is_back(file: PolicyFile, until: Until) -> None:
    """The policy works on meanwhile; coming back unchanged is a success."""
    attempts = failing(file.policy(retry="max_attempts = 2\nbase_delay = 0"))
    text = file.path.read_text()
    file.path.unlink()
    with RecordingObserver() as seen:
        until(lambda: not RELOADS.get(file.name).read().success)
        assert attempts() == 2
        file.path.write_text(text)
        until(lambda: RELOADS.get(file.name).read().success)
        until(lambda: len(seen.of(PolicyReloaded)) == 2)
    assert [(event.success, event.message) for event in seen.of(PolicyReloaded)] == [
        (False, f"{file.path}: No such file or directory"),
        (True, "nothing changed"),
    ]


@pytest.mark.usefixtures("quick")
def test_a_relative_path_outlives_a_change_of_folder(
    file: PolicyFile, until: Until, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is that of the start."""
    monkeypatch.chdir(tmp_path)
    file.write(retry="max_attempts = 2\nbase_delay = 0")
    attempts = failing(Policy.from_toml("bot.toml", file.name, watch=True))
    monkeypatch.chdir("/")
    file.write(retry="max_attempts = 3\nbase_delay = 0")
    until(lambda: attempts() == 3)


@pytest.mark.usefixtures("quick")
def test_a_closed_policy_stays_as_it_is(file: PolicyFile, until: Until) -> None:
    """And its thread ends with the last one."""
    policy = file.policy(retry="max_attempts = 2\nbase_delay = 0")
    attempts = failing(policy)
    policy.close()
    policy.close()
    file.write(retry="max_attempts = 3\nbase_delay = 0")
    until(lambda: not threads())
    assert attempts() == 2
    assert policy.reload()
    assert attempts() == 3


@pytest.mark.usefixtures("quick")
def test_the_watch_lives_as_long_as_a_function_needs_it(file: PolicyFile, until: Until) -> None:
    """Not the policy: it may be used as a decorator and forgotten. Functions that are gone leave nothing behind."""
    attempts = failing(file.policy(retry="max_attempts = 2\nbase_delay = 0"))
    gc.collect()
    file.write(retry="max_attempts = 3\nbase_delay = 0")
    until(lambda: attempts() == 3)
    attempts = None
    gc.collect()
    until(lambda: not threads())
    assert RELOADS.get(file.name).read().success is None
    policy = file.policy(retry="max_attempts = 2")
    for _ in range(50):
        policy(lambda: None)
    gc.collect()
    assert len(policy._watch._controller._slots) <= 1


@pytest.mark.usefixtures("quick")
def test_many_policies_share_one_thread(tmp_path: Path, name: str) -> None:
    """Of several files too."""
    policies = []
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        policies.append(PolicyFile(tmp_path / str(number), name).policy(retry="max_attempts = 2"))
    assert len(threads()) == 1


@pytest.mark.usefixtures("quick")
def test_a_forked_child_follows_the_file_too(file: PolicyFile, until: Until) -> None:
    """Its thread is its own, and so are its locks, even if one was held."""
    policy = file.policy(retry="max_attempts = 2\nbase_delay = 0")
    attempts = failing(policy)
    with WATCHER._lock, policy._watch._controller._lock:
        pid = os.fork()
    if not pid:
        end = time.monotonic() + 20
        while attempts() != 3 and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0 if attempts() == 3 and len(threads()) == 1 else 1)
    file.write(retry="max_attempts = 3\nbase_delay = 0")
    assert os.waitpid(pid, 0)[1] == 0
    until(lambda: attempts() == 3)


@pytest.mark.usefixtures("quick")
def test_calls_go_on_while_settings_change(file: PolicyFile) -> None:
    """None fails, from any thread, and none sees a policy between two."""
    policy = file.policy(circuit_breaker="failure_threshold = 5", bulkhead="limit = 50")
    work, stop, failed = policy(lambda: "done"), threading.Event(), []

    def call() -> None:
        while not stop.is_set():
            try:
                assert work() == "done"
            except BaseException as error:
                failed.append(error)

    workers = [threading.Thread(target=call) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number in range(20):
        file.write(circuit_breaker=f"failure_threshold = {number + 1}", bulkhead=f"limit = {number + 50}")
        policy.reload()
    stop.set()
    for worker in workers:
        worker.join()
    assert not failed


def test_a_module_that_raises_at_its_import_is_a_fault_like_others(
    file: PolicyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher goes on."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_errors.py").write_text("raise RuntimeError('at import')")
    policy = file.policy(retry="max_attempts = 2\nbase_delay = 0")
    file.write(retry="expected_exception = 'broken_errors.Lost'")
    with RecordingObserver() as seen:
        policy._watch._controller.follow()
    assert seen.of(PolicyReloaded) == [
        PolicyReloaded(file.name, str(file.path), success=False, message=f"{file.path}: RuntimeError: at import")
    ]


def test_watching_costs_next_to_nothing_and_ends_with_the_program(file: PolicyFile) -> None:
    """One thread wakes once a second for twenty policies, for less than a millisecond; the program ends in silence.

    Waits are counted, and looks timed without them: some machines charge a program a millisecond for each sleep.
    """
    file.write(retry="max_attempts = 2")
    code = f"""
import time
from peak_observe import Policy
from peak_observe.resilience.policy.file_watcher import WATCHER

wait, waits = WATCHER._wake.wait, []
WATCHER._wake.wait = lambda seconds: (waits.append(seconds), wait(seconds))[1]

def look():
    start = time.thread_time()
    for file in WATCHER._present():
        file.look(wait)
    return time.thread_time() - start

policies = [Policy.from_toml({str(file.path)!r}, {file.name!r}, watch=True) for _ in range(20)]
start = time.monotonic()
time.sleep(2.5)
print(len(waits), time.monotonic() - start, min(look() for _ in range(50)))
"""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("COV")}  # what is measured is slower
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=plain
    )
    waits, passed, took = map(float, done.stdout.split())
    assert 2 <= waits < passed + 2  # one a second, with the one that goes on
    assert took < 0.001
    assert done.stderr == ""


def test_without_watch_there_is_no_thread_and_no_reload(file: PolicyFile) -> None:
    """And flags are flags."""
    file.write(retry="max_attempts = 2")
    policy = Policy.from_toml(file.path, file.name)
    policy.close()
    with pytest.raises(ValueError, match=r"watches no file: make it by Policy.from_toml\(path, name, watch=True\)"):
        policy.reload()
    with pytest.raises(ValueError, match="watch must be True or False, not 'yes'"):
        Policy.from_toml(file.path, file.name, watch="yes")
    with pytest.raises(ConfigError, match="No such file"):
        Policy.from_toml(file.path.with_name("none"), file.name, watch=True)
