"""Targets that nobody may change as a restore would: it is refused before anything is, and blocks nothing later."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager, RestoreRefusedError
from peak_observe.backup_recovery.restore import transaction
from peak_observe.backup_recovery.restore.attributes import attribute

from ..conftest import Program, as_user

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root sets such attributes")
BOT = 1


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


def journals(manager: RecoveryManager) -> list[Path]:
    """Return the journals that a restore has left."""
    return list((manager.backup_root / ".peak-observe").glob("restore-*"))


def replace_file(program: Program) -> None:
    """Make a restore replace a file."""
    program.write(program.trades / "1.csv", "after\n")


def remove_file(program: Program) -> None:
    """Make a restore make a file."""
    (program.trades / "1.csv").unlink()


def remove_folder(program: Program) -> None:
    """Make a restore make a folder, in the one whose permissions a restore changes in other cases."""
    (program.trades / "below").rmdir()


def change_mode(program: Program) -> None:
    """Make a restore change the permissions of a folder."""
    program.trades.chmod(0o711)


@as_root
@pytest.mark.parametrize(
    ("name", "what", "change"),
    [
        ("a", "trades", replace_file),
        ("a", "trades", remove_file),
        ("a", "trades", remove_folder),
        ("a", "trades", change_mode),
        ("a", "trades/1.csv", replace_file),
        ("i", "trades", remove_file),
        ("i", "trades", remove_folder),
        ("i", "trades", change_mode),
        ("i", "trades/1.csv", replace_file),
    ],
)
def test_an_attribute_refuses_a_restore_before_anything_changes(
    manager: RecoveryManager,
    program: Program,
    bound: Callable[[Path, str], None],
    name: str,
    what: str,
    change: Callable[[Program], None],
) -> None:
    """It binds root too; the message names the path and the mend, and the dry run says the same."""
    (program.trades / "below").mkdir()
    backup_id = manager.create_backup(include_data=True)
    program.write(program.data / "positions.csv", "after\n")
    change(program)
    before, path = program.picture(), program.data / what
    bound(path, name)
    for dry_run in (True, False):
        with pytest.raises(RestoreRefusedError, match=f"Operation not permitted on {path}, .*`chattr -{name} {path}`"):
            manager.restore(backup_id, data=True, dry_run=dry_run)
    assert program.picture() == before
    assert journals(manager) == []
    manager.create_backup(include_data=True)


@as_root
def test_what_an_attribute_does_not_keep_from_being_restored_is_restored(
    manager: RecoveryManager, program: Program, bound: Callable[[Path, str], None]
) -> None:
    """A file in a folder that is immutable is written in place; one that is as in the backup needs no change."""
    before = program.picture()
    backup_id = manager.create_backup(include_data=True)
    replace_file(program)
    os.utime(program.trades / "2.csv", (5, 5))
    bound(program.trades / "0.csv", "a")
    bound(program.trades, "i")
    manager.restore(backup_id, data=True)
    assert program.picture() == before


@as_root
def test_a_file_on_its_way_lies_in_no_folder_that_keeps_it(
    manager: RecoveryManager, program: Program, bound: Callable[[Path, str], None], tmp_path: Path
) -> None:
    """What an append-only folder takes cannot go again, so no journal lies in one either."""
    backup_id = manager.create_backup(include_data=True)
    bound(manager.backup_root / ".peak-observe", "a")
    manager.restore(backup_id, data=True, restore_to=tmp_path / "out")
    assert journals(manager) == []


@as_root
@pytest.mark.parametrize("place", ["/proc/nothing", "/sys/nothing", "/proc/self/nothing"])
def test_a_place_where_nothing_can_be_made_blocks_nothing(
    manager: RecoveryManager, program: Program, place: str
) -> None:
    """The message names it and says that another one is wanted."""
    backup_id = manager.create_backup(include_data=True)
    with pytest.raises(BackupError, match=r"nothing was restored.*/(proc|sys)/.*; (that folder takes no|run this as)"):
        manager.restore(backup_id, data=True, config=False, moved={str(program.data): place})
    assert journals(manager) == []
    manager.create_backup(include_data=True)


@as_root
def test_somebody_elses_file_in_a_sticky_folder_is_written_in_place(
    manager: RecoveryManager, program: Program, tmp_path: Path
) -> None:
    """It may be written and linked, but neither renamed over nor removed."""
    file = program.trades / "1.csv"
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "first")  # loads all that the child needs
    before = file.read_text()
    program.trades.chmod(0o1777)
    program.write(file, "after\n")
    file.chmod(0o666)
    inode = file.stat().st_ino
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(manager.backup_root)], check=True)

    def act() -> None:
        user = RecoveryManager(manager.backup_root)
        user.data_backup.add_data_path(program.data)
        user.restore(backup_id, config=False, data=True)

    as_user(BOT, act)
    assert (file.read_text(), file.stat().st_ino) == (before, inode)
    assert sorted(path.name for path in program.trades.iterdir()) == ["0.csv", "1.csv", "2.csv"]
    assert journals(manager) == []


@as_root
def test_an_attribute_that_comes_meanwhile_is_told_of_and_a_folder_that_did_not_change_is_no_loss(
    manager: RecoveryManager,
    program: Program,
    bound: Callable[[Path, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The undo finds the folder as it was before."""
    backup_id = manager.create_backup(include_data=True)
    (program.data / "empty").chmod(0o711)
    before, change = program.picture(), transaction.change_folders

    def late(journal: object) -> None:
        bound(program.data / "empty", "i")
        change(journal)

    monkeypatch.setattr(transaction, "change_folders", late)
    with pytest.raises(BackupError, match=rf"nothing was restored.*{program.data}/empty.*chattr -i -a"):
        manager.restore(backup_id, data=True)
    assert program.picture() == before
    assert journals(manager) == []


@as_root
def test_an_attribute_is_seen_without_opening_the_file(
    program: Program, bound: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open and close a database of this process would cost it its locks."""
    file = program.trades / "1.csv"
    assert attribute(str(file)) == attribute(str(file / "nothing")) == ""
    bound(file, "a")

    def refused(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(os, "open", refused)
    assert attribute(str(file)) == "a"
