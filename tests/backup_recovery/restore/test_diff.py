"""What changed between two backups, and since one."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.restore import diff
from peak_observe.errors import BackupCorruptError, BackupNotFoundError

from ..conftest import Program, as_user


def made(manager: RecoveryManager) -> str:
    """Return a new backup of files alone."""
    return manager.create_backup(include_state=False, include_data=True)


def named(paths: tuple[str, ...]) -> list[str]:
    """Return the last part of each path."""
    return [Path(path).name for path in paths]


def test_two_backups_tell_what_was_added_removed_and_changed(manager: RecoveryManager, program) -> None:
    """By the paths of the files at their source; also a mode and where a link points count."""
    before = made(manager)
    program.write(program.data / "new.csv", "x")
    (program.trades / "0.csv").unlink()
    program.write(program.config, "pair = 'ETH/USD'\n")
    program.data.joinpath("positions.csv").chmod(0o600)
    (program.data / "latest").unlink()
    (program.data / "latest").symlink_to("trades/1.csv")
    after = made(manager)
    found = manager.diff(before, after)
    assert (found.before, found.after) == (before, after)
    assert found.added == (str(program.data / "new.csv"),)
    assert found.removed == (str(program.trades / "0.csv"),)
    assert sorted(named(found.changed)) == ["config.toml", "latest", "positions.csv"]
    assert found.same == 2


def test_nothing_changed(manager: RecoveryManager) -> None:
    """Neither from one backup to the next nor since, though their states differ in the time."""
    manager.create_backup(include_data=True)
    before = manager.create_backup(include_data=True)
    for found in (manager.diff(before, manager.list_backups()[0].backup_id), manager.diff(before)):
        assert found[2:] == ((), (), (), 6, {}, ())


def test_the_files_of_now(manager: RecoveryManager, program) -> None:
    """What is there counts, by content where the times say nothing."""
    before = made(manager)
    program.write(program.data / "new.csv", "x")
    (program.trades / "0.csv").unlink()
    program.write(program.trades / "1.csv", "1,64001\n" * 10)  # of the same size and time
    os.utime(program.trades / "2.csv")
    (program.data / "latest").unlink()
    (program.data / "latest").symlink_to("trades/1.csv")
    program.config.chmod(0o640)
    found = manager.diff(before)
    assert found.after is None
    assert (named(found.added), named(found.removed)) == (["new.csv"], ["0.csv"])
    assert sorted(named(found.changed)) == ["1.csv", "config.toml", "latest"]
    assert (found.same, named(found.times)) == (2, ["2.csv"])


def test_a_named_path_that_is_gone_has_lost_its_files(manager: RecoveryManager, program) -> None:
    """They are removed; what is newly named is added."""
    before = made(manager)
    program.config.unlink()
    program.write(program.folder / "more.toml", "")
    manager.config_backup.add_config(program.folder / "more.toml")
    found = manager.diff(before)
    assert (named(found.added), named(found.removed)) == (["more.toml"], ["config.toml"])


def test_what_is_left_out_is_not_new(tmp_path: Path, program) -> None:
    """The patterns of the manager hold for the files of now."""
    manager = RecoveryManager(tmp_path / "backups", exclude=["*.log"])
    manager.data_backup.add_data_path(program.data)
    before = manager.create_backup(False, False, True)
    program.write(program.data / "bot.log", "x")
    assert manager.diff(before).added == ()


def test_a_repository_below_what_is_backed_up_is_not_new(program) -> None:
    """As it is left out of the backup."""
    manager = RecoveryManager(program.data / "backups")
    manager.data_backup.add_data_path(program.data)
    assert manager.diff(manager.create_backup(False, False, True)).added == ()


def test_an_incremental_backup_stands_for_all_it_holds(manager: RecoveryManager, program) -> None:
    """What its base has counts as its own."""
    before = made(manager)
    program.write(program.config, "pair = 'ETH/USD'\n")
    after = manager.create_backup(include_state=False, include_data=True, incremental=True)
    found = manager.diff(before, after)
    assert (named(found.changed), found.same) == (["config.toml"], 5)


def test_a_database_changes_with_its_log(manager: RecoveryManager, program) -> None:
    """A write that is in its log only is a change; a copy that was restored is none."""
    path = program.data / "bot.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE orders(id)")
        database.commit()
    before = made(manager)
    assert manager.diff(before).changed == ()
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO orders VALUES (1)")
        database.commit()
        assert named(manager.diff(before).changed) == ["bot.sqlite"]
    assert manager.restore_backup(before, restore_data=True)
    assert manager.diff(before).changed == ()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_another_kind_of_thing_is_a_change(manager: RecoveryManager, program, kind: str) -> None:
    """A link that became a file changed; one that became a folder is gone, and what is in that is new."""
    before = made(manager)
    (program.data / "latest").unlink()
    program.write(program.data / ("latest" if kind == "file" else "latest/file"), "x")
    found = manager.diff(before)
    if kind == "file":
        assert (named(found.changed), found.added) == (["latest"], ())
    else:
        assert (named(found.removed), named(found.added)) == (["latest"], ["file"])


def test_what_vanishes_while_it_is_looked_at_has_changed(manager: RecoveryManager, program, monkeypatch) -> None:
    """No error for a file that goes away in between."""
    before = made(manager)
    program.write(program.trades / "1.csv", "1,64001\n" * 10)

    def gone(path: str) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr("peak_observe.backup_recovery.files.copying.hashed", gone)
    assert named(manager.diff(before).changed) == ["1.csv"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("late", [False, True], ids=["before", "meanwhile"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(manager: RecoveryManager, program, monkeypatch, late) -> None:
    """Also if it comes between the walk and the comparison: nobody may ever write to it."""
    before = made(manager)
    path = program.trades / "1.csv"
    begin = diff._look

    def replaced() -> None:
        if not stat.S_ISFIFO(path.lstat().st_mode):
            path.unlink()
            os.mkfifo(path, 0o644)

    def look(pair: diff._Pair) -> diff._Now | str:
        replaced()
        return begin(pair)

    if late:
        monkeypatch.setattr(diff, "_look", look)
    else:
        replaced()
    found = manager.diff(before)
    assert named(found.changed if late else found.removed) == ["1.csv"]
    assert found.same == 5


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="no /proc")
def test_what_the_kernel_makes_up_is_compared_by_its_content(tmp_path: Path) -> None:
    """Its size is 0, whatever is in it."""
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path("/proc/version")
    manager.data_backup.add_data_path("/proc/self/stat")
    found = manager.diff(manager.create_backup(False, False, True))
    assert (found.same, found.changed, found.unreadable) == (1, ("/proc/self/stat",), {})


def test_a_file_that_changes_while_it_is_read_is_read_again(manager: RecoveryManager, program, monkeypatch) -> None:
    """What it was in between is no difference."""
    before = made(manager)
    path = program.trades / "1.csv"
    os.utime(path)
    hashed, reads = copying.hashed, []

    def moving(path: str) -> copying.Copied:
        reads.append(path)
        found = hashed(path)
        return found if len(reads) > 1 else found._replace(blake3="0" * 64, stable=False)

    monkeypatch.setattr(copying, "hashed", moving)
    assert manager.diff(before).changed == ()
    assert reads == [str(path)] * 2


def test_a_path_that_is_named_twice_counts_once(manager: RecoveryManager, program) -> None:
    """By itself and in its folder."""
    manager.data_backup.add_data_path(program.trades)
    before = made(manager)
    program.write(program.trades / "1.csv", "changed")
    after = made(manager)
    for found in (manager.diff(before, after), manager.diff(before)):
        assert (named(found.changed), found.added, found.removed, found.same) == (["1.csv"], (), (), 5)


BOT = 65534
DENIED = "Permission denied"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that others cannot read")
def test_what_cannot_be_read_is_told_apart(public_path: Path) -> None:
    """With the reason: neither is it removed nor changed, as nobody can tell; all else is compared."""
    program = Program(public_path)
    (program.folder / "current").symlink_to("data")
    current = program.folder / "current"
    for path in (program.folder, *program.folder.rglob("*")):
        os.chown(path, BOT, BOT, follow_symlinks=False)
    program.trades.chmod(0o700)
    (program.data / "positions.csv").chmod(0o600)

    def managed() -> RecoveryManager:
        manager = RecoveryManager(public_path / "backups")
        manager.config_backup.add_config(program.config)
        manager.data_backup.add_data_path(current)
        return manager

    def compare() -> None:
        found = managed().diff(managed().list_backups()[0].backup_id)
        assert found.unreadable == {
            str(program.config): f"cannot be read: {DENIED}",
            str(current / "positions.csv"): f"cannot be read: {DENIED}",
            str(current / "trades"): f"cannot be listed: {DENIED}",
        }
        assert (named(found.added), found.removed, found.changed, found.same) == (["new.csv"], (), (), 1)

    as_user(BOT, lambda: made(managed()))
    for path in (program.trades, program.data / "positions.csv", program.config):
        os.chown(path, 0, 0)
    program.config.chmod(0o400)  # that its mode differs is known, and not what matters
    program.write(program.data / "new.csv", "x")
    as_user(BOT, compare)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others cannot list")
def test_a_path_that_is_named_in_a_folder_that_cannot_be_listed_is_compared(public_path: Path) -> None:
    """Who may enter the folder gets to what is named."""
    program = Program(public_path)

    def managed() -> RecoveryManager:
        manager = RecoveryManager(public_path / "backups")
        manager.data_backup.add_data_path(program.data)
        manager.data_backup.add_data_path(program.trades)
        return manager

    def compare() -> None:
        found = managed().diff(managed().list_backups()[0].backup_id)
        assert found[2:] == ((), (), (), 3, {str(program.data): f"cannot be listed: {DENIED}"}, ())

    for path in (public_path, *public_path.rglob("*")):
        os.chown(path, BOT, BOT, follow_symlinks=False)
    as_user(BOT, lambda: made(managed()))
    os.chown(program.data, 0, 0)
    program.data.chmod(0o711)
    as_user(BOT, compare)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others cannot enter")
def test_a_named_path_that_cannot_be_reached_is_not_removed(public_path: Path) -> None:
    """Nor is what is in it."""
    program = Program(public_path / "home")
    for path in (public_path, *public_path.rglob("*")):
        os.chown(path, BOT, BOT, follow_symlinks=False)

    def managed() -> RecoveryManager:
        manager = RecoveryManager(public_path / "backups")
        manager.data_backup.add_data_path(program.data)
        return manager

    def compare() -> None:
        found = managed().diff(managed().list_backups()[0].backup_id)
        assert found[2:] == ((), (), (), 0, {str(program.data): f"cannot be read: {DENIED}"}, ())

    as_user(BOT, lambda: made(managed()))
    program.folder.chmod(0o700)
    os.chown(program.folder, 0, 0)
    as_user(BOT, compare)


def test_a_backup_of_the_original_code_base_compares_too(tmp_path: Path, program) -> None:
    """Its hashes are those of this moment."""
    folder = tmp_path / "backups" / "backup_20240101_000000_000000"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "config.toml").write_text("old")
    (folder / "metadata.json").write_text(
        f'{{"backup_id": "{folder.name}", "backup_type": "config", "created_at": "2024-01-01T00:00:00",'
        ' "status": "success", "size_bytes": 3, "files_count": 1, "description": "", "tags": [], "error_message": ""}'
    )
    manager = RecoveryManager(tmp_path / "backups")
    manager.config_backup.add_config(program.config)
    (backup,) = manager.list_backups()
    assert named(manager.diff(backup.backup_id).changed) == ["config.toml"]


def test_what_cannot_be_compared_is_an_error(manager: RecoveryManager) -> None:
    """A backup that is not there, or whose manifest is not what was written."""
    before = made(manager)
    with pytest.raises(BackupNotFoundError):
        manager.diff("backup_1")
    with pytest.raises(BackupNotFoundError):
        manager.diff(before, "backup_1")
    manifest = manager.backup_root / before / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_bytes(manifest.read_bytes().replace(b"config", b"konfig"))
    with pytest.raises(BackupCorruptError):
        manager.diff(before)


def test_unreadable_backups_are_told(manager: RecoveryManager) -> None:
    """By name, with the reason; the others are listed."""
    bad, good = made(manager), made(manager)
    assert manager.unreadable_backups() == {}
    (manager.backup_root / bad / "metadata.json").write_text("{}")
    assert list(manager.unreadable_backups()) == [bad]
    assert [backup.backup_id for backup in manager.list_backups()] == [good]


def test_a_repository_that_cannot_be_written_can_be_looked_at(manager: RecoveryManager) -> None:
    """On a disk that is mounted for reading, for instance."""
    before = made(manager)
    lock = manager.backup_root / ".peak-observe" / "account.lock"
    lock.unlink()
    lock.mkdir()
    again = RecoveryManager(manager.backup_root)
    assert [backup.backup_id for backup in again.list_backups()] == [before]
    assert again.verify_backup(before).ok
