"""Restores from a repository that is full, read-only or of somebody else, and into files that cannot be replaced."""

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe import (
    BackupCorruptError,
    BackupError,
    BackupUnreadableError,
    RecoveryManager,
    RestoreRefusedError,
)
from peak_observe.backup_recovery.files.copying import is_sparse
from peak_observe.backup_recovery.restore.file_steps import overwrite
from peak_observe.backup_recovery.restore.transaction import Transaction
from peak_observe.backup_recovery.restore.verification import NoRoomError
from tests.conftest import binary

from ..conftest import Program, as_user, picture

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
MEGABYTE = 1 << 20
BOT = 1


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


@pytest.fixture
def disk(mounted: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a small disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return mounted("-t", "tmpfs", "-o", "size=2m", "none", on=folder)


def named(root: Path, program: Program) -> RecoveryManager:
    """Return a manager for whom all of the program is named."""
    made = RecoveryManager(root)
    made.config_backup.add_config(program.config)
    made.data_backup.add_data_path(program.data)
    made.state_snapshot.register_provider("bot", lambda: {"orders": 2})
    return made


def fill(disk: Path) -> None:
    """Leave no room on a disk."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    assert os.statvfs(disk).f_bavail == 0


@as_root
def test_a_full_repository_can_be_restored_elsewhere(disk: Path, program: Program, tmp_path: Path) -> None:
    """Lock and journal need no room in it."""
    backup_id = named(disk / "backups", program).create_backup(include_data=True)
    fill(disk)
    for _ in range(2):
        manager = named(disk / "backups", program)
        manager.restore(backup_id, data=True, state=True, restore_to=tmp_path / "out")
        assert picture(tmp_path / "out" / "data" / "data") == picture(program.data)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


@as_root
def test_a_full_target_is_named(disk: Path, program: Program, tmp_path: Path) -> None:
    """Nothing of the restore is left there, so that what was freed for it helps the next one."""
    (program.data / "big.bin").write_bytes(os.urandom(MEGABYTE))
    backup_id = named(tmp_path / "backups", program).create_backup()
    fill(disk)
    for dry_run in (True, False):
        with pytest.raises(RestoreRefusedError, match=f"No space left on device .*{disk}, where 0 are free"):
            named(tmp_path / "backups", program).restore(backup_id, dry_run=dry_run, data=True, restore_to=disk / "out")
    assert [path.name for path in disk.iterdir()] == ["ballast"]


@as_root
def test_room_is_needed_for_what_changes_alone(disk: Path, program: Program, tmp_path: Path) -> None:
    """Files that are there need none, nor do holes and more names of one file; replaced ones lie beside the old."""
    (program.data / "big.bin").write_bytes(os.urandom(3 * MEGABYTE // 2))
    for number in range(3):
        os.link(program.data / "big.bin", program.data / f"name {number}")
    with (program.data / "holes").open("wb") as file:
        file.truncate(100 * MEGABYTE)
    manager = named(tmp_path / "backups", program)
    backup_id = manager.create_backup()
    out = disk / "out/data/data"
    for _ in range(2):  # all are new, and then a small one is replaced
        plan = manager.restore(backup_id, dry_run=True, data=True, restore_to=disk / "out").plan
        assert plan == manager.restore(backup_id, data=True, restore_to=disk / "out").plan
        (out / "trades/0.csv").write_text("other")
    for name in ("big.bin", "name 0", "name 1", "name 2"):
        (out / name).unlink()
    (out / "big.bin").write_bytes(os.urandom(MEGABYTE))
    with pytest.raises(RestoreRefusedError, match="make room there"):
        manager.restore(backup_id, dry_run=True, data=True, restore_to=disk / "out")


@as_root
def test_an_attribute_that_forbids_writing_is_told(program: Program, tmp_path: Path) -> None:
    """It binds root too, so that another user would not help."""
    manager = named(tmp_path / "backups", program)
    backup_id = manager.create_backup()
    file = program.trades / "1.csv"
    file.write_text("wrong")
    if subprocess.run([binary("chattr"), "+i", str(file)], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no such attributes")
    try:
        with pytest.raises(BackupError, match=r"Operation not permitted .*1\.csv.*chattr -i"):
            manager.restore(backup_id, data=True)
    finally:
        subprocess.run([binary("chattr"), "-i", str(file)], check=True)
    assert file.read_text() == "wrong"


@as_root
def test_a_full_repository_can_be_restored_in_place(disk: Path, program: Program) -> None:
    """The journal lies beside the files then, and nothing is left of it."""
    manager = named(disk / "backups", program)
    before = program.picture()
    backup_id = manager.create_backup(include_data=True)
    (program.trades / "1.csv").write_text("wrong")
    fill(disk)
    assert named(disk / "backups", program).restore_backup(backup_id, restore_data=True)
    assert program.picture() == before


@as_root
def test_a_restore_whose_journal_lies_beside_the_files_is_brought_to_its_end(
    disk: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `recover`, or the next restore."""
    manager = named(disk / "backups", program)
    before = program.picture()
    backup_id = manager.create_backup(include_data=True)
    (program.trades / "1.csv").write_text("wrong")
    fill(disk)

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("peak_observe.backup_recovery.restore.transaction.keep", crash)
        patch.setattr(Transaction, "_undo", crash)
        manager.restore(backup_id, data=True)
    assert program.picture() != before
    named(disk / "backups", program).recover()
    assert program.picture() == before


@as_root
def test_a_drill_of_a_full_repository_goes_elsewhere(disk: Path, program: Program, tmp_path: Path) -> None:
    """Into the system's folder for temporary files, or one that is named."""
    (program.data / "big").write_bytes(os.urandom(MEGABYTE // 2))
    manager = named(disk / "backups", program)
    manager.create_backup(include_data=True)
    fill(disk)
    assert manager.drill().ok
    assert manager.drill(folder=tmp_path).ok
    with pytest.raises(NoRoomError, match=rf"{disk}/backups has \d+ bytes free"):
        manager.drill(folder=disk / "backups")
    assert not list(tmp_path.glob(".drill-*"))


def test_a_drill_shows_nothing_to_others(manager: RecoveryManager, program: Program) -> None:
    """A file that all may read lies in a folder that few may enter, at the source and here."""
    seen = set()

    def look(_: object) -> None:
        for folder in manager.backup_root.glob(".drill-*"):
            found = [folder, *folder.rglob("*")]
            seen.update(stat.S_IMODE(path.stat().st_mode) & 0o077 for path in found if path.is_dir())

    program.data.chmod(0o700)
    manager.create_backup(include_data=True)
    assert manager.drill(progress=look).ok
    assert not list(manager.backup_root.glob(".drill-*"))
    tops = {mode for mode in seen if mode == 0}
    assert tops


@as_root
def test_a_read_only_repository_needs_no_write(
    manager: RecoveryManager, mounted: Callable[..., Path], program: Program, tmp_path: Path
) -> None:
    """List, verify, drill and restore work with a disk that is mounted read-only."""
    backup_id = manager.create_backup(include_data=True)
    before = program.picture()
    mounted("--bind", str(manager.backup_root), on=manager.backup_root)
    mounted("-o", "remount,ro,bind", on=manager.backup_root)
    reader = named(manager.backup_root, program)
    assert [backup.backup_id for backup in reader.list_backups()] == [backup_id]
    assert reader.verify_backup(backup_id).ok
    assert reader.drill().ok
    reader.restore(backup_id, data=True, restore_to=tmp_path / "out")
    assert picture(tmp_path / "out" / "data" / "data") == picture(program.data)
    shutil.rmtree(program.folder)
    assert reader.restore_backup(backup_id, restore_data=True)
    assert program.picture() == before
    with pytest.raises(BackupError, match="Read-only file system"):
        reader.create_backup()
    assert reader._repository.account().runs["failed"] == 1
    mounted("-o", "remount,rw,bind", on=manager.backup_root)
    reader.create_backup()
    assert reader._repository.ledger.load().runs["failed"] == 1


@as_root
def test_restores_from_a_read_only_repository_are_counted(
    manager: RecoveryManager, mounted: Callable[..., Path], program: Program, tmp_path: Path
) -> None:
    """In the memory of the process, which its metrics tell, until the ledger can be written."""
    backup_id = manager.create_backup(include_data=True)
    mounted("--bind", str(manager.backup_root), on=manager.backup_root)
    mounted("-o", "remount,ro,bind", on=manager.backup_root)
    reader = named(manager.backup_root, program)
    reader.restore(backup_id, data=True, restore_to=tmp_path / "out")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BackupError):
        reader.restore(backup_id, data=True, restore_to=tmp_path / "file" / "out")
    counts = {"success": 1, "partial": 0, "failed": 1, "interrupted": 0}
    assert reader._repository.account().restores == counts
    assert reader._observed.read().restores == list(counts.values())
    assert set(reader._repository.ledger.load().restores.values()) == {0}
    mounted("-o", "remount,rw,bind", on=manager.backup_root)
    reader.create_backup()
    assert reader._repository.ledger.load().restores == reader._repository.account().restores == counts


def test_a_restore_that_cannot_even_open_the_repository_is_counted(manager: RecoveryManager) -> None:
    """As a backup is; that somebody else works there is no failure."""
    backup_id = manager.create_backup()
    lock = manager.backup_root / ".peak-observe" / "lock"
    lock.unlink()
    lock.mkdir()
    assert not manager.restore_backup(backup_id)
    assert manager._repository.account().restores["failed"] == 1
    lock.rmdir()
    with manager._repository.writing("test"):
        assert not manager.restore_backup(backup_id)
    assert manager._repository.account().restores["failed"] == 1


@as_root
@pytest.mark.parametrize("place", ["metadata.json", "manifest.json", "data/data/trades/1.csv"])
def test_what_may_not_be_read_is_not_corrupt(
    manager: RecoveryManager, program: Program, tmp_path: Path, place: str
) -> None:
    """It says nothing of its content: no alert, and the error says what to do."""
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "first")  # loads all that the child needs
    subprocess.run(["chmod", "-R", "a+rX", str(manager.backup_root)], check=True)
    (manager.backup_root / backup_id / place).chmod(0o600)
    (tmp_path / "bots").mkdir()
    os.chown(tmp_path / "bots", BOT, BOT)

    def act() -> None:
        reader = RecoveryManager(manager.backup_root)
        for attempt in (
            lambda: reader.verify_backup(backup_id),
            lambda: reader.restore(backup_id, data=True, restore_to=tmp_path / "bots" / "out"),
            lambda: reader.restore(backup_id, data=True, restore_to=tmp_path / "bots" / "out", dry_run=True),
        ):
            with pytest.raises(BackupUnreadableError, match=f"{place}: Permission denied; run this as a user"):
                attempt()

    as_user(BOT, act)
    assert manager.corrupt_backups() == set()
    assert manager.verify_backup(backup_id).ok


@as_root
def test_a_file_that_may_not_be_written_blocks_nothing(
    manager: RecoveryManager, program: Program, tmp_path: Path
) -> None:
    """It was never changed, so that nothing is left to do: the next backup is made."""
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "first")  # loads all that the child needs
    subprocess.run(["chmod", "-R", "a+rX", str(program.folder)], check=True)
    program.write(program.trades / "1.csv", "after\n")
    before = program.picture()
    for folder in (manager.backup_root, tmp_path / "first"):
        subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(folder)], check=True)

    def act() -> None:
        user = RecoveryManager(manager.backup_root)
        user.data_backup.add_data_path(program.data)
        with pytest.raises(BackupError, match="Permission denied"):
            user.restore(backup_id, config=False, data=True)
        assert not list((manager.backup_root / ".peak-observe").glob("restore-*"))
        user.create_backup(False, False)

    as_user(BOT, act)
    assert program.picture() == before


