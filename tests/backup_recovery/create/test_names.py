"""A database with several names is read under the one that has SQLite's log beside it."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
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

HALF = """
import os, sqlite3
d = sqlite3.connect("e/t.db", isolation_level=None)
d.execute("PRAGMA cache_size=5")
d.execute("BEGIN")
d.execute("UPDATE t SET x = 'evil' || substr(x, 5)")
os.kill(os.getpid(), 9)
"""
OF_TWO = "has 2 names, of which 1 can be looked at: what SQLite's log beside another one holds is missing"
HALF_OF_TWO = (
    "has 2 names, of which 1 can be looked at: with SQLite's journal beside another one it may be half a transaction; "
    "name that one as well"
)
MOUNTED = (
    "is mounted by itself: if SQLite's log lies beside it in the folder that it comes from, what that holds is "
    "missing; mount that folder, or name it as well"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


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
    assert backup.error_message == f"{tmp_path}/other/a.db: {OF_TWO}; name that one as well"
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


def test_a_half_transaction_is_not_stored_without_a_word(tmp_path: Path, trusting: None) -> None:
    """A crash left it in the database, and the journal that takes it back beside a name that is not named."""
    for folder in ("d", "e"):
        (tmp_path / folder).mkdir()
    with closing(sqlite3.connect(tmp_path / "e" / "t.db")) as database, database:
        database.execute("CREATE TABLE t (x)")
        database.executemany("INSERT INTO t VALUES (?)", [(f"good{number}",) for number in range(3000)])
    (tmp_path / "d" / "t.db").hardlink_to(tmp_path / "e" / "t.db")
    subprocess.run([sys.executable, "-c", HALF], cwd=tmp_path, check=False)
    assert (tmp_path / "e" / "t.db-journal").stat().st_size
    for _ in range(2):
        backup, _ = made(tmp_path, "d")
        assert backup.error_message == f"{tmp_path}/d/t.db: {HALF_OF_TWO}"
    backup, _ = made(tmp_path, "d", "e")
    assert backup.good
    for path in (tmp_path / "backups" / backup.backup_id).rglob("t.db"):
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
            assert database.execute("SELECT count(*) FROM t WHERE x LIKE 'good%'").fetchone() == (3000,)


@pytest.fixture
def alone(tmp_path: Path, mounted: Callable[..., Path]) -> Path:
    """Return a database that is mounted by itself from the folder `from`, as Docker mounts single files."""
    (tmp_path / "from").mkdir()
    with closing(sqlite3.connect(tmp_path / "from" / "z.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x)")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "z.db").touch()
    return mounted("--bind", str(tmp_path / "from" / "z.db"), on=tmp_path / "data" / "z.db")


@as_root
@pytest.mark.parametrize("named", ["data", "data/z.db"])
def test_a_database_that_is_mounted_by_itself_is_without_its_log(
    tmp_path: Path, alone: Path, trusting: None, named: str
) -> None:
    """The log lies in the folder it comes from: unless that is named as well, nobody knows what it holds."""
    for crashed in (False, True):
        backup, found = made(tmp_path, named)
        assert backup.error_message == f"{tmp_path}/data/z.db: {MOUNTED}"
        assert found == {"z.db": 0}
        if not crashed:
            subprocess.run([sys.executable, "-c", CRASH], cwd=tmp_path / "from", check=False)
    backup, found = made(tmp_path, named, "from")
    assert backup.good
    assert found == {"z.db": 1}


@as_root
def test_a_database_that_is_mounted_onto_itself_has_its_log_beside_it(
    tmp_path: Path, mounted: Callable[..., Path], alone: Path, trusting: None
) -> None:
    """It lies in its own folder as before; something else that is mounted there as well does not."""
    own = mounted("--bind", str(tmp_path / "from" / "z.db"), on=tmp_path / "from" / "z.db")
    backup, _ = made(tmp_path, "from")
    assert backup.good
    subprocess.run([sys.executable, "-c", CRASH], cwd=tmp_path / "from", check=False)
    backup, found = made(tmp_path, "from")
    assert backup.good
    assert found == {"z.db": 1}
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x)")
    for log in (tmp_path / "from").glob("z.db-*"):
        log.unlink()
    mounted("--bind", str(tmp_path / "other.db"), on=own)
    assert made(tmp_path, "from")[0].error_message == f"{own}: {MOUNTED}"


@as_root
def test_a_database_that_is_in_use_where_it_is_mounted_has_its_log_there(
    tmp_path: Path, alone: Path, trusting: None
) -> None:
    """As by a program in the same container."""
    with closing(sqlite3.connect(alone, isolation_level=None)) as database:
        database.execute("INSERT INTO t VALUES (1)")
        backup, found = made(tmp_path, "data")
    assert backup.good
    assert found == {"z.db": 1}


@as_root
def test_a_database_without_a_write_ahead_log_is_whole_where_it_is_mounted_by_itself(
    tmp_path: Path, alone: Path, trusting: None
) -> None:
    """All that is committed is in its file, and a program in the same container has its journal beside it."""
    with closing(sqlite3.connect(tmp_path / "from" / "z.db")) as database:
        database.execute("PRAGMA journal_mode=DELETE")
    backup, _ = made(tmp_path, "data")
    assert backup.good


@as_root
def test_a_mounted_database_that_was_replaced_where_it_comes_from_may_have_a_log(tmp_path: Path, alone: Path) -> None:
    """It has no name then but the one where it is mounted."""
    (tmp_path / "from" / "z.db").unlink()
    backup, _ = made(tmp_path, "data", "from")
    assert backup.error_message == f"{tmp_path}/data/z.db: {MOUNTED}"
