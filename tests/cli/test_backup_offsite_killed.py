"""Restores from a store that are cut off in the middle: whatever names the same files brings them to their end."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .test_backup_offsite import RESTORE, away

__all__ = ["away"]

KILLED = """
import os, signal, sys
from peak_observe.__main__ import main
rename, left, number = os.rename, [2], int(sys.argv.pop())

def counted(source, target, **more):
    if str(source).endswith(".new"):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), number)
    rename(source, target, **more)

os.rename = counted
main()
"""
FILES = [f"data/{name}.csv" for name in "abcd"]


@pytest.fixture
def cut(away) -> Path:
    """A program whose first two of four files are those of the backup, the others newer ones, after `kill -9`."""
    for name in FILES:
        away.write(name, "old\n")
    assert away.run("create", "--push").code == 0
    for name in FILES:
        away.write(name, "new\n")
    return away


def killed(desk, *options: str, by: int = signal.SIGKILL) -> subprocess.CompletedProcess[bytes]:
    """Restore, and end it in the middle."""
    command = [sys.executable, "-c", KILLED, "backup", *RESTORE, "--yes", *options, str(int(by))]
    done = subprocess.run(command, cwd=desk.folder, capture_output=True, check=False)
    assert done.returncode == (-by if by == signal.SIGKILL else 130)
    return done


def contents(desk, names: list[str] = FILES) -> set[str]:
    """Return what the files hold."""
    return {desk.read(name) for name in names}


@pytest.mark.parametrize("command", ["recover", "create", "diff latest", "restore latest --yes", "offsite restore"])
def test_what_names_the_files_brings_it_to_its_end(cut, command: str) -> None:
    """Before it does anything else: a backup of both would be one of half a bot."""
    killed(cut)
    assert contents(cut) == {"old\n", "new\n"}
    words = command.split() if command != "offsite restore" else [*RESTORE, "--dry-run"]
    done = cut.run(*words)
    assert done.code == 0
    assert "a crash cut it off; it was carried on: all files are those of the backup" in done.err
    assert contents(cut) == {"old\n"}
    assert not list(cut.folder.glob("data/.peak-*"))


def test_a_later_run_never_carries_out_an_old_one(cut) -> None:
    """What was written after it was brought to its end stays."""
    killed(cut)
    assert cut.run("create").code == 0
    cut.write(FILES[0], "newer\n")
    assert cut.run(*RESTORE, "--dry-run").code == 0
    assert cut.read(FILES[0]) == "newer\n"
    assert not list((cut.folder / "backups").glob(".peak-observe-offsite*"))


def test_to_another_layout(cut) -> None:
    """`recover` takes the same options."""
    moved = [name.replace("data", "elsewhere") for name in FILES]
    for name in moved:
        cut.write(name, "there\n")
    options = ("--map", f"{cut.folder}/data={cut.folder}/elsewhere")
    killed(cut, *options)
    assert contents(cut, moved) == {"old\n", "there\n"}
    assert cut.run("recover", *options).code == 0
    assert (contents(cut, moved), contents(cut)) == ({"old\n"}, {"new\n"})


def test_ctrl_c_takes_it_back(cut) -> None:
    """And nothing is left."""
    done = killed(cut, by=signal.SIGINT)
    assert b"interrupted" in done.stderr
    assert contents(cut) == {"new\n"}
    assert not list(cut.folder.glob("data/.peak-*"))


def test_a_backup_waits_for_its_end(cut) -> None:
    """What a restore from a store changes is not backed up meanwhile."""
    program = KILLED.replace("os.kill(os.getpid(), number)", "print(flush=True); sys.stdin.read()")
    command = [sys.executable, "-c", program, "backup", *RESTORE, "--yes", "0"]
    with subprocess.Popen(command, cwd=cut.folder, stdin=-1, stdout=-1, stderr=-3) as process:
        process.stdout.readline()
        assert cut.run("create").code == 5
        process.communicate(b"")
    assert process.returncode == 0
    assert contents(cut) == {"old\n"}
