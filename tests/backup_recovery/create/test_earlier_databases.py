"""A file that was a database must still be a sound one, whatever it is named as."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe import BackupMetadata, BackupStatus, RecoveryManager
from peak_observe.backup_recovery.repository.manifest import Entry
from peak_observe.backup_recovery.repository.manifest_file import ManifestFile


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


def damage(path: Path) -> None:
    """Write over the beginning of a file, and with it the header that a database is known by."""
    with path.open("r+b") as file:
        file.write(b"\xfegarbage of a disk \0\1\2")


def made(manager: RecoveryManager, *, incremental: bool = False) -> BackupMetadata:
    """Make a backup, and return what it is."""
    return manager.get_backup(manager.create_backup(incremental=incremental))


def make_database(path: Path) -> None:
    """Make a database of several pages."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table fills (price)")
        database.commit()


@pytest.mark.parametrize("before", [None, b"", b"no database yet" * 1000], ids=["new", "empty", "text"])
def test_an_incremental_backup_knows_the_databases_of_the_one_before(tmp_path: Path, before: bytes | None) -> None:
    """Its base has no database there; the next full backup knows it too."""
    path = tmp_path / "data" / "t.db"
    path.parent.mkdir()
    (path.parent / "other").write_text("text")
    if before is not None:
        path.write_bytes(before)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(path.parent)
    made(manager)
    path.unlink(missing_ok=True)
    make_database(path)
    good = made(manager, incremental=True)
    assert good.good
    damage(path)
    for incremental in (True, False, True):
        backup = made(manager, incremental=incremental)
        assert backup.status is BackupStatus.PARTIAL
        assert f"it was a good database in {good.backup_id}" in backup.error_message


INDEX = ["index lost", "index damaged", "index a link", "index a pipe", "index a folder"]


@pytest.mark.parametrize("gap", ["moved", "excluded", "longer", *INDEX])
def test_a_database_that_was_not_in_a_good_backup_meanwhile_is_known(tmp_path: Path, folder: Path, gap: str) -> None:
    """Moved away and back, left out by a pattern, however many backups ago, and whatever became of the index."""
    makers: dict[str, Callable[[Path], object]] = {"index a pipe": os.mkfifo, "index a folder": Path.mkdir}
    manager = named(tmp_path, "data folder")
    path, index = folder / "app.db", tmp_path / "backups" / ".peak-observe" / "databases.json"
    good = made(manager)
    path.rename(away := path if gap == "excluded" else tmp_path / "away")
    without = RecoveryManager(tmp_path / "backups", exclude=["*.db"] if gap == "excluded" else [])
    without.data_backup.add_data_path(folder)
    for number in range(3 if gap == "longer" else 1):
        (folder / f"new {number}").write_text("text")
        assert made(without).files_count == 3 + number  # with the state
    away.rename(path)
    if gap == "index lost":
        index.unlink()
    elif gap == "index damaged":
        index.write_bytes(index.read_bytes().replace(b"app.db", b"app.xx"))
    elif gap == "index a link":
        index.rename(tmp_path / "elsewhere")
        index.symlink_to(tmp_path / "elsewhere")
    elif gap in makers:
        index.unlink()
        makers[gap](index)
    damage(path)
    again = made(manager)
    assert again.status is BackupStatus.PARTIAL
    assert f"it was a good database in {good.backup_id}" in again.error_message


def test_a_database_named_in_another_way_meanwhile_is_known(tmp_path: Path, folder: Path) -> None:
    """It was a text in the last backup of the folder, and became a database in one of the file."""
    path = folder / "app.db"
    path.rename(tmp_path / "away")
    path.write_text("text")
    assert made(named(tmp_path, "data folder")).good
    (tmp_path / "away").rename(path)
    good = made(named(tmp_path, "config file"))
    damage(path)
    backup = made(named(tmp_path, "data folder"))
    assert backup.status is BackupStatus.PARTIAL
    assert good.backup_id in backup.error_message


def test_each_manifest_is_read_for_databases_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first run that finds a file which the last backup does not have; other runs read none."""
    read: list[str] = []
    found = ManifestFile.databases

    def databases(file: ManifestFile, digest: str) -> list[Entry]:
        read.append(digest)
        return found(file, digest)

    monkeypatch.setattr(ManifestFile, "databases", databases)
    manager = named(tmp_path, "data folder")
    backups = [made(manager)]
    (folder / "other").write_text("another text")
    backups.append(made(manager))
    assert not read
    for name in ("new", "newer"):
        (folder / name).write_text("text")
        backups.append(made(manager))
    assert read == [backups[1].manifest, backups[0].manifest, backups[2].manifest]
    manager.delete_backup(backups[0].backup_id)
    (folder / "newest").write_text("text")
    made(manager)
    assert backups[0].manifest not in (tmp_path / "backups" / ".peak-observe" / "databases.json").read_text()
