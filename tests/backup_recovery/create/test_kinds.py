"""What has become of another kind: a database or a named file that is a folder now, as Docker makes one, is missing."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe import BackupMetadata, BackupStatus, RecoveryManager, RetentionPolicy


def make_database(path: Path) -> None:
    """Make a database."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table fills (price)")
        database.commit()


def of(tmp_path: Path, *data: Path, config: Path | None = None) -> RecoveryManager:
    """Return a manager of some paths."""
    manager = RecoveryManager(tmp_path / "backups")
    for path in data:
        manager.data_backup.add_data_path(path)
    if config:
        manager.config_backup.add_config(config)
    return manager


def made(manager: RecoveryManager, *, incremental: bool = False) -> BackupMetadata:
    """Make a backup, and return what it is."""
    return manager.get_backup(manager.create_backup(incremental=incremental))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with a database, other files and folders."""
    found = tmp_path / "data"
    (found / "sub").mkdir(parents=True)
    (found / "sub" / "file").write_text("x")
    (found / "a").write_text("x")
    (found / "z").write_text("x")
    (found / "link").symlink_to("a")
    (tmp_path / "empty").touch()
    make_database(found / "d.db")
    return found


def link_to(target: Path | str) -> Callable[[Path], object]:
    """Return what makes a link."""
    return lambda path: path.symlink_to(target)


BECOMES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "a folder"),
    "link to a device": (link_to("/dev/null"), "a symbolic link to no database"),
    "link to an empty file": (link_to("../empty"), "a symbolic link to no database"),
    "link to a folder": (link_to("sub"), "a symbolic link to no database"),
}


@pytest.mark.parametrize("incremental", [False, True], ids=["full", "incremental"])
@pytest.mark.parametrize("becomes", BECOMES)
@pytest.mark.parametrize("alone", [False, True], ids=["with others", "alone"])
def test_a_database_below_a_folder_that_is_no_file_any_more(
    tmp_path: Path, data: Path, becomes: str, *, alone: bool, incremental: bool
) -> None:
    """As often as it is backed up, until it is a database again; and a prune keeps the last good one."""
    make, now = BECOMES[becomes]
    if alone:
        (data / "a").unlink()
        (data / "z").unlink()
        (data / "link").unlink()
    manager = of(tmp_path, data, config=tmp_path / "empty")
    good = made(manager)
    assert good.good
    assert made(manager, incremental=incremental).good
    good = manager.list_backups()[0]
    (data / "d.db").rename(tmp_path / "sav")
    make(data / "d.db")
    for _ in range(3):
        backup = made(manager, incremental=incremental)
        assert backup.status is BackupStatus.PARTIAL
        assert backup.error_message == f"{data}/d.db: it was a database in {good.backup_id}, and is {now} now"
    manager.prune(RetentionPolicy(last=1))
    assert good in manager.list_backups()
    (data / "d.db").rmdir() if becomes == "folder" else (data / "d.db").unlink()
    (tmp_path / "sav").rename(data / "d.db")
    assert made(manager, incremental=incremental).good


def test_a_link_to_another_database_is_fine(tmp_path: Path, data: Path) -> None:
    """It is where the program has its database now."""
    manager = of(tmp_path, data)
    made(manager)
    (data / "d.db").rename(tmp_path / "other.db")
    (data / "d.db").symlink_to(tmp_path / "other.db")
    assert made(manager).good
    assert made(manager).good


def test_a_folder_may_take_the_place_after_a_good_backup_without_the_database(tmp_path: Path, data: Path) -> None:
    """As a text may: that is how its owner says so."""
    manager = of(tmp_path, data)
    made(manager)
    (data / "d.db").unlink()
    assert made(manager).good
    (data / "d.db").mkdir()
    assert made(manager).good


def test_a_database_that_only_an_incremental_backup_holds(tmp_path: Path, data: Path) -> None:
    """Its base, to which the next one is compared, had a folder there."""
    (data / "d.db").rename(tmp_path / "away")
    (data / "d.db").mkdir()
    manager = of(tmp_path, data)
    made(manager)
    (data / "d.db").rmdir()
    (tmp_path / "away").rename(data / "d.db")
    good = made(manager, incremental=True)
    assert good.good
    (data / "d.db").unlink()
    (data / "d.db").mkdir()
    for incremental in (True, False, True):
        assert (
            f"it was a database in {good.backup_id}, and is a folder"
            in made(manager, incremental=incremental).error_message
        )


def folder_of_files(path: Path) -> None:
    """Make a folder with something in it."""
    path.mkdir()
    (path / "x").write_text("x")


KINDS = {
    "database": (make_database, Path.mkdir, "database", "folder"),
    "file": (Path.touch, Path.mkdir, "file", "folder"),
    "file, and something in the folder": (Path.touch, folder_of_files, "file", "folder"),
    "folder": (folder_of_files, Path.touch, "folder", "file"),
    "empty folder": (Path.mkdir, Path.touch, "folder", "file"),
    "folder, a database now": (folder_of_files, make_database, "folder", "file"),
}


@pytest.mark.parametrize("incremental", [False, True], ids=["full", "incremental"])
@pytest.mark.parametrize("beside", [0, 1], ids=["alone", "beside others"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_named_path_that_is_of_another_kind_now(tmp_path: Path, kind: str, beside: int, *, incremental: bool) -> None:
    """As often as it is backed up, and the last good one stays; once it is what it was, all is well."""
    before, after, was, now = KINDS[kind]
    path = tmp_path / "named"
    before(path)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "x").write_text("x")
    (tmp_path / "second").write_text("x")
    first = tmp_path / "first" if beside else None
    manager = of(tmp_path, *([tmp_path / "first", path, tmp_path / "second"] if beside else [path]), config=first)
    good = made(manager)
    assert good.good
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    after(path)
    for number in range(3):
        (tmp_path / "first" / f"more{number}").write_text("x")
        backup = made(manager, incremental=incremental)
        assert backup.status is BackupStatus.PARTIAL
        assert backup.error_message == f"{path}: it was a {was} in {good.backup_id}, and is a {now} now"
    manager.prune(RetentionPolicy(last=1))
    assert good in manager.list_backups()
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before(path)
    assert made(manager).good


def test_paths_that_stay_what_they_are(tmp_path: Path, data: Path) -> None:
    """Whatever is added, removed and changed below and beside them."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "named").symlink_to("file")
    manager = of(tmp_path, data, tmp_path / "file", tmp_path / "named", config=data)
    assert made(manager).good
    for number in range(6):
        if number % 2:
            (data / f"{number}").mkdir()
            (data / "sub" / "file").write_text(f"{number}")
        else:
            (data / "sub" / f"{number}").write_text("x")
            os.utime(tmp_path / "file")
        backup = made(manager, incremental=number > 3)
        assert backup.good, backup.error_message
    (data / "link").unlink()
    (data / "z").unlink()
    (data / "z").mkdir()  # nobody named it
    assert made(manager).good
