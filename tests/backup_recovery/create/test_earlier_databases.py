"""A file that was a database must still be a sound one, whatever it is named as."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe import BackupStatus, RecoveryManager


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a program with a database, beside a link to it."""
    found = tmp_path / "program"
    found.mkdir()
    with closing(sqlite3.connect(found / "app.db")) as database:
        database.execute("create table fills (price)")
        database.commit()
    (found / "other").write_text("text")
    (tmp_path / "current").symlink_to(found)
    return found


def named(tmp_path: Path, name: str) -> RecoveryManager:
    """Return a manager for whom the database is named in one way."""
    manager = RecoveryManager(tmp_path / "backups")
    ways: dict[str, Callable[[], object]] = {
        "data file": lambda: manager.data_backup.add_data_path(tmp_path / "program" / "app.db"),
        "data folder": lambda: manager.data_backup.add_data_path(tmp_path / "program"),
        "config file": lambda: manager.config_backup.add_config(tmp_path / "program" / "app.db"),
        "config folder": lambda: manager.config_backup.add_config(tmp_path / "program"),
        "link": lambda: manager.data_backup.add_data_path(tmp_path / "current" / "app.db"),
        "relative": lambda: manager.data_backup.add_data_path("program/app.db"),
        "above": lambda: manager.data_backup.add_data_path(tmp_path / "current" / ".."),
    }
    ways[name]()
    return manager


WAYS = ["data file", "data folder", "config file", "config folder", "link", "relative"]


@pytest.mark.parametrize("then", WAYS)
@pytest.mark.parametrize("now", WAYS)
def test_a_database_that_is_none_any_more_makes_it_partial(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, then: str, now: str
) -> None:
    """Overwritten with text, it has no header of SQLite any more by which it could be known."""
    monkeypatch.chdir(tmp_path)
    good = named(tmp_path, then).create_backup()
    (folder / "app.db").write_text("oops" * 1000)
    manager = named(tmp_path, now)
    backup = manager.get_backup(manager.create_backup())
    assert backup.status is BackupStatus.PARTIAL
    assert good in backup.error_message
    again = manager.get_backup(manager.create_backup())
    assert again.status is BackupStatus.PARTIAL


def test_what_was_no_database_is_as_good_as_before(tmp_path: Path, folder: Path) -> None:
    """Named in another way, with other content, and next to a database."""
    named(tmp_path, "data folder").create_backup()
    (folder / "other").write_text("another text")
    manager = named(tmp_path, "config folder")
    assert manager.get_backup(manager.create_backup()).good
