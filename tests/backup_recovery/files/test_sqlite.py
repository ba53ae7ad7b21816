"""SQLite databases are taken whole, whoever uses them."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from peak_observe.backup_recovery.files import sqlite


def make(path: Path, *, wal: bool = False, rows: int = 10) -> sqlite3.Connection:
    """Return an open database."""
    database = sqlite3.connect(path)
    if wal:
        database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (x)")
    database.executemany("INSERT INTO t VALUES (?)", ((number,) for number in range(rows)))
    database.commit()
    return database


def rows(path: Path) -> int:
    """Return how many rows a copy has, which nobody else has open."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        return database.execute("SELECT count(*) FROM t").fetchone()[0]


@contextmanager
def another_process(code: str, folder: Path) -> Iterator[None]:
    """Run code in a process of its own, which says when it is ready, and lives until the block ends."""
    script = f"import sqlite3, time\n{code}\nprint('ready', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], cwd=folder, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("wal", [False, True])
def test_an_open_database_is_taken(tmp_path: Path, *, wal: bool) -> None:
    """With what sits in its log only."""
    with closing(make(tmp_path / "a", wal=wal)):
        sqlite.take(str(tmp_path / "a"), str(tmp_path / "b"))
    assert rows(tmp_path / "b") == 10


def test_a_database_at_rest_gets_nothing_beside_it(tmp_path: Path) -> None:
    """To read a WAL database leaves two files there, if it is not known that nobody has it open."""
    make(tmp_path / "a", wal=True).close()
    os.utime(tmp_path / "a", (1_700_000_000, 1_700_000_000))
    sqlite.take(str(tmp_path / "a"), str(tmp_path / "b"))
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    assert rows(tmp_path / "b") == 10


def test_what_is_not_committed_is_not_taken(tmp_path: Path) -> None:
    """A crash of the writer leaves a journal, which is rolled back."""
    make(tmp_path / "a", rows=5000).close()
    crash = (
        "import os, sqlite3; d = sqlite3.connect('a', isolation_level=None); d.execute('PRAGMA cache_size=5');"
        "d.execute('BEGIN'); d.execute('DELETE FROM t'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", crash], cwd=tmp_path, check=False)
    assert (tmp_path / "a-journal").stat().st_size
    assert not sqlite.quiet(str(tmp_path / "a"))
    sqlite.take(str(tmp_path / "a"), str(tmp_path / "b"))
    assert rows(tmp_path / "b") == 5000


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    """`quick_check` reads the copy."""
    make(tmp_path / "a", rows=5000).close()
    with (tmp_path / "a").open("r+b") as file:
        file.seek(4096 + 8)
        file.write(b"\xff" * 500)
    with pytest.raises(sqlite3.Error):
        sqlite.take(str(tmp_path / "a"), str(tmp_path / "b"))


def test_a_locked_database_is_waited_for_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may hold it for hours."""
    monkeypatch.setattr(sqlite, "PATIENCE", 0.2)
    make(tmp_path / "a").close()
    hold = "d = sqlite3.connect('a', isolation_level=None); d.execute('BEGIN EXCLUSIVE'); d.execute('DELETE FROM t')"
    with another_process(hold, tmp_path), pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite.take(str(tmp_path / "a"), str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a database", sqlite.HEADER + bytes(496), True),
        ("too short", sqlite.HEADER, False),
        ("no pages", sqlite.HEADER + bytes(500), False),
        ("text", b"SQLite format 3\n" + bytes(496), False),
        ("empty", b"", False),
    ],
)
def test_a_database_is_known_by_its_header(tmp_path: Path, name: str, content: bytes, *, expected: bool) -> None:
    """Whatever its name is."""
    path = tmp_path / name
    path.write_bytes(content)
    assert sqlite.is_database(str(path), path.stat()) is expected


def test_looking_costs_this_process_no_lock(tmp_path: Path) -> None:
    """Another process must not get in because we looked at the header and closed the file again."""
    with closing(make(tmp_path / "a")) as database:
        database.isolation_level = None
        database.execute("BEGIN EXCLUSIVE")
        assert sqlite.is_database(str(tmp_path / "a"), (tmp_path / "a").stat())
        write = "import sqlite3; sqlite3.connect('a', timeout=0).execute('DELETE FROM t')"
        done = subprocess.run([sys.executable, "-c", write], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "database is locked" in done.stderr


@pytest.mark.parametrize("wal", [False, True])
def test_a_database_in_use_is_busy(tmp_path: Path, *, wal: bool) -> None:
    """By another process that reads, or by this one that has it open."""
    path = str(tmp_path / "a")
    with closing(make(tmp_path / "a", wal=wal)):
        assert sqlite.busy(path).startswith("this process")
    assert sqlite.busy(path) == ""
    read = "d = sqlite3.connect('a', isolation_level=None); d.execute('BEGIN'); d.execute('SELECT * FROM t').fetchone()"
    with another_process(read, tmp_path):
        assert sqlite.busy(path).startswith("another process")
    assert sqlite.busy(str(tmp_path / "none")) == ""


def test_a_writer_that_hardly_rests_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """After a few restarts it is taken in one go."""
    make(tmp_path / "a", rows=0).close()
    with closing(sqlite3.connect(tmp_path / "a")) as database:
        database.execute("CREATE TABLE filling (x)")
        database.executemany("INSERT INTO filling VALUES (?)", ((bytes(4000),) for _ in range(5000)))
        database.commit()
    write = (
        "import threading\n"
        "def write():\n"
        "    d = sqlite3.connect('a', timeout=60, isolation_level=None)\n"
        "    while True:\n"
        "        d.execute('INSERT INTO t VALUES (1)')\n"
        "        time.sleep(0.002)\n"
        "threading.Thread(target=write, daemon=True).start()"
    )
    with another_process(write, tmp_path):
        sqlite.take(str(tmp_path / "a"), str(tmp_path / "b"))
    sqlite.check(str(tmp_path / "b"))


def test_a_database_with_collations_of_its_program_is_taken(tmp_path: Path) -> None:
    """Nobody else has them, and nothing that is checked depends on them."""
    with closing(sqlite3.connect(tmp_path / "a")) as database:
        for name in ("one", 'an "odd" name ü'):
            database.create_collation(name, lambda a, b: (a < b) - (a > b))
            quoted = name.replace('"', '""')
            database.execute(f'CREATE TABLE "t {quoted}" (x TEXT COLLATE "{quoted}" PRIMARY KEY) WITHOUT ROWID')
            rows = [(str(number),) for number in range(500)]
            database.executemany(f'INSERT INTO "t {quoted}" VALUES (?)', rows)  # noqa: S608 - our own name
        database.commit()
    sqlite.take(str(tmp_path / "a"), str(tmp_path / "b"))
    damaged = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(damaged[:-4096] + bytes(4096))
    with pytest.raises(sqlite3.DatabaseError, match="quick_check"):
        sqlite.check(str(tmp_path / "a"))


def test_a_header_that_is_written_before_the_file_grows_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit may come between the copy and the look at the length: it is looked at again."""
    path = tmp_path / "book.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE trades (id)")
        database.commit()
    looks = [sqlite._cut_off(str(path)), "it has 8192 bytes, and its header tells of 12288"]
    monkeypatch.setattr(sqlite, "_cut_off", lambda _: looks.pop())
    sqlite.take(str(path), str(tmp_path / "copy"))
    assert looks == []
    sqlite.check(str(tmp_path / "copy"))
