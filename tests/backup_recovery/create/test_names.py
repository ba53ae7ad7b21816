"""A database with several names is read under the one that has SQLite's log beside it."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe.backup_recovery import BackupMetadata, RecoveryManager

CRASH = """
import os, sqlite3
d = sqlite3.connect("z.db", isolation_level=None)
d.execute("INSERT INTO t VALUES (2)")
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return a database in use as `data/z.db`, which is `data/a.db` as well, with commits in its log alone."""
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / "z.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x)")
    (tmp_path / "data" / "a.db").hardlink_to(tmp_path / "data" / "z.db")
    with closing(sqlite3.connect(tmp_path / "data" / "z.db", isolation_level=None)) as database:
        database.execute("PRAGMA wal_autocheckpoint=0")
        database.execute("INSERT INTO t VALUES (1)")
        yield database


def made(tmp_path: Path, *named: str) -> tuple[BackupMetadata, dict[str, int]]:
    """Make a backup, and return it with the rows of each database in it."""
    manager = RecoveryManager(tmp_path / "backups")
    for name in named:
        manager.data_backup.add_data_path(tmp_path / name)
    backup = manager.get_backup(manager.create_backup())
    rows = {}
    for path in (tmp_path / "backups" / backup.backup_id).rglob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
            rows[path.name] = database.execute("SELECT count(*) FROM t").fetchone()[0]
    return backup, rows


@pytest.mark.parametrize("named", [["data"], ["data/a.db"], ["data/a.db", "data/z.db"]])
def test_the_name_with_the_log_is_read(
    tmp_path: Path, live: sqlite3.Connection, trusting: None, named: list[str]
) -> None:
    """Though another one comes first; also in the next backup, where that one did not change."""
    for rows in (1, 2, 3):
        backup, found = made(tmp_path, *named)
        assert backup.good, backup.error_message
        assert set(found.values()) == {rows}
        live.execute("INSERT INTO t VALUES (2)")


def test_a_name_in_another_folder_is_found_if_that_is_named(tmp_path: Path, live: sqlite3.Connection) -> None:
    """Otherwise nobody knows what its log holds, and the backup says so."""
    live.close()
    subprocess.run([sys.executable, "-c", CRASH], cwd=tmp_path / "data", check=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "data" / "a.db").rename(tmp_path / "other" / "a.db")
    backup, found = made(tmp_path, "other")
    assert backup.status.value == "partial"
    assert backup.error_message == (
        f"{tmp_path}/other/a.db: has 2 names, of which 1 can be looked at: what SQLite's log beside another one holds "
        "is missing; name that one as well"
    )
    assert found == {"a.db": 1}
    backup, found = made(tmp_path, "other", "data")
    assert backup.good
    assert found == {"a.db": 2, "z.db": 2}


def test_names_without_a_log_are_one_database(tmp_path: Path, live: sqlite3.Connection) -> None:
    """At rest every name has all of it."""
    live.close()
    backup, found = made(tmp_path, "data")
    assert backup.good
    assert found == {"a.db": 1, "z.db": 1}
