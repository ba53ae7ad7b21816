"""Commands that messages name: each is run literally, as whoever copies it does."""

import re
import shlex
import subprocess
import sys

import pytest

from .test_backup_offsite import RESTORE, away

__all__ = ["away"]

THRICE = """
import signal
from peak_observe.__main__ import main
from peak_observe.backup_recovery.restore.interrupts import Interrupts
from peak_observe.backup_recovery.restore.transaction import Transaction
settle, busy = Interrupts.settle, Transaction._refuse_busy

def staged(work, numbers):
    signal.raise_signal(signal.SIGINT)
    busy(work, numbers)

def twice(interrupts, doing):
    Interrupts.settle = settle
    settle(interrupts, doing)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)

Transaction._refuse_busy, Interrupts.settle = staged, twice
main()
"""


def cut_off(desk, *words: str) -> str:
    """Restore with three Ctrl-C, and return the command that the message names."""
    command = [sys.executable, "-c", THRICE, "backup", *words]
    done = subprocess.run(command, cwd=desk.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done
    (command,) = re.findall("`(peak-observe backup .*?)`", done.stderr) or [done.stderr]
    return command


def literally(desk, command: str) -> str:
    """Run a command as a shell does, and return what it said."""
    words = shlex.split(command)
    assert words[0] == "peak-observe"
    done = desk.run_any(*words[1:])
    assert done.code == 0, done
    return done.out + done.err


def left(desk) -> list:
    """Return the files of a restore that lie beside others."""
    return list(desk.folder.rglob(".peak-*.new"))


@pytest.mark.parametrize("repository", ["re po", "backups"])
def test_after_the_third_ctrl_c(desk, repository: str) -> None:
    """The repository is the one that was meant, also where another one has the usual name."""
    desk.made()
    for name in "abcd":
        desk.write(f"it's data/{name}", name)
    assert desk.run("create", "--repository", repository, "--data", "it's data").code == 0
    old = f"{desk.folder}/it's data"
    command = cut_off(desk, "restore", "latest", "--repository", repository, "--map", f"{old}=m x", "--yes")
    assert left(desk)
    assert "it was undone" in literally(desk, command)
    assert not left(desk)


def test_without_a_repository(away) -> None:
    """On a new host there is none; the journal lies beside the files, below the folder that `--map` names."""
    for name in "abcd":
        away.write(f"data/{name}", name)
    assert away.run("create", "--push").code == 0
    (away.folder / "backups").rename(away.folder / "gone")
    away.write("ho=st/config/old", "")
    command = cut_off(away, *RESTORE, "--map", f"{away.folder}={away.folder}/ho=st", "--yes")
    assert "--repository" not in command
    assert left(away), command
    (away.folder / "peak-observe.toml").unlink()
    assert "it was undone" in literally(away, command)
    assert not left(away)
    assert not (away.folder / "backups").exists()


@pytest.mark.parametrize("command", ["restore {} --path nope --to out", "cat {} nope"])
@pytest.mark.parametrize("repository", ["re po", "backups"])
def test_ls_lists_what_a_backup_holds(desk, command: str, repository: str) -> None:
    """It needs the backup, and the repository where it is not the usual one."""
    made = desk.run("create", "--repository", repository, "--data", "data", "--json").json["backup_id"]
    done = desk.run(*command.format("latest").split(), "--repository", repository)
    (advice,) = re.findall("`(.*?)` lists what it holds", done.line)
    assert ("--repository" in advice, made in advice) == (repository != "backups", True)
    assert "trades.csv" in literally(desk, advice)


def test_a_name_with_an_equals_sign(desk) -> None:
    """The `=` before an absolute path parts the two."""
    desk.write("y=2024/a", "x")
    desk.run("create", "--repository", "bk", "--data", "y=2024")
    words = "--map", f"{desk.folder}/y=2024={desk.folder}/n=w", "--yes"
    assert desk.run("restore", "latest", "--repository", "bk", *words).code == 0
    assert desk.read("n=w/a") == "x"
