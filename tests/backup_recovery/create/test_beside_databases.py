"""Files of the user's own beside databases, with names of SQLite's logs: a backup holds them and leaves them alone."""

import sqlite3
import time
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


def wait_for_doubt() -> None:
    """Wait until what was written shows in times."""
    time.sleep(0.2)


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"notes of mine", "t.db-shm beside it is no file of SQLite's"),
        (b"\xfe\x01" * 4096, "SQLite: t.db-shm beside it is damaged: remove it while nobody uses the database"),
    ],
    ids=["text", "damaged"],
)
def test_a_database_in_use_is_not_opened_where_that_would_spoil_a_file(folder: Path, content: bytes, said: str) -> None:
    """A log that a crash left, and a file of the user's in the place of its index, or an index that is damaged."""
    with closing(make(folder / "t.db", wal=True)):
        log = (folder / "t.db-wal").read_bytes()
    (folder / "t.db-wal").write_bytes(log)
    (folder / "t.db-shm").write_bytes(content)
    before = picture(folder)
    manager = manager_of(folder)
    backup = manager.get_backup(manager.create_backup())
    assert backup.status is BackupStatus.PARTIAL
    assert said in backup.error_message
    assert picture(folder) == before


def whole(manager: RecoveryManager, backup_id: str) -> list[str]:
    """Return the files of a good backup in which every byte is what was stored."""
    assert manager.get_backup(backup_id).good
    assert manager.verify_backup(backup_id).ok
    entries = manager._repository.manifest(manager.get_backup(backup_id)).entries
    return [entry.stored.removeprefix("data/") for entry in entries if entry.type == "file" and "/" in entry.stored]


@pytest.mark.parametrize("wal", [False, True])
def test_a_file_of_the_user_stays_in_the_backup_when_only_the_database_is_read_again(
    folder: Path, *, wal: bool
) -> None:
    """It is linked before the database is copied, and SQLite removes a log beside an empty database."""
    database, notes = folder / "t.db", folder / "t.db-journal"
    make(database, wal=wal).close()
    notes.write_bytes(TEXT)
    manager = manager_of(folder)
    manager.create_backup()
    wait_for_doubt()
    manager.create_backup()
    database.touch()
    assert whole(manager, manager.create_backup()) == ["data/t.db", "data/t.db-journal"]


@pytest.mark.parametrize("side", ["-wal", "-journal"])
def test_files_of_two_folders_lie_beside_each_other_in_the_backup(folder: Path, side: str) -> None:
    """Named one by one, a file may come to lie beside a database that it does not belong to."""
    (folder / "notes").mkdir()
    (folder / f"notes/t.db{side}").write_bytes(TEXT)
    make(folder / "t.db", wal=True).close()
    manager = RecoveryManager(folder.parent / "backups")
    for path in (folder / f"notes/t.db{side}", folder / "t.db"):
        manager.data_backup.add_data_path(path)
    assert whole(manager, manager.create_backup()) == [f"t.db{side}", "t.db"]


def test_the_log_of_a_database_in_use_is_named_in_vain(folder: Path) -> None:
    """As by a pattern of the shell: beside the copy of the database it would be one of another moment."""
    with closing(make(folder / "t.db", wal=True)):
        manager = RecoveryManager(folder.parent / "backups")
        for path in sorted(folder.iterdir()):
            manager.data_backup.add_data_path(path)
        backup = manager.get_backup(manager.create_backup())
    assert backup.status is BackupStatus.PARTIAL
    told = [str(problem).partition(":")[0] for problem in backup.problems]
    assert told == [f"{folder}/t.db-shm", f"{folder}/t.db-wal"]
    assert "holds what is in it: name that" in backup.error_message
    assert backup.parts["data"].files == 1


def test_an_excluded_log_tells_of_a_damaged_database_all_the_same(folder: Path) -> None:
    """It is damaged, or encrypted and in use, whether somebody wants its log or not."""
    with closing(make(folder / "t.db", wal=True)):
        log = (folder / "t.db-wal").read_bytes()
    (folder / "t.db").write_bytes(bytes(4096))
    (folder / "t.db-wal").write_bytes(log)
    manager = RecoveryManager(folder.parent / "backups", exclude=["*-wal"])
    manager.data_backup.add_data_path(folder)
    backup = manager.get_backup(manager.create_backup())
    assert backup.status is BackupStatus.PARTIAL
    assert "has SQLite's -wal beside it and is no database" in backup.error_message
