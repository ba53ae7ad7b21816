"""A small program with a configuration, data and state, and a manager of its backups."""

import os
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.files.file_systems import is_in_memory

OLD = 1_700_000_000


class Program:
    """The files of a trading program.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config" / "config.toml"
        self.data = folder / "data"
        self.trades = self.data / "trades"
        self.write(self.config, "pair = 'BTC/USD'\n")
        self.write(self.data / "positions.csv", "BTC,1\n")
        for day in range(3):
            self.write(self.trades / f"{day}.csv", f"{day},64000\n" * 10)
        (self.data / "empty").mkdir()
        (self.data / "latest").symlink_to("trades/2.csv")

    @staticmethod
    def write(path: Path, text: str) -> None:
        """Write a file that looks as if it had not changed for long."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (OLD, OLD))

    def picture(self) -> dict[str, tuple[object, ...]]:
        """Return everything there is: names, types, modes, times, contents and where links point."""
        return picture(self.folder)


def picture(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        times = status.st_mtime_ns if path.is_file() and not path.is_symlink() else 0
        found[str(path.relative_to(folder))] = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), times, content
    return found


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Return the program."""
    return Program(tmp_path / "program")


@pytest.fixture
def manager(tmp_path: Path, program: Program) -> RecoveryManager:
    """Return a manager for whom all of the program is named."""
    made = RecoveryManager(tmp_path / "backups")
    made.config_backup.add_config(program.config)
    made.data_backup.add_data_path(program.data)
    made.state_snapshot.register_provider("bot", lambda: {"orders": 2})
    return made


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe the times of files that changed a moment ago, as tests do not wait."""
    monkeypatch.setattr("peak_observe.backup_recovery.files.sqlite.DOUBT_NS", -(10**12))


def owner(path: Path) -> tuple[int, int, int]:
    """Return owner, group and permissions."""
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def as_user(uid: int, act: Callable[[], object]) -> None:
    """Do something as another user, in a child of this process, which has to be root's."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            act()
        except BaseException:
            os.write(write, traceback.format_exc().encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        problem = file.read()
    os.waitpid(pid, 0)
    assert not problem, problem


def prune(manager: RecoveryManager) -> None:
    """Have another process prune all but the newest backup, unless that was done."""
    if len(manager.list_backups()) > 1:
        command = [sys.executable, "-m", "peak_observe", "backup", "prune", "--last", "1"]
        place = ["--repository", str(manager.backup_root)]
        subprocess.run([*command, *place], check=True, capture_output=True, timeout=60)


@pytest.fixture
def memory() -> Iterator[Path]:
    """Return a folder on a file system in memory."""
    place = "/dev/shm"  # noqa: S108 - its folder has a name that nobody knows
    if not is_in_memory(place):
        pytest.skip(f"there is no file system in memory at {place}")
    with tempfile.TemporaryDirectory(dir=place, prefix="peak-observe-") as folder:
        yield Path(folder)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts something, which is unmounted in the end."""
    places: list[Path] = []

    def mount(*options: str, on: Path) -> Path:
        if "remount" not in options[-1]:
            places.append(on)
        subprocess.run(["mount", *options, str(on)], check=True)
        return on

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", "--lazy", str(place)], check=True)
