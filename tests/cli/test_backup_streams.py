"""Commands whose standard error takes nothing: a full disk behind it, or a reader who has left."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import PATIENCE

# A command that tells at once how far it has come, as otherwise after a second.
EAGER = """
from peak_observe.__main__ import main
from peak_observe.cli.backup import progress

progress.LINES = (1e-9,) * 1000
main()
"""


@contextmanager
def taking_nothing(how: str) -> Iterator[int]:
    """Yield a descriptor that nothing can be written to."""
    if how == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, descriptor = os.pipe()
        os.close(reader)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def run(folder: Path, *args: str, err: int) -> int:
    """Return the exit code of a command."""
    command = [sys.executable, "-c", EAGER, *args]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=err, timeout=PATIENCE, check=False)
    return done.returncode


@pytest.mark.parametrize("how", ["full", "unread"])
def test_backup_and_restore_are_as_good_as_ever(desk, how: str) -> None:
    """That nobody is told how far they have come is no error of a file."""
    for number in range(20):
        desk.write(f"data/{number}", "x")
    with taking_nothing(how) as err:
        assert run(desk.folder, "backup", "create", "--config.file", "peak-backup.toml", err=err) == 0
        (backup,) = desk.run("list", "--json").json["backups"]
        assert (backup["status"], backup["files_count"]) == ("success", 22)
        assert run(desk.folder, "backup", "restore", "latest", "--to", "out", "--yes", err=err) == 0
        assert run(desk.folder, "backup", "drill", err=err) == 0
    assert len(list((desk.folder / "out").rglob("*"))) > 22


@pytest.mark.parametrize("how", ["full", "unread"])
def test_warnings_that_nobody_takes_change_nothing(desk, how: str) -> None:
    """A command that fails makes the backup partial, and not failed."""
    desk.write("peak-observe.toml", '[backup]\ndata = "data"\n[backup.commands]\npg = "false"\n')
    with taking_nothing(how) as err:
        assert run(desk.folder, "backup", "create", err=err) == 1
    assert [backup["status"] for backup in desk.run("list", "--json").json["backups"]] == ["partial"]


@pytest.mark.parametrize("how", ["full", "unread"])
@pytest.mark.parametrize(
    "args", [("backup", "show", "nothing"), ("backup", "create", "--unknown"), ("backup", "create", "--only", "x")]
)
def test_exit_codes_are_those_of_the_errors(desk, how: str, args: tuple[str, ...]) -> None:
    """Also of those that cannot be told."""
    desk.made()
    told = desk.run_any(*args)
    with taking_nothing(how) as err:
        assert run(desk.folder, *args, err=err) == told.code > 1
