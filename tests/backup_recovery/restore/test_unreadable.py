"""Stored files that cannot be read: that says nothing of their content, and is never remembered as if it did."""

import errno
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from peak_observe import BackupCorruptError, BackupError, BackupUnreadableError, RecoveryManager
from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.files.safe_read import is_no_access

from ..conftest import Program, as_user

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
BOT = 1


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


@pytest.fixture
def original(manager: RecoveryManager, program: Program, tmp_path: Path) -> Path:
    """Return the folder of a backup of the original code base, which is the bot's."""
    manager.restore(manager.create_backup(), restore_to=tmp_path / "first")  # loads all that the child needs
    folder = manager.backup_root / "backup_1734431400000000_20241217_103000_000000"
    shutil.copytree(program.data, folder / "data" / "data", symlinks=True)
    (folder / "state.json").write_text('{"timestamp": "2024-12-17T10:30:00", "providers": {}}')
    facts = {
        "backup_id": folder.name,
        "backup_type": "data",
        "created_at": "2024-12-17T10:30:00",
        "status": "success",
        "files_count": 6,
        "error_message": "",
    }
    (folder / "metadata.json").write_text(json.dumps(facts))
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(manager.backup_root)], check=True)
    return folder


@as_root
@pytest.mark.parametrize(
    ("place", "mode"),
    [
        *((place, mode) for place in ("data", "data/data", "data/data/trades") for mode in (0o000, 0o444)),
        ("data/data/trades/1.csv", 0o000),
        ("state.json", 0o000),
    ],
)
def test_a_backup_of_the_original_that_may_not_be_read_is_not_corrupt(
    manager: RecoveryManager, original: Path, tmp_path: Path, place: str, mode: int
) -> None:
    """Neither a file nor a folder that may not be listed, or not be entered; the message names it."""
    path = original / place
    os.chown(path, 0, 0)
    path.chmod(mode)
    (tmp_path / "bots").mkdir()
    os.chown(tmp_path / "bots", BOT, BOT)

    def act() -> None:
        reader = RecoveryManager(manager.backup_root)
        for attempt in (
            lambda: reader.verify_backup(original.name),
            lambda: reader.restore(original.name, data=True, restore_to=tmp_path / "bots" / "out"),
            lambda: reader.list_files(original.name),
        ):
            with pytest.raises(BackupUnreadableError, match=rf"{place}.*: Permission denied; run this as a user"):
                attempt()
        assert reader.corrupt_backups() == set()

    as_user(BOT, act)
    assert manager.verify_backup(original.name).ok


@as_root
def test_what_was_taken_for_corrupt_is_forgiven(manager: RecoveryManager, original: Path) -> None:
    """An earlier version remembered it, and nothing but a look that finds nothing can end that."""
    ledger = manager._repository.ledger
    ledger.update(lambda known: replace(known, corrupt={original.name: 1}))
    assert manager.corrupt_backups() == {original.name}
    assert manager.verify_backup(original.name).ok
    assert manager.corrupt_backups() == set()
    assert ledger.read().last_verified == 0


@as_root
def test_a_link_that_may_not_be_seen_is_not_another_one(manager: RecoveryManager, program: Program) -> None:
    """Its folder may be listed and not entered."""
    for path in program.trades.glob("*.csv"):
        path.unlink()
    (program.trades / "latest").symlink_to("../positions.csv")
    backup_id = manager.create_backup(include_data=True)
    manager.verify_backup(backup_id)  # loads all that the child needs
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(manager.backup_root)], check=True)
    folder = manager.backup_root / backup_id / "data" / "data" / "trades"
    os.chown(folder, 0, 0)
    folder.chmod(0o444)

    def act() -> None:
        reader = RecoveryManager(manager.backup_root)
        with pytest.raises(BackupUnreadableError, match="trades/latest: Permission denied"):
            reader.verify_backup(backup_id)
        assert reader.corrupt_backups() == set()

    as_user(BOT, act)


