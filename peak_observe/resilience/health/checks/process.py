"""Check of a command by its exit code."""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from peak_observe.resilience.common import validation
from peak_observe.support.child_process import ChildProcess
from peak_observe.support.wake_event import WakeEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peak_observe.resilience.health.formatting import CheckFunction, Outcome

TAIL = 2000  # bytes of the output that are kept
LAST_START = 1.0  # seconds that the end of the program waits for a command that is just being started

_running: set[ChildProcess] = set()
_starting = threading.Lock()  # a command is started and known in one, or the end of the program could miss it


def command(args: str | Sequence[str], *, timeout: float = 5.0, exit_code: int = 0) -> CheckFunction:
    """Return a check that runs a command, without a shell, and compares its exit code.

    Its message is the last line of the output. When `timeout` has passed, the command and what it started are killed.

    Args:
        args: The program and its arguments; a string is split as a shell would split it.
        timeout: Seconds the command may take; give the check itself a little more.
        exit_code: The code that means healthy.

    Raises:
        ValueError: There is no command, or the timeout makes no sense.
    """
    validation.check_period("timeout", timeout)
    words = shlex.split(args) if isinstance(args, str) else list(args)
    if not words:
        raise ValueError("args must name a program")

    def check() -> Outcome:
        try:
            process, output = _run(words, timeout)
        except TimeoutError:  # which is an OSError too
            return False, f"{words[0]} was killed after {timeout:g} s", {}
        except OSError as error:
            return False, f"cannot run {words[0]}: {error.strerror}", {}
        last = output.strip().rpartition("\n")[2]
        why = process.why() or "exit code 0"
        how = f"killed by {why}" if why.startswith("signal") else why
        details = {} if process.is_lost else {"exit_code": process.returncode}
        return details.get("exit_code") == exit_code, f"{how}: {last}" if last else how, details

    return check


def _run(words: list[str], timeout: float) -> tuple[ChildProcess, str]:
    with _started(words) as process:
        overdue = WakeEvent()
        timer = threading.Timer(timeout, _end, (process, overdue))
        timer.daemon = True
        try:
            timer.start()
            tail = _tail(process)
            process.wait()
        finally:
            _running.discard(process)
            timer.cancel()
    if overdue.is_set():
        raise TimeoutError
    return process, tail.decode(errors="replace")


def _started(words: list[str]) -> ChildProcess:
    with _starting:
        process = ChildProcess(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        _running.add(process)
    return process


def _tail(process: ChildProcess) -> bytes:
    tail = b""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    while chunk := process.stdout.read(65_536):
        tail = (tail + chunk)[-TAIL:]
    return tail


def _end(process: ChildProcess, overdue: WakeEvent) -> None:
    overdue.set()
    process.send(signal.SIGKILL)


@atexit.register
def _kill_all() -> None:
    """Kill all commands under way when this process ends, as their timers end with it."""
    _starting.acquire(timeout=LAST_START)  # and never given back: whatever wants to start now is too late
    for process in list(_running):
        process.send(signal.SIGKILL)


def _forget() -> None:
    global _starting  # noqa: PLW0603 - the parent's may be held by a thread that is not there
    _starting = threading.Lock()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # what runs is the parent's
