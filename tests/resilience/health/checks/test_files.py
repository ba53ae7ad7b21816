"""Checks of files: age and integrity, of real files and real databases."""

import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from peak_observe.resilience.health import checks
from peak_observe.testing import ManualClock


def touched(path: Path, clock: ManualClock, ago: float) -> Path:
    """Make a file that was changed so many seconds ago."""
    path.write_text("x" * 2048)
    at = (clock.now() - timedelta(seconds=ago)).timestamp()
    os.utime(path, (at, at))
    return path


@pytest.mark.parametrize(
    ("ago", "healthy", "message"),
    [
        (12, True, "was changed 12.0 s ago, at most 1.0 min allowed"),
        (60, True, "was changed 1.0 min ago, at most 1.0 min allowed"),
        (3 * 86_400, False, "was changed 3.0 d ago, at most 1.0 min allowed"),
        (-30, True, "was changed 0.0 s ago, at most 1.0 min allowed"),
        (-7200, False, "was changed 2.0 h in the future: is the clock right?"),
    ],
)
def test_the_age_of_a_file(tmp_path: Path, clock: ManualClock, ago: float, healthy: bool, message: str) -> None:
    """Young is healthy; what comes from the future would be young for ever."""
    file = touched(tmp_path / "beat", clock, ago)
    found = checks.file_age(file, max_age=60, clock=clock)()
    assert found[:2] == (healthy, f"{file} {message}")
    assert found[2]["size_bytes"] == 2048


def test_a_file_that_is_missing_says_why(tmp_path: Path) -> None:
    """In the system's words."""
    found = checks.file_age(str(tmp_path / "none"), max_age=60)()
    assert found == (False, f"{tmp_path}/none: No such file or directory", {})


@pytest.mark.parametrize("age", [0, -1, float("inf"), "60", True])
def test_an_age_that_makes_no_sense_is_refused(age: object) -> None:
    """When the check is made, not when it runs."""
    with pytest.raises(ValueError, match="max_age must be"):
        checks.file_age("x", max_age=age)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of some pages."""
    path = tmp_path / "trades #1.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE trades (id INTEGER PRIMARY KEY, note TEXT)")
        connection.executemany("INSERT INTO trades (note) VALUES (?)", [("x" * 500,) for _ in range(500)])
        connection.commit()
    return path


def test_a_sound_database(database: Path) -> None:
    """It says so, with its size, and was only read."""
    before = database.stat().st_mtime_ns
    healthy, message, details = checks.sqlite_integrity(database)()
    assert healthy, message
    assert message == f"{database} is sound ({details['size_bytes'] / 1024:.3g} KiB)"
    assert database.stat().st_mtime_ns == before
    assert list(database.parent.iterdir()) == [database]


def test_a_database_in_use_is_sound(database: Path) -> None:
    """A program that writes in WAL mode is not disturbed."""
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("INSERT INTO trades (note) VALUES ('open transaction')")
        assert checks.sqlite_integrity(database)()[0]
        writer.commit()


def test_a_damaged_database(database: Path) -> None:
    """Overwritten pages are found."""
    with database.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    healthy, message, _ = checks.sqlite_integrity(database)()
    assert not healthy
    assert "damaged" in message or "malformed" in message


@pytest.mark.parametrize(
    ("content", "message"), [(b"no database at all, but long enough " * 40, "not a database"), (b"", "it is empty")]
)
def test_what_is_no_database(tmp_path: Path, content: bytes, message: str) -> None:
    """Neither garbage nor a file cut to nothing passes."""
    file = tmp_path / "x.db"
    file.write_bytes(content)
    healthy, found, _ = checks.sqlite_integrity(file)()
    assert not healthy
    assert message in found


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    """As `sqlite3.connect` would do."""
    file = tmp_path / "none.db"
    assert checks.sqlite_integrity(file)() == (False, f"{file}: there is no such file", {})
    assert not file.exists()


def test_a_locked_database_is_waited_for_and_then_named(database: Path) -> None:
    """For `busy_timeout` seconds."""
    with closing(sqlite3.connect(database)) as owner:
        owner.execute("BEGIN EXCLUSIVE")
        assert checks.sqlite_integrity(database, busy_timeout=0)()[:2] == (False, f"{database}: database is locked")
    with pytest.raises(ValueError, match="busy_timeout must be"):
        checks.sqlite_integrity(database, busy_timeout=-1)
