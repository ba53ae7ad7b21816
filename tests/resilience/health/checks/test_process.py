"""The check of a command: real processes, also those that hang, flood or leave children behind."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe.resilience.health import checks
from peak_observe.support.child_process import UNKNOWN


@pytest.mark.parametrize(
    ("args", "settings", "found"),
    [
        ("true", {}, (True, "exit code 0", {"exit_code": 0})),
        ("sh -c 'echo one; echo two words; exit 3'", {}, (False, "exit code 3: two words", {"exit_code": 3})),
        (["sh", "-c", "echo failed >&2; exit 3"], {"exit_code": 3}, (True, "exit code 3: failed", {"exit_code": 3})),
        (["sh", "-c", "kill -TERM $$"], {}, (False, "killed by signal 15", {"exit_code": -15})),
        (["no-such-program", "x"], {}, (False, "cannot run no-such-program: No such file or directory", {})),
        (["cat"], {}, (True, "exit code 0", {"exit_code": 0})),
        (["sh", "-c", r"printf '\377\n'"], {}, (True, "exit code 0: \ufffd", {"exit_code": 0})),
    ],
)
def test_the_exit_code_is_the_answer(args: object, settings: dict, found: tuple) -> None:
    """With the last line of the output; standard input is empty, and there is no shell."""
    assert checks.command(args, **settings)() == found


def test_an_exit_code_that_nobody_knows_is_not_healthy() -> None:
    """As where the program ignores the ends of its children; it is not the one that was asked for either."""
    program = (
        "import signal; from peak_observe.resilience.health import checks; "
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
        "print([checks.command('sh -c \"exit 3\"', exit_code=code)() for code in (0, 1, 3)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str([(False, UNKNOWN, {})] * 3)


def test_a_flood_of_output_is_read_and_dropped() -> None:
    """Neither the pipe nor the memory fills."""
    program = "import sys; sys.stdout.write('x' * 5_000_000 + '\\nlast')"
    healthy, message, _ = checks.command([sys.executable, "-c", program], timeout=60)()
    assert (healthy, message) == (True, "exit code 0: last")


def alive(pid: int) -> bool:
    """Return whether a process runs; one that is only waiting to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path, wait_until: Callable) -> None:
    """All of its session, so that the pipe of its output closes too."""
    file = tmp_path / "pid"
    started = time.monotonic()
    found = checks.command(["sh", "-c", f"sleep 300 & echo $! > {file}; wait"], timeout=5.0)()
    assert found == (False, "sh was killed after 5 s", {})
    assert time.monotonic() - started < 60
    wait_until(lambda: not alive(int(file.read_text())))


@pytest.mark.parametrize(
    ("args", "settings", "message"),
    [
        ("", {}, "args must name a program"),
        ([], {}, "args must name a program"),
        ("x 'y", {}, "No closing quotation"),
        ("true", {"timeout": 0}, "timeout must be more than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(args: object, settings: dict, message: str) -> None:
    """When the check is made."""
    with pytest.raises(ValueError, match=message):
        checks.command(args, **settings)


PROGRAM = """
import pathlib, sys, threading, time
from peak_observe import HealthCheck
from peak_observe.resilience.health import checks
health, file = HealthCheck(), pathlib.Path(sys.argv[1])
command = ["sh", "-c", f"echo $$ > {file}.new; mv {file}.new {file}; exec sleep 300"]
health.register("slow", checks.command(command, timeout=300), timeout=301)
threading.Thread(target=health.run_all, daemon=True).start()
while not file.exists():
    time.sleep(0.01)
print("bye")
"""


def test_a_program_that_ends_leaves_no_command_behind(tmp_path: Path, wait_until: Callable) -> None:
    """The timer that would have ended it ends with the program."""
    file = tmp_path / "pid"
    done = subprocess.run([sys.executable, "-c", PROGRAM, file], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "bye\n"
    wait_until(lambda: not alive(int(file.read_text())))
