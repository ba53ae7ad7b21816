"""Ctrl-C while a backup is fetched from a store: nothing stays of what was fetched, which is the backup unencrypted."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from peak_observe.backup_recovery.repository.leftovers import OFFSITE

from .test_backup_offsite import RESTORE, away

__all__ = ["away"]

PATIENCE = 60  # seconds; each of these ends within two where nothing else runs
FILES = 1500
FETCHED = f"{OFFSITE}*/backup_*/data/*/d/*"
COMMANDS = {
    "restore": (*RESTORE, "--to", "out", "--yes"),
    "drill": ("offsite", "drill", "--identity", "identity.txt", "--temp-dir", "."),
}


@pytest.fixture
def place(away) -> Path:
    """The folder of a program whose store holds a backup of so many small files that signals find a fetch at work."""
    for number in range(FILES):
        away.write(f"data/d/{number}.csv", f"{number}\n" * 200)
    assert away.run("create", "--push").code == 0
    return away.folder


def are_there(place: Path, pattern: str, count: int) -> bool:
    """Return whether at least so many files are there; what is being renamed meanwhile is looked for again."""
    with suppress(FileNotFoundError):
        return len(list(place.glob(pattern))) >= count
    return False


def interrupted(place: Path, command: str, at: int, *numbers: signal.Signals, of: str = FETCHED) -> str:
    """Run a command, send signals once so many files are there, and return what it says.

    It stands still while its files are counted, as it might have ended by then on a busy machine.
    """
    program = [sys.executable, "-m", "peak_observe", "backup", *COMMANDS[command]]
    with subprocess.Popen(program, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + PATIENCE
        while process.poll() is None:
            time.sleep(0.005)
            process.send_signal(signal.SIGSTOP)
            if are_there(place, of, at):
                break
            process.send_signal(signal.SIGCONT)
            assert time.monotonic() < until
        for number in (*numbers, signal.SIGCONT):
            process.send_signal(number)
        said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130, said
    return said


@pytest.mark.parametrize("at", [200, 900])
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP, signal.SIGINT)],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
def test_nothing_stays_unencrypted(place: Path, command: str, at: int, numbers: tuple[signal.Signals, ...]) -> None:
    """The threads that fetch have ended before the folder is removed, and a second signal does not end the removal."""
    said = interrupted(place, command, at, *numbers)
    assert "interrupted; no backup and no file is left half done" in said
    assert not list(place.glob(f"{OFFSITE}*"))
    assert not os.path.lexists(place / "out")


@pytest.mark.parametrize("at", [1, 700])
def test_nothing_stays_of_what_a_drill_restores(place: Path, at: int) -> None:
    """It lies in the same folder."""
    interrupted(place, "drill", at, signal.SIGINT, signal.SIGTERM, of=f"{OFFSITE}*/.drill-*/**/*.csv*")
    assert not list(place.glob(f"{OFFSITE}*"))
