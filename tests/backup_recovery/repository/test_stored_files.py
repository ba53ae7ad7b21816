"""Stored files of a repository that nobody needs afterwards: moved where a move is as good as a copy."""

import os
import stat
from pathlib import Path

import pytest

from peak_observe import RecoveryManager
from peak_observe.backup_recovery.files.copying import WriteError
from peak_observe.backup_recovery.repository.leftovers import OFFSITE
from peak_observe.backup_recovery.repository.manifest import Entry
from peak_observe.backup_recovery.repository.stored_files import StoredFiles

from ..conftest import Program

LARGE = 700_000  # bytes; not read as a whole


@pytest.fixture
def entries(manager: RecoveryManager, program: Program) -> dict[str, Entry]:
    """Return the entries of a backup by the names of their files."""
    program.write(program.data / "large.csv", "x" * LARGE)
    manager.create_backup(include_data=True)
    return {Path(entry.stored).name: entry for entry in stored(manager, temporary=False)._manifest.entries}


def stored(manager: RecoveryManager, *, temporary: bool) -> StoredFiles:
    """Return what is stored of the only backup."""
    repository = manager._repository
    return StoredFiles(repository.root, repository.manifest(repository.backups()[0]), temporary=temporary)


def inode(path: str | Path) -> int:
    """Return the number by which the disk knows a file."""
    return Path(path).stat().st_ino


@pytest.mark.parametrize("name", ["large.csv", "positions.csv"])
def test_copy_moves_a_file_of_a_temporary_repository(manager, entries, tmp_path: Path, name: str) -> None:
    """No byte of it is written again."""
    files, target = stored(manager, temporary=True), tmp_path / "new"
    before = inode(files.path(entries[name]))
    files.copy(entries[name], str(target))
    assert (inode(target), target.stat().st_size) == (before, entries[name].size)


@pytest.mark.parametrize("name", ["large.csv", "positions.csv"])
def test_copy_leaves_a_file_of_any_other_repository(manager, entries, tmp_path: Path, name: str) -> None:
    """It is the only one there is."""
    files, target = stored(manager, temporary=False), tmp_path / "new"
    files.copy(entries[name], str(target))
    assert not files.moved(entries[name], str(tmp_path / "other"))
    assert inode(target) != inode(files.path(entries[name]))


def test_changed_file_is_not_moved(manager, entries, tmp_path: Path) -> None:
    """It is read first, as if it were copied."""
    files = stored(manager, temporary=True)
    path = Path(files.path(entries["large.csv"]))
    path.chmod(0o600)
    path.write_text("y" * LARGE)
    with pytest.raises(ValueError, match=r"large\.csv: its content has changed"):
        files.copy(entries["large.csv"], str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_nothing_is_moved_over_a_file(manager, entries, tmp_path: Path) -> None:
    """What stands there already is somebody else's."""
    (tmp_path / "new").write_text("theirs")
    with pytest.raises(WriteError, match="File exists"):
        stored(manager, temporary=True).copy(entries["large.csv"], str(tmp_path / "new"))
    assert (tmp_path / "new").read_text() == "theirs"


def test_folder_that_hands_its_group_down_gets_a_copy(manager, entries, tmp_path: Path) -> None:
    """A moved file would keep the group that it had."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(folder.stat().st_mode | stat.S_ISGID)
    files = stored(manager, temporary=True)
    files.copy(entries["large.csv"], str(folder / "new"))
    assert inode(folder / "new") != inode(files.path(entries["large.csv"]))


def test_folder_with_a_default_acl_gets_a_copy(manager, entries, tmp_path: Path, monkeypatch) -> None:
    """A moved file would not have it."""
    monkeypatch.setattr(os, "listxattr", lambda _: ["system.posix_acl_default"], raising=False)
    files = stored(manager, temporary=True)
    files.copy(entries["positions.csv"], str(tmp_path / "new"))
    assert inode(tmp_path / "new") != inode(files.path(entries["positions.csv"]))


def test_other_file_system_gets_a_copy(manager, entries, tmp_path: Path, monkeypatch) -> None:
    """What cannot be renamed is written, and the progress counts each byte once."""

    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", refused)
    files, told = stored(manager, temporary=True), []
    files.copy(entries["large.csv"], str(tmp_path / "new"), told.append)
    assert (tmp_path / "new").read_text() == "x" * LARGE
    assert sum(told) == LARGE


def test_only_what_was_fetched_is_temporary(tmp_path: Path) -> None:
    """The name of its folder tells, whoever opens it."""
    assert RecoveryManager(tmp_path / f"{OFFSITE}abc")._repository.temporary
    assert not RecoveryManager(tmp_path / "backups")._repository.temporary
