"""What lies beside a database that is restored: SQLite's own files go with the old content, all others stay."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe import RecoveryManager
from peak_observe.backup_recovery.restore.journal import Journal, Step

from ..conftest import Program

WAL, JOURNAL = bytes.fromhex("377f0682") + bytes(28), bytes.fromhex("d9d505f920a163d7") + bytes(504)


@pytest.fixture
def database(program: Program) -> Path:
    """Return the path of a database."""
    path = program.data / "fills"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
        database.commit()
    return path


def names(database: Path) -> list[str]:
    """Return what there is whose name begins as that of the database."""
    return sorted(found.name for found in database.parent.glob("fills*"))


@pytest.mark.parametrize(
    "sides",
    [
        {"-wal": WAL},
        {"-wal": b""},
        {"-wal": WAL, "-shm": b"index"},
        {"-journal": JOURNAL},
        {"-journal": b""},
        {"-journal": bytes(28) + JOURNAL[28:]},
    ],
)
@pytest.mark.parametrize("gone", [True, False])
def test_what_sqlite_left_beside_a_database_goes_with_it(
    manager: RecoveryManager, database: Path, sides: dict[str, bytes], *, gone: bool
) -> None:
    """A stale log would be played into the restored database, also where the database itself is gone."""
    backup_id = manager.create_backup(include_data=True)
    for side, content in sides.items():
        Path(f"{database}{side}").write_bytes(content)
    database.unlink() if gone else database.write_bytes(b"another" * 1000)
    report = manager.restore(backup_id, data=True)
    assert report.plan.removed == tuple(sorted(f"{database}{side}" for side in sides))
    assert str(report.plan).endswith(f", {len(sides)} removed")
    assert names(database) == ["fills"]


@pytest.mark.parametrize("side", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_file_of_the_user_stays(manager: RecoveryManager, database: Path, side: str, *, gone: bool) -> None:
    """A year of notes may have such a name."""
    notes = Path(f"{database}{side}")
    backup_id = manager.create_backup(include_data=True)
    notes.write_text("notes of mine, long enough for every header")
    database.unlink() if gone else database.write_bytes(b"another" * 1000)
    report = manager.restore(backup_id, data=True)
    assert (report.plan.removed, report.plan.extra) == ((), (str(notes),))
    assert notes.read_text() == "notes of mine, long enough for every header"


@pytest.mark.parametrize("side", ["-wal", "-shm", "-journal"])
def test_a_folder_of_the_user_stays(manager: RecoveryManager, database: Path, side: str) -> None:
    """No file of SQLite's is a folder."""
    notes = Path(f"{database}{side}") / "2026.txt"
    backup_id = manager.create_backup(include_data=True)
    Program.write(notes, "notes")
    os.truncate(database, 4096)
    manager.restore(backup_id, data=True)
    assert notes.read_text() == "notes"
    assert manager.create_backup(include_data=True)


def test_a_folder_that_came_since_the_plan_was_made_stays(manager: RecoveryManager, database: Path) -> None:
    """Whoever made it there keeps it."""
    notes = Path(f"{database}-shm") / "2026.txt"
    Program.write(notes, "notes")
    journal = manager.backup_root / ".peak-observe" / "restore-x.swapping.json"
    journal.write_bytes(Journal("x", "backup_1", [], [Step(str(notes.parent), goes=True)]).to_json())
    RecoveryManager(manager.backup_root)
    assert notes.read_text() == "notes"
    assert not journal.exists()


def test_a_folder_that_an_earlier_version_moved_goes_back(manager: RecoveryManager, database: Path) -> None:
    """Its journal could not come to an end, and nothing else could be done in the repository."""
    notes, old = Path(f"{database}-shm"), database.with_name(".peak-x-0.old")
    Program.write(old / "2026.txt", "notes")
    journal = manager.backup_root / ".peak-observe" / "restore-x.finishing.json"
    journal.write_bytes(Journal("x", "backup_1", [], [Step(str(notes), goes=True)]).to_json())
    RecoveryManager(manager.backup_root)
    assert (notes / "2026.txt").read_text() == "notes"
    assert not journal.exists()
    assert not old.exists()


def test_a_name_that_leaves_no_room_for_a_side_has_none(manager: RecoveryManager, program: Program) -> None:
    """A restore is possible all the same."""
    path = program.data / ("n" * 250)
    path.write_text("right")
    backup_id = manager.create_backup(include_data=True)
    path.unlink()
    manager.restore(backup_id, data=True)
    assert path.read_text() == "right"


CRASH = """
import os, sqlite3, sys
d = sqlite3.connect(sys.argv[1], isolation_level=None)
d.execute("BEGIN")
d.execute("INSERT INTO t VALUES (1)")
os.kill(os.getpid(), 9)
"""


def put_beside(database: Path, what: str) -> None:
    """Put something beside a database under the name of its journal."""
    path = Path(f"{database}-journal")
    match what:
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("notes of mine")
        case "file":
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
        case "persisted":
            path.write_bytes(bytes(28) + JOURNAL[28:])
        case "unsynced":
            subprocess.run([sys.executable, "-c", CRASH, str(database)], check=False)
    assert path.exists()


@pytest.mark.parametrize("what", ["folder", "text", "file", "persisted", "unsynced"])
def test_what_holds_nothing_of_a_database_makes_none_differ(
    manager: RecoveryManager, database: Path, what: str
) -> None:
    """SQLite reads nothing from what is no journal, from a finished one, and from one that was never synced."""
    backup_id = manager.create_backup(include_data=True)
    put_beside(database, what)
    plan = manager.restore(backup_id, data=True, dry_run=True).plan
    assert (plan.new, plan.replaced, plan.removed) == ((), (), ())
    assert not manager.diff(backup_id).changed


@pytest.mark.parametrize("what", ["folder", "text", "persisted", "unsynced"])
def test_what_holds_nothing_of_a_database_leaves_it_unchanged(
    manager: RecoveryManager, database: Path, trusting: None, what: str
) -> None:
    """The next backup links to the copy of the last one."""
    put_beside(database, what)
    copies = [
        manager.backup_root / manager.create_backup(include_data=True) / "data" / "data" / "fills" for _ in range(2)
    ]
    assert copies[0].samefile(copies[1])


def test_a_log_that_came_to_be_damaged_is_told(manager: RecoveryManager, database: Path, trusting: None) -> None:
    """Though the database itself did not change: what was committed last may have been in it."""
    assert manager.get_backup(manager.create_backup(include_data=True)).good
    Path(f"{database}-wal").write_bytes(b"\xff\0" * 4096)
    assert "write-ahead log is damaged" in manager.get_backup(manager.create_backup(include_data=True)).error_message
