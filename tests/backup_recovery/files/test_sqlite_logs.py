"""A log of SQLite that is damaged is told, and one that is only unfinished, left over or written just now is none."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe.backup_recovery.files import sqlite, sqlite_logs

FRAME = 24 + 4096
TRANSFER = """
import os, sqlite3
d = sqlite3.connect("live", isolation_level=None)
d.execute("PRAGMA cache_size=10")
d.execute("BEGIN")
d.execute("UPDATE t SET x = x - 50")
os.kill(os.getpid(), 9)
"""

WRITE = """
import random, sqlite3, sys
d = sqlite3.connect("a", isolation_level=None, timeout=60)
d.execute("PRAGMA journal_mode=" + sys.argv[1])
d.execute("PRAGMA cache_size=5")
d.execute("PRAGMA wal_autocheckpoint=20")
d.execute("CREATE TABLE t (x)")
print("ready", flush=True)
while True:
    d.execute("BEGIN")
    d.executemany("INSERT INTO t VALUES (?)", (("z" * 3000,) for _ in range(random.randrange(30))))
    d.execute("DELETE FROM t WHERE rowid % 2")
    d.execute(random.choice(["COMMIT", "ROLLBACK"]))
"""


@pytest.fixture
def wal(tmp_path: Path) -> bytes:
    """Leave a database of 50 commits, all of them in its write-ahead log, and return that."""
    with closing(sqlite3.connect(tmp_path / "live", isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("PRAGMA wal_autocheckpoint=0")
        live.execute("CREATE TABLE t (x)")
        live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(50):
            live.execute("INSERT INTO t VALUES (?)", (number,))
        (tmp_path / "a").write_bytes((tmp_path / "live").read_bytes())
        return (tmp_path / "live-wal").read_bytes()


@pytest.fixture
def journal(tmp_path: Path) -> bytes:
    """Leave a database with half a transaction in it, and return the journal that takes it back."""
    with closing(sqlite3.connect(tmp_path / "live")) as live:
        live.execute("CREATE TABLE t (x, y)")
        live.executemany("INSERT INTO t VALUES (100, ?)", (("y" * 900,) for _ in range(2000)))
        live.commit()
    subprocess.run([sys.executable, "-c", TRANSFER], cwd=tmp_path, check=False)
    (tmp_path / "a").write_bytes((tmp_path / "live").read_bytes())
    return (tmp_path / "live-journal").read_bytes()


def flipped(content: bytes, place: int) -> bytes:
    """Return it with one byte that is another one."""
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def value(folder: Path, query: str) -> int:
    """Return what a query finds in the copy of the database."""
    (folder / "copy").unlink(missing_ok=True)
    sqlite.take(str(folder / "a"), str(folder / "copy"))
    with closing(sqlite3.connect(f"file:{folder}/copy?immutable=1", uri=True)) as database:
        return database.execute(query).fetchone()[0]


@pytest.mark.parametrize(
    "place", [0, 5, 10, 16, 25, 32 + 24 + 100, 32 + 10 * FRAME + 24 + 100, 32 + 10 * FRAME + 9, 32 + 10 * FRAME + 3]
)
def test_a_damaged_write_ahead_log_is_told(tmp_path: Path, wal: bytes, place: int) -> None:
    """Of its header or of a frame that others follow: SQLite takes what is before it for all there is."""
    (tmp_path / "a-wal").write_bytes(flipped(wal, place))
    with pytest.raises(sqlite3.DatabaseError, match="its write-ahead log is damaged"):
        value(tmp_path, "SELECT count(*) FROM t")


@pytest.mark.parametrize("length", [1, 3, 4, 31])
def test_the_beginning_of_a_write_ahead_log_is_told(tmp_path: Path, wal: bytes, length: int) -> None:
    """No log is so short, but for an empty one."""
    (tmp_path / "a-wal").write_bytes(wal[:length])
    with pytest.raises(sqlite3.DatabaseError, match="its write-ahead log is damaged"):
        value(tmp_path, "SELECT count(*) FROM t")


def test_a_write_ahead_log_whose_end_is_torn_is_taken(tmp_path: Path, wal: bytes) -> None:
    """As a crash leaves it: the last commit did not come to its end."""
    for torn, rows in ((wal, 50), (wal[:-100], 49), (flipped(wal, len(wal) - 100), 49), (b"", 0)):
        (tmp_path / "a-wal").write_bytes(torn)
        assert value(tmp_path, "SELECT count(*) FROM t") == rows
        (tmp_path / "a-shm").unlink(missing_ok=True)


def test_what_is_left_in_a_write_ahead_log_is_no_damage(tmp_path: Path) -> None:
    """Frames of before a checkpoint have other salts; those of a transaction that was taken back no commit."""
    with closing(sqlite3.connect(tmp_path / "a", isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("PRAGMA cache_size=5")
        live.execute("CREATE TABLE t (x)")
        for number in range(50):
            live.execute("INSERT INTO t VALUES (?)", (number,))
        live.execute("PRAGMA wal_checkpoint")
        live.execute("INSERT INTO t VALUES (1)")
        assert value(tmp_path, "SELECT count(*) FROM t") == 51
        live.execute("BEGIN")
        live.executemany("INSERT INTO t VALUES (?)", (("z" * 3000,) for _ in range(100)))
        assert value(tmp_path, "SELECT count(*) FROM t") == 51
        live.execute("ROLLBACK")
        live.execute("INSERT INTO t VALUES (2)")
        assert value(tmp_path, "SELECT count(*) FROM t") == 52


@pytest.mark.parametrize("place", [0, 7, 8, 20, 24, 512 + 4 + 3896, 512 + 4 + 4096])
def test_a_damaged_rollback_journal_is_told(tmp_path: Path, journal: bytes, place: int) -> None:
    """SQLite would take it for finished, and leave half a transaction in the database."""
    (tmp_path / "a-journal").write_bytes(flipped(journal, place))
    with pytest.raises(sqlite3.DatabaseError, match="its rollback journal is damaged"):
        value(tmp_path, "SELECT sum(x) FROM t")


@pytest.mark.parametrize("damage", [lambda log: log[: len(log) // 2], lambda log: log[:20], lambda _: os.urandom(5000)])
def test_what_is_no_whole_journal_is_told(tmp_path: Path, journal: bytes, damage: object) -> None:
    """Its header counts what has to be in it."""
    (tmp_path / "a-journal").write_bytes(damage(journal))
    with pytest.raises(sqlite3.DatabaseError, match="its rollback journal is damaged"):
        value(tmp_path, "SELECT sum(x) FROM t")


def test_a_sound_rollback_journal_is_played_back(tmp_path: Path, journal: bytes) -> None:
    """The transaction is taken back, in the copy."""
    (tmp_path / "a-journal").write_bytes(journal)
    assert value(tmp_path, "SELECT sum(x) FROM t") == 200_000


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST", "WAL"])
@pytest.mark.parametrize("synchronous", ["OFF", "FULL"])
def test_logs_of_every_mode_are_sound(tmp_path: Path, mode: str, synchronous: str) -> None:
    """In a transaction that has reached the database already, and behind it."""
    with closing(sqlite3.connect(tmp_path / "a", isolation_level=None)) as live:
        live.execute(f"PRAGMA journal_mode={mode}")
        live.execute(f"PRAGMA synchronous={synchronous}")
        live.execute("PRAGMA cache_size=5")
        live.execute("CREATE TABLE t (x)")
        for turn in range(3):
            live.execute("BEGIN")
            live.executemany("INSERT INTO t VALUES (?)", (("z" * 3000,) for _ in range(50 - 10 * turn)))
            live.execute("UPDATE t SET x = x || 'a'")
            assert sqlite_logs.damage(str(tmp_path / "a"), wal_mode=mode == "WAL") == ""
            live.execute("ROLLBACK" if turn == 1 else "COMMIT")
            assert sqlite_logs.damage(str(tmp_path / "a"), wal_mode=mode == "WAL") == ""


@pytest.mark.parametrize("mode", ["TRUNCATE", "PERSIST", "WAL"])
def test_a_log_that_is_written_to_just_now_is_no_damage(tmp_path: Path, mode: str) -> None:
    """What a writer has not finished looks torn, and at the next look it does not."""
    with subprocess.Popen([sys.executable, "-c", WRITE, mode], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            found = {sqlite_logs.damage(str(tmp_path / "a"), wal_mode=mode == "WAL") for _ in range(100)}
        finally:
            process.kill()
    assert found == {""}


@pytest.mark.parametrize("side", ["-journal", "-wal"])
@pytest.mark.parametrize("kind", ["text", "folder", "link"])
def test_what_somebody_else_keeps_beside_a_database_is_neither_damage_nor_touched(
    tmp_path: Path, side: str, kind: str
) -> None:
    """SQLite would take a text for a journal, and remove it."""
    with closing(sqlite3.connect(tmp_path / "a")) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (7)")
        database.commit()
    own = tmp_path / f"a{side}"
    if kind == "folder":
        own.mkdir()
    elif kind == "link":
        own.symlink_to("notes")
    else:
        own.write_text("my trading journal, €")
    before = own.lstat()
    assert value(tmp_path, "SELECT x FROM t") == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", f"a{side}", "copy"]
    assert (own.lstat().st_ino, own.lstat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_database_in_use_beside_a_text_of_somebody_is_told(tmp_path: Path, wal: bytes) -> None:
    """What is in its log can only be read by SQLite, which would remove the text."""
    (tmp_path / "a-wal").write_bytes(wal)
    (tmp_path / "a-journal").write_text("my trading journal")
    with pytest.raises(sqlite3.OperationalError, match=r"a-journal beside it is no file of SQLite's.*rename that"):
        value(tmp_path, "SELECT count(*) FROM t")
    assert (tmp_path / "a-journal").read_text() == "my trading journal"
