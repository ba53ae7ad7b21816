"""When a process writes its snapshots, and that it never pays for it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import peak_observe
from peak_observe import CircuitBreaker
from peak_observe.telemetry.snapshot import lifetime_totals
from peak_observe.telemetry.snapshot import writer as snapshot_writer
from peak_observe.telemetry.snapshot.snapshot_file import RejectedError, Snapshot, decode, path_of, read
from peak_observe.telemetry.snapshot.writer import Settings, Writer


def left(folder: Path, process: str) -> Snapshot | None:
    """Return what a file says, if there is one."""
    try:
        return decode(read(path_of(folder, process))[0])
    except FileNotFoundError:
        return None


def counted(found: Snapshot, outcome: str = "success") -> float:
    """Return the calls of the circuit `feed`."""
    lines = lifetime_totals.total(*found[1:4])["peak_breaker_calls_total"]
    return float(lines[f'peak_breaker_calls_total{{breaker="feed",outcome="{outcome}"}}'])


def fresh(code: str, **environment: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    environment = {**os.environ, **environment}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    return done.stdout.strip()


LIGHT = """
import sys, threading
before = set(sys.modules)
import peak_observe
heavy = {'prometheus_client', 'msgspec', 'asyncio', 'json', 'logging', 'pathlib', 'fcntl'} & (set(sys.modules) - before)
print(sorted(heavy), [thread.name for thread in threading.enumerate()][1:])
peak_observe.circuit_breaker(lambda: None)()
print([thread.name for thread in threading.enumerate()][1:])
"""


def test_importing_costs_nothing_and_the_first_name_begins(snapshots) -> None:
    """No thread before there is something to tell."""
    assert fresh(LIGHT, PEAK_OBSERVE_DIR=str(snapshots)).splitlines() == ["[] []", "['peak-observe-snapshot']"]
    assert left(snapshots, "python").header.state == "ended"


def test_without_a_folder_there_are_no_snapshots() -> None:
    """And no thread, whatever is made."""
    assert fresh(LIGHT, PEAK_OBSERVE_DIR="").splitlines() == ["[] []", "[]"]


def test_the_end_of_the_program_writes_the_last_snapshot(program, snapshots) -> None:
    """However short it was, and though the next one would have been due in an hour."""
    code = """
        peak_observe.configure(snapshot_interval=3600)
        call = peak_observe.circuit_breaker(name="feed")(lambda: None)
        call()
        input()
        call()
    """
    bot = program("bot", code)
    bot.go_on()
    assert bot.finish() == 0
    found = left(snapshots, "bot")
    assert (found.header.state, found.header.outcome, counted(found)) == ("ended", "", 2.0)


def test_a_transition_is_told_soon(program, snapshots, until) -> None:
    """Not only when the interval is over."""
    bot = program(
        "bot",
        """
        peak_observe.configure(snapshot_interval=3600)
        breaker = peak_observe.CircuitBreaker(1, name="feed")
        input()
        try:
            breaker.call(lambda: 1 / 0)()
        except ZeroDivisionError:
            input()
        """,
    )
    until(lambda: left(snapshots, "bot"))
    bot.go_on()
    until(lambda: counted(left(snapshots, "bot"), "failure") == 1.0)


def test_many_transitions_are_few_snapshots(program, snapshots) -> None:
    """At most two a second, however a circuit flaps."""
    bot = program(
        "bot",
        """
        import sys, time
        peak_observe.configure(snapshot_interval=3600)
        renames = []
        sys.addaudithook(lambda event, _: renames.append(time.monotonic()) if event == "os.rename" else None)
        breaker = peak_observe.CircuitBreaker(1, name="feed")
        began = time.monotonic()
        while len(renames) < 4:
            breaker.reset()
            try:
                breaker.call(lambda: 1 / 0)()
            except ZeroDivisionError:
                time.sleep(0.001)
        gaps = [b - a for a, b in zip(renames, renames[1:])]
        print("rare" if min(gaps) >= 0.4 else gaps, flush=True)
        """,
    )
    bot.expect("rare")


def test_a_process_goes_on_under_a_new_name(program, snapshots, until) -> None:
    """With all its counts; nothing is left of the name it had for a moment."""
    bot = program(
        "bot",
        """
        import sys
        call = peak_observe.circuit_breaker(name="feed")(lambda: None)
        call()
        input()
        peak_observe.configure(process="trader of BTC/USD")
        call()
        sys.stderr.close()
        input()
        """,
    )
    until(lambda: left(snapshots, "bot"))
    bot.go_on()
    until(lambda: (found := left(snapshots, "trader of BTC/USD")) and counted(found) == 2.0)
    assert left(snapshots, "bot") is None
    assert bot.finish() == 1  # nobody answers its input() any more
    assert counted(left(snapshots, "trader of BTC/USD")) == 2.0


def test_a_folder_that_cannot_be_had_is_said_once(program, snapshots) -> None:
    """The program goes on and ends as it would."""
    snapshots.parent.mkdir()
    snapshots.write_text("not a folder")
    bot = program(
        "bot",
        """
        import logging, threading
        said = threading.Event()
        records = []
        class Keep(logging.Handler):
            def emit(self, record):
                records.append(record.getMessage())
                said.set()
        logging.getLogger("peak_observe.snapshot").addHandler(Keep())
        peak_observe.configure(snapshot_interval=0.01)
        call = peak_observe.circuit_breaker(name="feed")(lambda: None)
        call()
        said.wait(60)
        said.clear()
        print(said.wait(1.0), len(records), "no snapshot of this process in" in records[0], flush=True)
        """,
    )
    bot.expect("False 1 True")
    assert bot.finish() == 0


def test_the_folder_is_the_one_it_was_when_it_was_named(tmp_path) -> None:
    """A program that changes its directory later does not scatter snapshots."""
    code = "import os, sys, peak_observe; os.chdir('/')\npeak_observe.circuit_breaker(lambda: None)()"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PEAK_OBSERVE_DIR": "relative"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=60)
    assert [path.name for path in (tmp_path / "relative").glob("*.snap")] == ["python.snap"]


def test_our_own_command_is_no_process_to_watch(snapshots, tmp_path) -> None:
    """It has checks, but nobody waits for it."""
    config = tmp_path / "checks.toml"
    config.write_text('[checks.disk]\nkind = "disk_space"\npath = "."\nmin_free_ratio = 0.0\n')
    command = [sys.executable, "-m", "peak_observe", "health", "--config", str(config), "--no-report"]
    environment = {**os.environ, "PEAK_OBSERVE_DIR": str(snapshots)}
    subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    assert not snapshots.exists()


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/opt/bots/trend.py"], "trend"),
        (["/usr/bin/gunicorn", "app"], "gunicorn"),
        (["/opt/trader/__main__.py"], "trader"),
        (["-c"], "python"),
        ([""], "python"),
        ([], "python"),
        (["a\nb.py"], "ab"),
        (["ü" * 40], "ü" * 32),
        (["C:\\bots\\trend.py"], "trend"),
    ],
)
def test_a_process_is_called_like_its_program(monkeypatch, argv, name) -> None:
    """The same at each start."""
    monkeypatch.setattr(sys, "argv", argv)
    assert snapshot_writer.program() == name


@pytest.mark.parametrize("process", ["", "a\nb", "x" * 65, "ü" * 33, "\udc80", 7])
def test_a_name_that_does_not_print_is_refused(process) -> None:
    """It says what is wrong with it."""
    with pytest.raises(ValueError, match="process must be a name of 1 to 64 bytes that prints"):
        peak_observe.configure(process=process)


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf"), 86_401, True, "5"])
def test_an_interval_that_makes_no_sense_is_refused(interval) -> None:
    """In seconds."""
    with pytest.raises(ValueError, match="snapshot_interval must be seconds"):
        peak_observe.configure(snapshot_interval=interval)


@pytest.fixture
def writer(snapshots: Path) -> Iterator[Writer]:
    """A writer in this very process."""
    found = Writer(Settings(str(snapshots), "bot", 3600.0))
    yield found
    found.end()


def test_a_writer_stops_when_it_has_ended(writer, snapshots, until) -> None:
    """Its thread goes."""
    kept = CircuitBreaker(name="feed")
    until(lambda: left(snapshots, "bot"))
    writer.end()
    assert left(snapshots, "bot").header.state == "ended"
    until(lambda: "peak-observe-snapshot" not in [thread.name for thread in threading.enumerate()])
    assert kept.name == "feed"


def test_a_writer_keeps_still_while_the_process_is_forked(writer, snapshots, until) -> None:
    """What the child inherits is what is told at that moment."""
    call = CircuitBreaker(name="feed").call(lambda: None)
    until(lambda: left(snapshots, "bot"))
    call()
    inherited = writer.hold()
    assert b'peak_breaker_calls_total{breaker="feed",outcome="success"}' in inherited
    written = path_of(snapshots, "bot").stat().st_mtime_ns
    writer.soon()
    assert not threading.Event().wait(0.7)
    assert path_of(snapshots, "bot").stat().st_mtime_ns == written
    writer.release()
    until(lambda: path_of(snapshots, "bot").stat().st_mtime_ns != written)


def test_a_disk_that_hangs_holds_up_neither_fork_nor_end(snapshots, monkeypatch, until: Callable) -> None:
    """Both wait for a while and go on."""
    monkeypatch.setattr(snapshot_writer, "PATIENCE", 0.05)
    writer = Writer(Settings(str(snapshots), "bot", 3600.0))
    until(lambda: left(snapshots, "bot"))
    with writer._lock:  # as its thread does for as long as the disk hangs
        assert writer.hold() == writer._claim.told
        writer.release()
        writer.end()
        assert writer.move() == b""
        assert writer._lock.locked()
    assert left(snapshots, "bot").header.state == "running"


def test_a_reader_meets_no_half_snapshot(writer, snapshots, until) -> None:
    """However often it looks while a process writes."""
    until(lambda: left(snapshots, "bot"))
    seen = set()
    while len(seen) < 3:
        writer.soon()
        try:
            seen.add(left(snapshots, "bot").header.written)
        except RejectedError as error:
            pytest.fail(str(error))


def test_a_system_without_a_thread_to_give_is_said(snapshots) -> None:
    """The program goes on, and its end is told all the same."""
    code = """