@as_root
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_mount_blocks_nothing(
    manager: RecoveryManager, program: Program, mounted: Callable[..., Path], what: str
) -> None:
    """Whether the file is mounted alone, or the folder that it is in."""
    backup_id = manager.create_backup(include_data=True)
    file = program.trades / "1.csv"
    program.write(file, "after\n")
    before = program.picture()
    place = file if what == "file" else program.trades
    mounted("--bind", str(place), on=place)
    mounted("-o", "remount,ro,bind", on=place)
    with pytest.raises(BackupError):
        manager.restore(backup_id, data=True)
    assert program.picture() == before
    assert not list((manager.backup_root / ".peak-observe").glob("restore-*"))
    manager.create_backup(include_data=True)


@as_root
def test_a_state_that_may_not_be_read_is_not_corrupt(manager: RecoveryManager) -> None:
    """Its owner did not let this user read it."""
    backup_id = manager.create_backup()
    folder = manager.backup_root / backup_id
    manager.restore(backup_id, config=False, state=True)  # loads all that the child needs
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(manager.backup_root)], check=True)
    os.chown(folder / "state.json", 0, 0)
    (folder / "state.json").chmod(0o400)

    def act() -> None:
        reader = RecoveryManager(manager.backup_root)
        with pytest.raises(BackupUnreadableError, match=r"state\.json: Permission denied"):
            reader.restore(backup_id, config=False, state=True)
        assert reader.corrupt_backups() == set()

    as_user(BOT, act)


