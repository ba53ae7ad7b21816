"""A small world with a bit of everything in it: live files, a repository, and neighbours that nobody may touch."""

import os
import shutil
import sqlite3
import stat
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.repository.ledger import Account

LEFTOVERS = (".staging-", ".failed-", ".trash-", ".drill-", ".peak-", "restore-", ".restore-", ".account.json.")
OWN_FILES = {"account.json", "account.lock", "account.notes", "databases.json", "lock"}
YEAR_2020 = 1_577_836_800_000_000_000


class Fact(NamedTuple):
    """One file, link or folder as it is."""

    type: int
    mode: int
    mtime_ns: int
    content: bytes


def snapshot(tree: Path, *, folder_times: bool = False) -> dict[str, Fact]:
    """Return everything below a folder; a folder's time only if asked for, as a rename in it changes it."""
    found = {}
    for where, folders, files in os.walk(tree):
        for name in (*folders, *files, "."):
            path = os.path.normpath(f"{where}/{name}")
            found[os.path.relpath(path, tree)] = _fact(path, folder_times=folder_times)
    return found


def _fact(path: str, *, folder_times: bool) -> Fact:
    status = os.lstat(path)
    kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
    if kind == stat.S_IFDIR:
        return Fact(kind, mode, status.st_mtime_ns if folder_times else 0, b"")
    if kind == stat.S_IFLNK:
        return Fact(kind, 0, 0, os.fsencode(os.readlink(path)))
    content = Path(path).read_bytes() if kind == stat.S_IFREG else b""
    return Fact(kind, mode, status.st_mtime_ns, content)


class World:
    """The folders of one run.

    Args:
        base: A folder of its own.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "world"
        self.live = self.root / "live"
        self.repo = self.root / "repo"
        self.sibling = self.root / "sibling"
        self.copies = base / "copies"
        self.root.mkdir(parents=True)
        write_live(self.live, 1)
        write_live(self.sibling, 3)

    def manager(self) -> RecoveryManager:
        """Return a manager that everything is named for."""
        manager = RecoveryManager(self.repo, name="faults", max_age=3600)
        manager.config_backup.add_config(self.live / "config" / "app.toml")
        manager.config_backup.add_config(self.live / "config" / "limits.json")
        manager.data_backup.add_data_path(self.live / "data")
        manager.state_snapshot.register_provider("positions", lambda: {"BTC/EUR": 0.5})
        return manager

    def backup(self, *, incremental: bool = False) -> str:
        """Make a backup of everything."""
        return self.manager().create_backup(include_data=True, incremental=incremental)

    def keep(self) -> None:
        """Remember how live files and repository are now."""
        for folder in (self.live, self.repo, self.copies):
            shutil.rmtree(self.base / "kept" / folder.name, ignore_errors=True)
            if folder.exists():
                copy(folder, self.base / "kept" / folder.name)

    def reset(self, *, live: bool) -> None:
        """Bring back what was remembered; without `live` the live files keep their inodes."""
        for folder in (self.live, self.repo, self.copies) if live else (self.repo,):
            shutil.rmtree(folder, ignore_errors=True)
            if (self.base / "kept" / folder.name).exists():
                copy(self.base / "kept" / folder.name, folder)

    def reset_live(self, version: int) -> None:
        """Write another version over the live files."""
        shutil.rmtree(self.live)
        write_live(self.live, version)

    def account(self) -> Account:
        """Return what the repository remembers, read from the disk."""
        return msgspec.json.decode((self.repo / ".peak-observe" / "account.json").read_bytes(), type=Account)

    def leftovers(self) -> list[str]:
        """Return what a run that ended leaves nowhere."""
        own = self.repo / ".peak-observe"
        found = [str(own / name) for name in os.listdir(own) if name not in OWN_FILES]
        for folder in (self.live, self.repo, self.copies):
            for where, folders, files in os.walk(folder):
                names = [name for name in (*folders, *files) if name.startswith(LEFTOVERS) and name != ".peak-observe"]
                found += [f"{where}/{name}" for name in names]
        return sorted(set(found))

    def stored_bytes(self) -> int:
        """Measure what the backups take on the disk."""
        paths = [Path(where, name) for where, _, names in os.walk(self.repo) for name in names]
        files = [path.lstat() for path in paths if path.parent.name != ".peak-observe" and not path.is_symlink()]
        return sum({status.st_ino: status.st_size for status in files}.values())


def write_live(live: Path, version: int) -> None:
    """Write version 1, 2 or 3 of a tree: some files are the same in all, some change, come or go."""
    (live / "config").mkdir(parents=True)
    data = live / "data"
    data.mkdir(mode=0o750)
    _file(live / "config" / "app.toml", f"version = {version}\n", mode=0o600)
    _file(live / "config" / "limits.json", '{"max": 5}\n')
    _file(data / "trades.csv", f"{version},1.5\n" * (copying.CHUNK // 6 + 10))
    _file(data / "empty.txt", "")
    _file(data / "same.txt", "always the same\n", mode=0o444)
    _file(data / os.fsdecode(b"odd \xff%name"), f"{version}\n")
    (data / "link").symlink_to("trades.csv" if version == 1 else "same.txt")
    (data / "empty").mkdir(mode=0o700 if version == 1 else 0o711)  # a folder that is there, and not the same
    if version == 1:
        (data / "another.txt").hardlink_to(data / "same.txt")
    else:
        _file(data / "another.txt", "always the same\n", mode=0o444)
    if version != 2:
        (data / "old" / "deep").mkdir(parents=True)
        _file(data / "old" / "deep" / "a.txt", "deep\n")
        (data / "old").chmod(0o711)
        os.utime(data / "old", ns=(YEAR_2020, YEAR_2020))
    _file(data / f"only_{version}.txt", "x\n")
    with closing(sqlite3.connect(data / "orders.db")) as database:
        database.execute("CREATE TABLE orders (number INTEGER)")
        database.execute("INSERT INTO orders VALUES (?)", (version,))
        database.commit()
    os.utime(data / "orders.db", ns=(YEAR_2020 + version, YEAR_2020 + version))
    with (data / "sparse.bin").open("wb") as file:
        file.truncate(65536)
        file.write(b"%d" % version)
    os.utime(data / "sparse.bin", ns=(YEAR_2020 + version, YEAR_2020 + version))


def _file(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)
    os.utime(path, ns=(YEAR_2020 + len(text), YEAR_2020 + len(text)))


def copy(source: Path, target: Path) -> None:
    """Copy a tree with links, modes and times as they are."""
    target.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def let_times_pass() -> None:
    """Wait until a file that was written now is old enough to prove by its time that it has not changed."""
    time.sleep(2 * sqlite.DOUBT_NS / 1e9)


def outcome_counts(account: Account) -> dict[str, Any]:
    """Return how often runs ended how, without what never happened."""
    return {name: count for name, count in account.runs.items() if count}