import threading, peak_observe
def refuse(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
peak_observe.circuit_breaker(name="feed")(lambda: None)()
print("goes on")
"""
    assert fresh(code, PEAK_OBSERVE_DIR=str(snapshots)) == "goes on"
    assert counted(left(snapshots, "python")) == 1.0


def test_snapshots_can_be_given_up(snapshots) -> None:
    """By a command of ours, before or after something was written; the name is given back."""
    code = """
import time, peak_observe
from pathlib import Path
from peak_observe.telemetry.snapshot import writer
peak_observe.configure(snapshot_interval=0.05)
breaker = peak_observe.CircuitBreaker(name="feed")
while not list(Path(writer._settings.folder).glob("*.snap")):
    time.sleep(0.01)
writer.disarm()
breaker.call(lambda: None)()
print([path.name for path in Path(r"%s").glob("*.snap")])
"""
    assert fresh(code % snapshots, PEAK_OBSERVE_DIR=str(snapshots)) == "[]"
    assert left(snapshots, "python") is None


def test_flush_writes_at_once(snapshots) -> None:
    """For a worker that ends without atexit; a fork starts its own writer for it."""
    code = """
import os, peak_observe
peak_observe.configure(process="bot", snapshot_interval=3600)
breaker = peak_observe.CircuitBreaker(name="feed")
assert peak_observe.flush()
for worker in range(3):
    if os.fork() == 0:
        breaker.call(lambda: None)()
        assert peak_observe.flush(timeout=30)
        os._exit(0)
    os.wait()
breaker.call(lambda: None)()
assert peak_observe.flush()
os._exit(0)
"""
    fresh(code, PEAK_OBSERVE_DIR=str(snapshots))
    assert counted(left(snapshots, "bot")) == 1.0
    assert counted(left(snapshots, "bot-2")) == 3.0


def test_flush_without_a_folder_has_nothing_to_write() -> None:
    """And says that nothing is missing; a full disk is said by False."""
    code = "import peak_observe; peak_observe.CircuitBreaker(name='feed'); print(peak_observe.flush())"
    assert fresh(code, PEAK_OBSERVE_DIR="") == "True"
    assert fresh(code, PEAK_OBSERVE_DIR="/proc/nowhere") == "False"


def test_flush_waits_no_longer_than_it_is_told(snapshots) -> None:
    """However long the disk hangs."""
    writer = Writer(Settings(str(snapshots), "bot", 3600.0))
    with writer._lock:  # as its thread does for as long as the disk hangs
        start = time.monotonic()
        assert not writer.flush(0.1)
        assert time.monotonic() - start < 30
    writer.end()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "1", True, None])
def test_a_timeout_of_flush_that_makes_no_sense_is_refused(timeout) -> None:
    """In one line."""
    with pytest.raises(ValueError, match="timeout must be seconds, more than 0 and at most a day"):
        peak_observe.flush(timeout)


CELERY = """
import os, signal, sys, threading, time
import celery, peak_observe
peak_observe.configure(process="worker", snapshot_interval=3600)
app = celery.Celery("jobs", broker="memory://")
app.conf.worker_hijack_root_logger = False
call = peak_observe.circuit_breaker(name="feed")(lambda: None)

@app.task
def work():
    call()
    with open(sys.argv[1], "a") as done:
        done.write("x")

def end():
    while not os.path.exists(sys.argv[1]) or os.path.getsize(sys.argv[1]) < 12:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)