def test_what_is_missing_is_corrupt(manager: RecoveryManager) -> None:
    """A file that is gone was not just out of reach."""
    backup_id = manager.create_backup(include_data=True)
    (manager.backup_root / backup_id / "data" / "data" / "trades" / "1.csv").unlink()
    with pytest.raises(BackupCorruptError, match="is missing"):
        manager.restore(backup_id, data=True, restore_to=manager.backup_root.parent / "out")
    assert manager.corrupt_backups() == {backup_id}


@as_root
def test_a_single_mounted_file_is_written_in_place(
    manager: RecoveryManager, program: Program, mounted: Callable[..., Path], tmp_path: Path
) -> None:
    """As Docker hands a configuration to a container: nothing can be renamed over it."""
    program.config.chmod(0o640)
    os.chown(program.config, BOT, BOT)
    text = program.config.read_text()
    backup_id = manager.create_backup(include_data=True)
    outside = tmp_path / "outside.toml"
    outside.write_text("wrong, and much longer than what is in the backup\n" * 100)
    mounted("--bind", str(outside), on=program.config)
    inode = program.config.stat().st_ino
    manager.restore(backup_id)
    status = program.config.stat()
    assert (outside.read_text(), status.st_ino) == (text, inode)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (BOT, BOT, 0o640)
    assert list(program.config.parent.iterdir()) == [program.config]
    assert manager.restore(backup_id, dry_run=True).plan.same == (str(program.config),)


