"""Child processes: their exit codes, also where somebody else takes them, and their end with all they started."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from peak_observe.support.child_process import UNKNOWN, ChildProcess

IN_A_PROGRAM = """
import signal, sys
from peak_observe.support.child_process import ChildProcess
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
process = ChildProcess(["sh", "-c", sys.argv[1]])
process.wait(30)
print(process.why())
"""


@pytest.mark.parametrize(
    ("script", "why"),
    [("exit 0", ""), ("exit 3", "exit code 3"), ("kill -9 $$", "signal 9"), ("exit 255", "exit code 255")],
)
def test_why(script: str, why: str) -> None:
    """It is empty for a success alone."""
    process = ChildProcess(["sh", "-c", script])
    process.wait(30)
    assert (process.why(), process.is_lost) == (why, False)


@pytest.mark.parametrize("script", ["exit 0", "exit 3"])
def test_an_exit_code_is_unknown_where_the_program_ignores_the_ends_of_children(script: str) -> None:
    """The system throws it away then, and `Popen` says 0."""
    command = [sys.executable, "-c", IN_A_PROGRAM, script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == UNKNOWN


def test_an_exit_code_is_unknown_where_another_thread_waits_for_all_children() -> None:
    """As the first process of a container does; it is known where that thread came too late."""
    ended = threading.Event()

    def reap() -> None:
        while not ended.is_set():
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)  # one that waits would take a child of the next test, if another lives long
            time.sleep(0.0005)

    thread = threading.Thread(target=reap, daemon=True)
    thread.start()
    try:
        for _ in range(20):
            process = ChildProcess(["sh", "-c", "sleep 0.02; exit 3"])
            process.wait(30)
            assert process.why() in ("exit code 3", UNKNOWN)
    finally:
        ended.set()
        thread.join(30)


def test_an_end_ends_what_it_started() -> None:
    """Also what does not hear SIGTERM; nobody holds the output any more."""
    process = ChildProcess(["sh", "-c", "trap '' TERM; sleep 60 & echo $!; wait"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert process.end(grace=0.2) == ""
    assert process.returncode == -signal.SIGKILL
    assert process.stdout.read() == b""
    process.stdout.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_belongs_to_another_user_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program that `sudo` runs; the system says why it goes on."""
    monkeypatch.setattr("peak_observe.support.child_process.GRACE", 0.2)
    process = ChildProcess(["sleep", "60"])
    began = time.monotonic()
    os.seteuid(65534)
    os.setresuid(65534, 65534, 0)
    try:
        going_on = process.end(grace=0.2)
    finally:
        os.setresuid(0, 0, 0)
        process.end(grace=0)
    assert going_on == "Operation not permitted"
    assert time.monotonic() - began < 10