@as_root
@pytest.mark.parametrize("mine", [True, False])
def test_an_error_of_input_counts_against_ones_own_files_only(
    manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch, *, mine: bool
) -> None:
    """A disk has lost a block, or what hands out files of somebody else does not give them."""
    backup_id = manager.create_backup(include_data=True)
    manager.verify_backup(backup_id)  # loads all that the child needs
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(manager.backup_root)], check=True)
    path = manager.backup_root / backup_id / "data" / "data" / "positions.csv"
    if not mine:
        os.chown(path, 0, 0)
        path.chmod(0o444)
    inode, readv = path.stat().st_ino, os.readv

    def failing(descriptor: int, buffers: list[memoryview]) -> int:
        if os.fstat(descriptor).st_ino == inode:
            raise OSError(errno.EIO, "Input/output error")
        return readv(descriptor, buffers)

    def act() -> None:
        reader = RecoveryManager(manager.backup_root)
        if mine:
            assert reader.verify_backup(backup_id).problems == ("data/data/positions.csv: Input/output error",)
        else:
            with pytest.raises(BackupUnreadableError, match=r"positions\.csv: Input/output error"):
                reader.verify_backup(backup_id)
        assert reader.corrupt_backups() == ({backup_id} if mine else set())

    monkeypatch.setattr(os, "readv", failing)
    as_user(BOT, act)


def test_an_error_without_a_path_counts() -> None:
    """Better an alert too many."""
    assert not is_no_access(OSError(errno.EIO, "Input/output error"))
    assert not is_no_access(OSError(errno.EIO, "Input/output error", "/nothing"))
    assert is_no_access(OSError(errno.EACCES, "Permission denied"))


def test_a_drill_that_cannot_check_a_database_proves_nothing_against_it(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for want of memory; what `quick_check` finds is damage."""
    with closing(sqlite3.connect(program.data / "fills.db")) as database:
        database.execute("CREATE TABLE t (x)")
        database.commit()
    backup_id = manager.create_backup(include_data=True)

    def failing(error: sqlite3.Error) -> Callable[[str], None]:
        def fail(_: str) -> None:
            raise error

        return fail

    monkeypatch.setattr(sqlite, "check", failing(sqlite3.OperationalError("unable to open database file")))
    with pytest.raises(BackupError, match=r"fills\.db cannot be checked: unable to open") as caught:
        manager.drill()
    assert not isinstance(caught.value, BackupCorruptError)
    assert manager.corrupt_backups() == set()
    monkeypatch.setattr(sqlite, "check", failing(sqlite3.DatabaseError("quick_check: wrong")))
    with pytest.raises(BackupCorruptError, match=r"fills\.db: quick_check: wrong"):
        manager.drill()
    assert manager.corrupt_backups() == {backup_id}


@as_root
def test_metadata_that_could_not_be_read_is_read_when_it_can_be(manager: RecoveryManager, original: Path) -> None:
    """An error of an instant says nothing of the next one, though the file has not changed; nor of a manifest."""
    (newest,) = (item.backup_id for item in manager.list_backups() if item.sequence)
    metadata, manifest = (manager.backup_root / newest / name for name in ("metadata.json", "manifest.json"))
    older = manager.get_backup(newest)
    metadata.chmod(0o600)
    metadata.write_bytes(replace(older, sources=UNSET).to_json())  # which only the manifest tells

    def look() -> None:
        metadata.chmod(0)
        again = RecoveryManager(manager.backup_root)
        assert again.unreadable_backups() == {newest: "Permission denied"}
        metadata.chmod(0o400)
        manifest.chmod(0)
        assert (again.unreadable_backups(), again.list_backups()[0].sources_of("data")) == ({}, [])
        manifest.chmod(0o400)
        assert again.list_backups()[0].sources_of("data") == older.sources_of("data")

    as_user(BOT, look)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user for whom modes count")
@pytest.mark.parametrize("command", ["create_backup", "drill"])
def test_an_own_folder_that_cannot_be_listed_is_named(public_path: Path, command: str) -> None:
    """And no restore is said to have been cut off, of which nothing is known."""
    os.chown(public_path, 1234, 1234)

    def act() -> None:
        (public_path / "data").mkdir()
        (public_path / "data/a.csv").write_text("1")
        manager = RecoveryManager(public_path / "backups")
        manager.data_backup.add_data_path(public_path / "data")
        manager.create_backup()
        own = public_path / "backups/.peak-observe"
        own.chmod(0o300)
        try:
            with pytest.raises(BackupError) as caught:
                manager.create_backup() if command == "create_backup" else manager.drill()
        finally:
            own.chmod(0o700)
        assert f"{own} cannot be listed: Permission denied" in str(caught.value)
        assert "cut off" not in str(caught.value)

    as_user(1234, act)