@as_root
def test_an_error_takes_a_mounted_file_back(
    manager: RecoveryManager,
    program: Program,
    mounted: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All or nothing holds for it as well, and so does a crash."""
    backup_id = manager.create_backup(include_data=True)
    outside = tmp_path / "outside.toml"
    outside.write_text("as before\n")
    outside.chmod(0o604)
    mounted("--bind", str(outside), on=program.config)
    (program.trades / "1.csv").write_text("wrong")
    before = program.picture()

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("peak_observe.backup_recovery.restore.transaction.keep", failing)
        assert not manager.restore_backup(backup_id, restore_data=True)
    assert program.picture() == before

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("peak_observe.backup_recovery.restore.transaction.keep", crash)
        patch.setattr(Transaction, "_undo", crash)
        manager.restore(backup_id, data=True)
    named(manager.backup_root, program)
    assert outside.read_text() == "pair = 'BTC/USD'\n"
    assert manager.restore(backup_id, data=True, dry_run=True).plan.replaced == ()
    assert list(program.config.parent.iterdir()) == [program.config]


@as_root
def test_a_file_in_a_folder_that_may_not_be_written_is_written_in_place(
    manager: RecoveryManager, program: Program, tmp_path: Path
) -> None:
    """A bot that owns its configuration and not /etc can restore it."""
    backup_id = manager.create_backup()
    manager.restore(backup_id, restore_to=tmp_path / "first")  # loads all that the child needs
    subprocess.run(["chown", "-R", str(BOT), str(manager.backup_root)], check=True)
    program.config.write_text("wrong")
    os.chown(program.config, BOT, 0)

    as_user(BOT, lambda: named(manager.backup_root, program).restore(backup_id))
    assert program.config.read_text() == "pair = 'BTC/USD'\n"
    assert list(program.config.parent.iterdir()) == [program.config]


@as_root
def test_who_cannot_look_is_not_told_that_all_is_whole(manager: RecoveryManager, tmp_path: Path) -> None:
    """Another user cannot see whether a restore was cut off; the message names the mend."""
    manager.create_backup()
    mend = "Permission denied; run this as the user whose backups these are"

    def look() -> None:
        reader = RecoveryManager(manager.backup_root)
        with pytest.raises(BackupError, match=mend):
            reader.recover()
        with pytest.raises(BackupError, match=mend):
            reader.list_backups()

    as_user(BOT, look)
    manager.recover()


def test_a_drill_that_fits_into_the_repository_looks_for_no_other_folder(
    manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look for one means to write into it, and it may be full or not there."""

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    manager.create_backup()
    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    assert manager.drill().ok
    monkeypatch.setattr("peak_observe.backup_recovery.restore.verification.BLOCK", 1 << 60)
    with pytest.raises(NoRoomError, match="temporary files: No usable temporary directory found"):
        manager.drill()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_only_the_mode_of_somebody_elses_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whoever may write into it need not own it; any other error is one, so that all is taken back."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("old")

    def refused(*_: object) -> None:
        raise PermissionError(number, os.strerror(number))

    monkeypatch.setattr("os.fchmod", refused)
    if number == errno.EPERM:
        overwrite(str(source), str(target))
        assert target.read_text() == "new"
    else:
        with pytest.raises(PermissionError):
            overwrite(str(source), str(target))


@pytest.mark.parametrize(
    ("new", "old", "meanwhile"), [(0o600, 0o644, 0o600), (0o644, 0o600, 0o600), (0o640, 0o604, 0o600)]
)
def test_what_is_written_in_place_is_as_closed_as_both_until_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: int, old: int, meanwhile: int
) -> None:
    """A secret that takes the place of what all may read is one from its first byte on."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"secret" * 100_000)
    target.write_text("public")
    source.chmod(new)
    target.chmod(old)
    if os.geteuid() == 0:
        os.chown(source, BOT, BOT)
    write, seen = os.write, set()

    def writing(descriptor: int, content: bytes) -> int:
        written = write(descriptor, content)
        status = target.stat()
        seen.add((stat.S_IMODE(status.st_mode), status.st_uid))
        return written

    monkeypatch.setattr("os.write", writing)
    overwrite(str(source), str(target))
    assert seen == {(meanwhile, source.stat().st_uid)}
    assert (stat.S_IMODE(target.stat().st_mode), target.read_bytes()) == (new, source.read_bytes())


@as_root
@pytest.mark.parametrize("hole", ["first", "last", "everything"])
def test_what_is_written_in_place_keeps_its_holes(
    manager: RecoveryManager, program: Program, mounted: Callable[..., Path], tmp_path: Path, hole: str
) -> None:
    """A sparse file takes as much room as before; one that is taken back has those that it had."""

    def write(path: Path, text: bytes) -> None:
        with path.open("wb") as file:
            file.seek(8 * MEGABYTE if hole == "first" else 0)
            file.write(b"" if hole == "everything" else text)
            file.truncate(9 * MEGABYTE)

    file, outside = program.data / "sparse", tmp_path / "outside"
    write(file, b"right")
    if not is_sparse(file.stat()):
        pytest.skip("this file system has no holes")
    before = file.read_bytes()
    backup_id = manager.create_backup(include_data=True)
    write(outside, b"wrong" * 1000)
    (program.trades / "1.csv").write_text("wrong")
    mounted("--bind", str(outside), on=file)
    room = [outside.stat().st_blocks, file.stat().st_blocks]

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("peak_observe.backup_recovery.restore.transaction.change_folders", failing)
        assert not manager.restore_backup(backup_id, restore_data=True)
    assert outside.stat().st_blocks <= room[0]
    manager.restore(backup_id, data=True)
    assert outside.read_bytes() == before
    assert outside.stat().st_blocks <= max(room)


@as_root
def test_a_disk_that_is_full_in_the_middle_of_a_file_is_named(
    manager: RecoveryManager, program: Program, disk: Path, mounted: Callable[..., Path]
) -> None:
    """The system itself names no path; the file is as before."""
    program.config.write_text("x" * MEGABYTE)
    backup_id = manager.create_backup()
    (disk / "out").write_text("small")
    fill(disk)
    mounted("--bind", str(disk / "out"), on=program.config)
    with pytest.raises(BackupError, match=f"nothing was restored.*No space left on device .{program.config}"):
        manager.restore(backup_id)
    assert (disk / "out").read_text() == "small"


def refused(manager: RecoveryManager, backup_id: str, match: str) -> None:
    """See that a dry run and a real one refuse alike."""
    for dry_run in (True, False):
        with pytest.raises(RestoreRefusedError, match=match):
            manager.restore(backup_id, data=True, dry_run=dry_run)


def check_refused_to_bot(manager: RecoveryManager, program: Program, reason: str) -> None:
    """Check that the bot is refused the only backup, of all that is named, and nothing has changed."""
    (backup,) = manager.list_backups()
    before = program.picture()

    def act() -> None:
        user = RecoveryManager(manager.backup_root)
        user.config_backup.add_config(program.config)
        user.data_backup.add_data_path(program.data)
        refused(user, backup.backup_id, reason)

    as_user(BOT, act)
    assert program.picture() == before


def made_read_only(mounted: Callable[..., Path], place: Path) -> None:
    """Mount a folder or file where it is, for reading only."""
    mounted("--bind", str(place), on=place)
    mounted("-o", "remount,ro,bind", on=place)


@as_root
def test_a_mode_on_a_read_only_disk_is_refused(
    manager: RecoveryManager, program: Program, mounted: Callable[..., Path]
) -> None:
    """A dry run knows it as well as the real one."""
    backup_id = manager.create_backup(include_data=True)
    (program.data / "empty").chmod(0o711)
    made_read_only(mounted, program.data)
    refused(manager, backup_id, f"{program.data}/empty cannot be written: Read-only file system")


@as_root
@pytest.mark.parametrize("what", ["data", "data/trades/1.csv"])
def test_a_time_on_a_read_only_disk_stays(
    manager: RecoveryManager, program: Program, mounted: Callable[..., Path], what: str
) -> None:
    """It is not told of as restored, in each run anew."""
    backup_id = manager.create_backup(include_data=True)
    os.utime(program.trades / "1.csv", (5, 5))
    made_read_only(mounted, program.folder / what)
    for dry_run in (True, False):
        plan = manager.restore(backup_id, data=True, dry_run=dry_run).plan
        assert (plan.times, plan.replaced) == ((), ())
        assert str(program.trades / "1.csv") in plan.same


@as_root
@pytest.mark.parametrize("what", ["data", "data/bot.db"])
def test_a_database_on_a_read_only_disk_is_compared_as_any_file(
    manager: RecoveryManager, program: Program, mounted: Callable[..., Path], what: str
) -> None:
    """One that is as in the backup is the same, and one that is not cannot be written, as a dry run knows."""
    database = program.data / "bot.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    first = manager.create_backup(include_data=True)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE fills (id INTEGER)")
    second = manager.create_backup(include_data=True)
    manager.restore(second, data=True)  # SQLite's copy counts changes otherwise than its source
    made_read_only(mounted, program.folder / what)
    for dry_run in (True, False):
        assert str(database) in manager.restore(second, data=True, dry_run=dry_run).plan.same
    refused(manager, first, f"{database} cannot be written: Read-only file system")


@as_root
def test_a_database_in_use_on_a_read_only_disk_is_not_read(
    manager: RecoveryManager, program: Program, mounted: Callable[..., Path], tmp_path: Path
) -> None:
    """Another process that writes to it does so by another mount."""
    database = program.data / "bot.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    backup_id = manager.create_backup(include_data=True)
    (tmp_path / "writable").mkdir()
    mounted("--bind", str(program.data), on=tmp_path / "writable")
    made_read_only(mounted, program.data)
    script = "db = sqlite3.connect(sys.argv[1])\ndb.execute('BEGIN EXCLUSIVE')\ninput(print(flush=True))"
    command = [sys.executable, "-c", f"import sqlite3, sys\n{script}", str(tmp_path / "writable" / "bot.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(RestoreRefusedError, match="another process has it open"):
                manager.restore(backup_id, data=True)
        finally:
            process.kill()


@as_root
def test_a_second_name_of_a_file_that_cannot_be_a_link_stays(
    manager: RecoveryManager, program: Program, mounted: Callable[..., Path]
) -> None:
    """What it holds is as in the backup, and on a read-only disk nothing else can be had."""
    first, second = program.trades / "1.csv", program.trades / "second.csv"
    second.hardlink_to(first)
    backup_id = manager.create_backup(include_data=True)
    second.unlink()
    shutil.copy2(first, second)
    made_read_only(mounted, program.data)
    for dry_run in (True, False):
        assert manager.restore(backup_id, data=True, dry_run=dry_run).plan.replaced == ()


@as_root
@pytest.mark.parametrize("volume", [("-t", "tmpfs", "-o", "size=2m", "none"), ("--bind", "volume")])
def test_a_second_name_on_another_mount_is_a_file_of_its_own(
    manager: RecoveryManager,
    program: Program,
    mounted: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    volume: tuple[str, ...],
) -> None:
    """As on another disk, or in two volumes of one; the log says so, and another restore has nothing to do."""
    first, second = program.trades / "1.csv", program.data / "other" / "second.csv"
    second.parent.mkdir()
    second.hardlink_to(first)
    backup_id = manager.create_backup(include_data=True)
    shutil.rmtree(second.parent)
    second.parent.mkdir()
    (program.folder / "volume").mkdir()
    monkeypatch.chdir(program.folder)
    mounted(*volume, on=second.parent)
    manager.restore(backup_id, data=True)
    assert second.read_bytes() == first.read_bytes()
    said = f"1 names of other files are files of their own now, as no hard link can be made there: {second}"
    assert caplog.messages.count(said) == 1
    assert manager.restore(backup_id, data=True).plan.replaced == ()


@as_root
@pytest.mark.parametrize("change", ["content", "time"])
def test_a_restore_without_a_place_for_its_journal_is_refused(
    manager: RecoveryManager, program: Program, tmp_path: Path, change: str
) -> None:
    """An own file in a folder of somebody else's, and a repository of somebody else's."""
    backup_id = manager.create_backup()
    manager.restore(backup_id, restore_to=tmp_path / "first")  # loads all that the child needs
    subprocess.run(["chmod", "-R", "a+rX", str(manager.backup_root), str(program.folder)], check=True)
    os.chown(program.config, BOT, BOT)
    if change == "content":
        program.config.write_text("wrong")
    else:
        os.utime(program.config, (5, 5))
    check_refused_to_bot(manager, program, "the journal of the restore cannot be written to")


@as_root
def test_a_log_that_cannot_go_refuses_its_database(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """A log of the old content would be taken for one of the new: a file that is written in place keeps its folder."""
    database = program.data / "bot.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.commit()
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "first")  # loads all that the child needs
    log = Path(f"{database}-journal")
    log.write_bytes(bytes(512))
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("INSERT INTO orders VALUES (1)")
        connection.commit()
    assert log.exists()
    subprocess.run(["chmod", "-R", "a+rX", str(program.folder)], check=True)
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(manager.backup_root), str(database), str(log)], check=True)
    check_refused_to_bot(manager, program, "cannot be written: Permission denied")


def test_a_drill_where_no_folder_is_says_so(manager: RecoveryManager, tmp_path: Path) -> None:
    """There is no want of room."""
    manager.create_backup()
    with pytest.raises(NoRoomError) as caught:
        manager.drill(folder=tmp_path / "none")
    assert str(caught.value) == f"no folder takes a drill: {tmp_path}/none: No such file or directory"