for _ in range(12):
    work.delay()
threading.Thread(target=end, daemon=True).start()
app.worker_main(["worker", "-P", "prefork", "-c", "2", "--max-tasks-per-child", "3", "--without-mingle", "-l", "ERROR"])
"""


def test_celery_counts_every_task(snapshots, tmp_path) -> None:
    """Its workers leave by os._exit after three tasks; no count of theirs is lost."""
    command = [sys.executable, "-c", CELERY, str(tmp_path / "done")]
    environment = {**os.environ, "PEAK_OBSERVE_DIR": str(snapshots), "C_FORCE_ROOT": "1"}
    subprocess.run(command, env=environment, capture_output=True, timeout=100, check=False)
    found = [left(snapshots, path.stem) for path in snapshots.glob("*.snap")]
    assert sum(counted(one) for one in found) == 12.0
    assert all(one.header.state == "ended" for one in found)


def test_an_instance_is_part_of_the_name(snapshots) -> None:
    """From the environment or the program, which has the last word; what no name can hold is left out."""
    code = "import sys, peak_observe; peak_observe.configure(process='bot', **eval(sys.argv[1]))\n"
    code += "peak_observe.CircuitBreaker(name='feed')"

    def run(given: str, environment: str) -> None:
        env = {**os.environ, "PEAK_OBSERVE_DIR": str(snapshots), "PEAK_OBSERVE_INSTANCE": environment}
        subprocess.run([sys.executable, "-c", code, given], env=env, timeout=60, check=True)

    run("{}", "pod-1")
    run("{'instance': 'eu-1'}", "pod-1")
    run("{}", "../evil\n" + "x" * 100)
    run("{}", "")
    names = sorted(decode(read(path)[0]).header.process for path in snapshots.glob("*.snap"))
    assert names == ["bot", "bot@..evil" + "x" * 57, "bot@eu-1", "bot@pod-1"]


@pytest.mark.parametrize("instance", ["", "a b", "ü", "x" * 64, "a/b", 1])
def test_an_instance_that_no_name_can_hold_is_refused(instance) -> None:
    """Orchestrators use letters, digits and a few signs."""
    with pytest.raises(ValueError, match="instance must be 1 to 63 ASCII letters"):
        peak_observe.configure(instance=instance)
