"""Bots in containers that share the folder: other pid and time namespaces, another boot id, and the name they keep."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from peak_observe.exporter.sources.metric_block import Block
from peak_observe.exporter.sources.process_source import ProcessDirectory
from tests.conftest import NEEDS, binary

BOT = """
import sys
import peak_observe
peak_observe.configure(process="bot", snapshot_dir=sys.argv[1], snapshot_interval=5.0)
@peak_observe.circuit_breaker(name="feed")
def call():
    pass
call(); call(); call()
print("ready", flush=True)
input()
"""
DAY = "86400"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
PID = ("--pid", "--fork", "--kill-child", "--mount-proc")
TIME = (*PID, "--time", "--monotonic", DAY, "--boottime", DAY)
# A sandbox, for instance gVisor, shows its containers a boot id of their own.
SANDBOX = ("--mount", "sh", "-c", f'mount --bind "$0" {BOOT_ID} && exec "$@"')
KINDS = ["pid", "time", "boot id"]


@cache
def permitted(*options: str) -> bool:
    """Return whether this machine lets us make namespaces."""
    return subprocess.run([binary("unshare"), *options, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def start(tmp_path: Path, snapshots: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Return a function that starts a bot in a container of a kind."""
    identity = tmp_path / "boot_id"
    identity.write_text("00000000-1111-2222-3333-444444444444\n")
    options = {"pid": PID, "time": TIME, "boot id": (*SANDBOX, str(identity))}

    def started(kind: str) -> subprocess.Popen[bytes]:
        if not permitted(*(("--mount",) if kind == "boot id" else options[kind])):
            pytest.skip(f"{NEEDS}unshare (with the right to make namespaces)")
        command = [binary("unshare"), *options[kind], sys.executable, "-c", BOT, str(snapshots)]
        bot = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.enter_context(bot)
        stack.callback(bot.kill)
        assert bot.stdout.readline() == b"ready\n"
        return bot

    with ExitStack() as stack:
        yield started


def values(blocks: list[Block]) -> dict[str, float]:
    """Return all lines with their values."""
    pairs = (line.rpartition(" ") for block in blocks for line in block.lines)
    return {name: float(value) for name, _, value in pairs}


CALLS = 'peak_breaker_calls_total{breaker="feed",outcome="success",process="bot"}'
UP, AGE = 'peak_process_up{process="bot"}', 'peak_process_snapshot_age_seconds{process="bot"}'


@pytest.mark.parametrize("kind", KINDS)
def test_a_bot_that_lives_is_up_and_one_that_was_killed_is_not(start, snapshots, until, kind: str) -> None:
    """At once, whatever its clock, its pid and its boot id say; its snapshot is as old as its file."""
    bot = start(kind)
    directory = ProcessDirectory(snapshots)

    def up(value: float) -> bool:
        found = values(directory.collect())
        return found.get(UP) == value and found[CALLS] == 3.0 and 0 <= found[AGE] < 60

    until(lambda: up(1.0))
    bot.send_signal(signal.SIGKILL)
    bot.wait(60)
    until(lambda: up(0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_bot_that_is_killed_and_started_again_keeps_its_name(start, snapshots, until, kind: str) -> None:
    """Though its last snapshot is fresh; what it counted before goes on."""
    directory = ProcessDirectory(snapshots)
    for life in (1, 2, 3):
        bot = start(kind)
        until(lambda: values(directory.collect()).get(CALLS) == 3.0 * life and name(snapshots) == ["bot.snap"])  # noqa: B023 - asked at once
        bot.send_signal(signal.SIGKILL)
        bot.wait(60)


def test_two_bots_of_one_name_in_two_containers_are_two(start, snapshots, until) -> None:
    """Each with a name of its own for as long as it lives."""
    bots = [start("pid") for _ in range(2)]
    until(lambda: name(snapshots) == ["bot-2.snap", "bot.snap"])
    assert all(bot.poll() is None for bot in bots)


def test_a_folder_of_everybody_s_keeps_no_bot_silent(start, snapshots, until) -> None:
    """A pipe and a link in the place of its files, as somebody else may leave them there."""
    snapshots.mkdir(parents=True, mode=0o1777)
    os.mkfifo(snapshots / ".bot.lock")
    (snapshots / "bot.snap").symlink_to("elsewhere")
    start("pid")
    until(lambda: values(ProcessDirectory(snapshots).collect()).get(CALLS) == 3.0)


def name(folder: Path) -> list[str]:
    """Return the snapshots of a folder."""
    return sorted(path.name for path in folder.glob("*.snap"))
