"""Databases that are written to while they are backed up: each backup holds a prefix of the commits."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from faulty.driving import environment
from faulty.world import World, let_times_pass

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.files import sqlite
from peak_observe.errors import RestoreRefusedError

PATIENCE = 60.0
# Commits pairs of rows in two tables, on pages far apart, until it is told to stop: a copy of two moments shows.
WRITER = """
import sqlite3, sys, threading
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
database.execute(f"PRAGMA journal_mode={sys.argv[2]}")
database.execute("PRAGMA synchronous=OFF")
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
number = database.execute("SELECT max(number) FROM left_side").fetchone()[0]
while not stop.is_set():
    number += 1
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO left_side VALUES (?, ?)", (number, "x" * 200))
    database.execute("UPDATE total SET number = ?", (number,))
    database.execute("INSERT INTO right_side VALUES (?, ?)", (number, "y" * 200))
    database.execute("COMMIT")
    if number == 50:
        print("writing", flush=True)
print(number, flush=True)
"""


@contextmanager
def writer(path: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that commits all the time."""
    command = [sys.executable, "-c", WRITER, str(path), mode]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as child:
        try:
            assert child.stdout
            assert child.stdout.readline()
            yield child
        finally:
            child.kill()


@pytest.fixture
def database(new_world: Callable[[], World]) -> Path:
    """Return a database with some commits."""
    path = new_world().base / "ledger.db"
    with closing(sqlite3.connect(path)) as database:
        for name in ("left_side", "right_side"):
            database.execute(f"CREATE TABLE {name} (number INTEGER PRIMARY KEY, text TEXT)")
            database.execute(f"INSERT INTO {name} VALUES (0, '')")  # noqa: S608 - names of our own
        database.execute("CREATE TABLE total (number INTEGER)")
        database.execute("INSERT INTO total VALUES (0)")
        database.commit()
    return path


def manager_of(database: Path) -> RecoveryManager:
    """Return a manager that the database is named for."""
    manager = RecoveryManager(database.parent / "backups", name="faults")
    manager.data_backup.add_data_path(database)
    return manager


def commits(path: Path) -> int:
    """Return how many commits a database holds, after checking that they are the first ones, and whole."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        left, right = (
            [row[0] for row in database.execute(f"SELECT number FROM {name} ORDER BY number")]  # noqa: S608 - our own
            for name in ("left_side", "right_side")
        )
        (total,) = database.execute("SELECT number FROM total").fetchone()
    assert left == right == list(range(total + 1))
    return total


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
def test_a_backup_under_load_holds_a_prefix_of_the_commits(mode: str, database: Path) -> None:
    """At least ten backups while commits go on: each is whole, and each holds at least what the one before it held."""
    manager = manager_of(database)
    with writer(database, mode) as running:
        found, deadline = [], time.monotonic() + PATIENCE
        while time.monotonic() < deadline and (len(found) < 10 or found[0] == found[-1]):
            backup_id = manager.create_backup(include_config=False, include_state=False, include_data=True)
            assert manager.get_backup(backup_id).good, manager.get_backup(backup_id).error_message
            found.append(commits(database.parent / "backups" / backup_id / "data" / database.name))
        last, _ = running.communicate("\n", timeout=PATIENCE)
    assert found == sorted(found)
    assert 0 < found[0] < found[-1] <= int(last)
    assert manager.drill().ok


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_restore_over_a_running_database_is_refused(mode: str, database: Path) -> None:
    """The process that has it open would go on writing to a file that nobody sees any more."""
    manager = manager_of(database)
    backup_id = manager.create_backup(include_config=False, include_state=False, include_data=True)
    with writer(database, mode) as running:
        if mode == "delete":
            # A commit in this mode holds its lock for an instant; one that is open is met for sure.
            running.communicate("\n", timeout=PATIENCE)
            with closing(sqlite3.connect(database, isolation_level=None)) as open_here:
                open_here.execute("BEGIN IMMEDIATE")
                with pytest.raises(RestoreRefusedError, match="open"):
                    manager.restore(backup_id, data=True)
        else:
            with pytest.raises(RestoreRefusedError, match="another process has it open"):
                manager.restore(backup_id, data=True)
            running.communicate("\n", timeout=PATIENCE)
    assert commits_live(database) > 0
    assert manager.restore(backup_id, data=True)
    assert commits(database) == 0


def commits_live(path: Path) -> int:
    """Return the newest commit, as the next program to open the database sees it."""
    with closing(sqlite3.connect(path)) as database:
        (total,) = database.execute("SELECT number FROM total").fetchone()
    return total


def test_after_a_restore_no_log_of_the_old_database_stays(database: Path) -> None:
    """A writer was killed and left its log, which must not meet the database that comes back."""
    manager = manager_of(database)
    backup_id = manager.create_backup(include_config=False, include_state=False, include_data=True)
    with writer(database, "wal") as running:
        running.kill()
        running.wait(PATIENCE)
    assert (database.parent / "ledger.db-wal").stat().st_size > 0
    manager.restore(backup_id, data=True)
    assert [name for name in os.listdir(database.parent) if name.startswith(("ledger.db-", ".peak-"))] == []
    assert commits(database) == 0


def test_what_a_killed_writer_committed_is_in_the_next_backup(database: Path) -> None:
    """Its commits are in a log beside the database that nobody has open."""
    manager = manager_of(database)
    with writer(database, "wal") as running:
        running.kill()
        running.wait(PATIENCE)
    backup_id = manager.create_backup(include_config=False, include_state=False, include_data=True)
    assert manager.get_backup(backup_id).good
    assert commits(database.parent / "backups" / backup_id / "data" / database.name) >= 50


def test_a_commit_a_moment_ago_is_never_missed(database: Path) -> None:
    """Many changes within one tick of the clock have one time and one size: such a file is never linked unread."""
    manager = manager_of(database)
    for number in range(1, 30):
        with closing(sqlite3.connect(database)) as open_here:
            for name in ("left_side", "right_side"):
                open_here.execute(f"INSERT INTO {name} VALUES (?, '')", (number,))  # noqa: S608 - names of our own
            open_here.execute("UPDATE total SET number = ?", (number,))
            open_here.commit()
        backup_id = manager.create_backup(include_config=False, include_state=False, include_data=True)
        assert commits(database.parent / "backups" / backup_id / "data" / database.name) == number


def test_a_commit_in_the_middle_of_the_copy_is_noticed(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the same second and without a change of the size: the copy is made again, and holds what was committed."""
    copied, seen = sqlite._copy, []

    def copy(path: str, target: str, how: str) -> None:
        copied(path, target, how)
        if not seen:
            with closing(sqlite3.connect(path)) as writer:
                writer.execute("UPDATE total SET number = 7")
                writer.commit()
        seen.append(how)

    monkeypatch.setattr(sqlite, "_copy", copy)
    let_times_pass()
    manager = manager_of(database)
    backup_id = manager.create_backup(include_config=False, include_state=False, include_data=True)
    assert seen == ["immutable=1", "mode=ro"]
    with closing(sqlite3.connect(database.parent / "backups" / backup_id / "data" / database.name)) as copy_of_it:
        assert copy_of_it.execute("SELECT number FROM total").fetchone() == (7,)
