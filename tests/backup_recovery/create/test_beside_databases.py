"""Files of the user's own beside databases, with names of SQLite's logs: a backup holds them and leaves them alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe import BackupStatus, RecoveryManager

from ..conftest import picture

TEXT = b"notes of mine\n" * 10
INDEX = (3_007_000).to_bytes(4, "little") + bytes(32_764)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a database that nobody has open."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def make(path: Path, *, wal: bool) -> sqlite3.Connection:
    """Make a database, and return the connection."""
    database = sqlite3.connect(path, isolation_level=None)
    if wal:
        database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE fills (price)")
    database.execute("INSERT INTO fills VALUES (1)")
    return database


def manager_of(folder: Path) -> RecoveryManager:
    """Return a manager for whom the folder is named."""
    manager = RecoveryManager(folder.parent / "backups")
    manager.data_backup.add_data_path(folder)
    return manager


@pytest.mark.parametrize(
    ("side", "content", "wal"),
    [
        ("-wal", TEXT, False),
        ("-journal", TEXT, False),
        ("-journal", TEXT, True),
        *[("-shm", content, wal) for content in (TEXT, b"\xfe\x01" * 4096) for wal in (False, True)],
    ],
)
def test_a_file_of_the_user_is_in_the_backup_and_stays(folder: Path, side: str, content: bytes, *, wal: bool) -> None:
    """Byte for byte, and nothing comes to be beside it."""
    make(folder / "t.db", wal=wal).close()
    (folder / f"t.db{side}").write_bytes(content)
    before = picture(folder)
    manager = manager_of(folder)
    for _ in range(2):
        backup_id = manager.create_backup()
        assert manager.get_backup(backup_id).good
        assert picture(folder) == before
        stored = manager.backup_root / backup_id / "data" / "data"
        assert (stored / f"t.db{side}").read_bytes() == content
        with closing(sqlite3.connect(f"file:{stored / 't.db'}?immutable=1", uri=True)) as database:
            assert database.execute("SELECT price FROM fills").fetchall() == [(1,)]


@pytest.mark.parametrize("content", [b"", INDEX[:3], INDEX, bytes(32_768)], ids=["empty", "begun", "whole", "zeros"])
def test_an_index_that_a_crash_left_is_not_in_the_backup_and_stays(folder: Path, content: bytes) -> None:
    """It is SQLite's own, and tells nothing without its log."""
    make(folder / "t.db", wal=True).close()
    (folder / "t.db-shm").write_bytes(content)
    before = picture(folder)
    manager = manager_of(folder)
    backup_id = manager.create_backup()
    assert manager.get_backup(backup_id).good
    assert picture(folder) == before
    assert [path.name for path in (manager.backup_root / backup_id / "data" / "data").iterdir()] == ["t.db"]


def test_a_database_in_use_is_not_opened_where_that_would_spoil_a_file(folder: Path) -> None:
    """A log that a crash left, and a file of the user's in the place of its index."""
    with closing(make(folder / "t.db", wal=True)):
        log = (folder / "t.db-wal").read_bytes()
    (folder / "t.db-wal").write_bytes(log)
    (folder / "t.db-shm").write_bytes(b"notes of mine")
    before = picture(folder)
    manager = manager_of(folder)
    backup = manager.get_backup(manager.create_backup())
    assert backup.status is BackupStatus.PARTIAL
    assert "t.db-shm beside it is no file of SQLite's" in backup.error_message
    assert picture(folder) == before
