"""How processes end: in good order, by SIGTERM, by a crash, and by force."""

import os
import signal
import subprocess
import sys

import pytest

from peak_observe.telemetry.snapshot.snapshot_file import Snapshot
from tests.telemetry.snapshot.test_writer import counted, fresh, left

TERMINATED = """
    import signal, sys, threading, time
    {before}
    call = peak_observe.circuit_breaker(name="feed")(lambda: None)
    call()
    {after}
    print("ready", flush=True)
    time.sleep(60)
"""


def terminated(program, snapshots, until, *, before: str = "", after: str = "") -> tuple[int, Snapshot]:
    """Return the exit status of a bot that gets SIGTERM, and what it left."""
    bot = program("bot", TERMINATED.format(before=before, after=after))
    bot.expect("ready")
    until(lambda: left(snapshots, "bot"))
    bot.process.send_signal(signal.SIGTERM)
    return bot.process.wait(60), left(snapshots, "bot")


def test_sigterm_ends_in_good_order_and_kills_as_before(program, snapshots, until) -> None:
    """With everything counted, though the next snapshot would have been due in an hour."""
    before = "peak_observe.configure(snapshot_interval=3600)"
    status, found = terminated(program, snapshots, until, before=before, after="time.sleep(0.3); call()")
    assert (status, found.header.state, counted(found)) == (-signal.SIGTERM, "ended", 2.0)


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_handler_of_the_program_for_sigterm_wins(program, snapshots, until, place) -> None:
    """Whether it was set before the first name or after."""
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))"
    status, found = terminated(program, snapshots, until, **{place: handler})
    assert (status, found.header.state) == (3, "ended")


def test_a_program_that_takes_the_default_back_is_killed_at_once(program, snapshots, until) -> None:
    """It wants no last word."""
    default = "signal.signal(signal.SIGTERM, signal.SIG_DFL)"
    status, found = terminated(program, snapshots, until, after=default)
    assert (status, found.header.state) == (-signal.SIGTERM, "running")


LATE = """
import atexit

atexit.register(lambda: writer.last_word())  # the first to be registered is the last to be called
import peak_observe
from peak_observe.telemetry.snapshot import writer

peak_observe.configure(process="bot")
peak_observe.circuit_breaker(name="feed")(lambda: None)()
assert peak_observe.flush()
"""


def test_the_last_word_may_come_as_the_interpreter_ends(snapshots) -> None:
    """By a SIGTERM just then: the process keeps its name, and everything is counted once."""
    environment = os.environ | {"PEAK_OBSERVE_DIR": str(snapshots)}
    subprocess.run([sys.executable, "-c", LATE], check=True, env=environment, timeout=60)
    assert sorted(path.name for path in snapshots.iterdir()) == [".bot.lock", "bot.snap"]
    found = left(snapshots, "bot")
    assert (found.header.state, counted(found)) == ("ended", 1.0)


HOLDS = """
    from peak_observe.telemetry.snapshot import writer
    while writer._writer._claim is None or not writer._writer._claim.name:
        time.sleep(0.01)
    {patience}
    writer._writer._lock.acquire()
    {release}
"""


def test_sigterm_may_come_while_a_snapshot_is_written(program, snapshots, until) -> None:
    """The main thread holds the lock of the writer itself, and lets go of it after the signal."""
    release = "threading.Timer(0.5, writer._writer._lock.release).start()"
    after = HOLDS.format(patience="", release=release)
    status, found = terminated(program, snapshots, until, after=after)
    assert (status, found.header.state) == (-signal.SIGTERM, "ended")


def test_a_disk_that_hangs_does_not_keep_a_process_from_ending_by_sigterm(program, snapshots, until) -> None:
    """It waits for a while only; without its mark it counts as died."""
    after = HOLDS.format(patience="writer.PATIENCE = 0.2", release="")
    status, found = terminated(program, snapshots, until, after=after)
    assert (status, found.header.state) == (-signal.SIGTERM, "running")


def test_without_snapshots_no_handler_is_installed() -> None:
    """The disposition of SIGTERM is the program's own."""
    code = "import signal, peak_observe; peak_observe.CircuitBreaker(name='feed')\nprint(signal.getsignal(15).name)"
    assert fresh(code, PEAK_OBSERVE_DIR="") == "SIG_DFL"


def test_a_signal_that_is_ignored_stays_ignored(snapshots) -> None:
    """As under nohup."""
    code = "import signal; signal.signal(15, signal.SIG_IGN); import peak_observe; print(signal.getsignal(15).name)"
    assert fresh(code, PEAK_OBSERVE_DIR=str(snapshots)) == "SIG_IGN"


ENDS = {
    "comes to its end": ("pass", 0, "ended"),
    "leaves with a code": ("sys.exit(3)", 3, "ended"),
    "is interrupted by Ctrl-C": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", -signal.SIGINT, "ended"),
    "raises": ("1 / 0", 1, "running"),
    "raises with a hook of its own": ("sys.excepthook = lambda *_: None; 1 / 0", 1, "running"),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, "running"),
    "raises in a job": ("peak_observe.job('nightly')(lambda: 1 / 0)()", 1, "ended"),
}


@pytest.mark.parametrize(("code", "status", "state"), ENDS.values(), ids=ENDS)
def test_only_an_end_in_good_order_is_marked(program, snapshots, until, code, status, state) -> None:
    """A crash is none, and its counts are written all the same."""
    text = """
        import os, signal, sys, time
        peak_observe.configure(snapshot_interval=3600)
        call = peak_observe.circuit_breaker(name="feed")(lambda: None)
        input()
        call()
        peak_observe.flush()
        {code}
    """
    bot = program("bot", text.format(code=code))
    until(lambda: left(snapshots, "bot"))
    bot.go_on()
    assert bot.process.wait(60) == status
    found = left(snapshots, "bot")
    assert (found.header.state, counted(found)) == (state, 1.0)


def test_a_worker_of_multiprocessing_that_raises_has_crashed(program, snapshots) -> None:
    """Python runs its finalizers while the exception passes."""
    code = """
        import multiprocessing, sys
        sys.stderr = open("/dev/null", "w")
        call = peak_observe.circuit_breaker(name="feed")(lambda: None)
        def work(fails):
            call()
            fails and 1 / 0
        call()
        peak_observe.flush()  # the name is this process's before a worker asks for one
        context = multiprocessing.get_context("fork")
        for fails in (False, True):
            worker = context.Process(target=work, args=(fails,))
            worker.start()
            worker.join()
            peak_observe.flush()
            folder = peak_observe.telemetry.snapshot.writer._settings.folder
            from peak_observe.telemetry.snapshot import snapshot_file
            from pathlib import Path
            content, _ = snapshot_file.read(snapshot_file.path_of(Path(folder), "bot-2"))
            print(snapshot_file.decode(content).header.state, flush=True)
    """
    bot = program("bot", code)
    bot.expect("ended")
    bot.expect("running")
