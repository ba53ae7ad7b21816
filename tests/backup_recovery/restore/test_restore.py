"""Restoring: everything verified first, then all files or none."""

import errno
import json
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from blake3 import blake3

from peak_observe import (
    BackupCorruptError,
    BackupError,
    BackupNotFoundError,
    RecoveryManager,
    RestoreFinished,
    RestoreRefusedError,
)
from peak_observe.backup_recovery.restore import transaction
from peak_observe.testing import RecordingObserver

from ..conftest import Program, picture

ALL = (True, True, True)


def damage(manager: RecoveryManager, backup_id: str, place: str) -> None:
    """Change one stored byte."""
    path = manager._get_backup_dir(backup_id) / place
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def upset(program: Program) -> None:
    """Change, remove and add files."""
    program.config.write_text("wrong")
    (program.trades / "0.csv").unlink()
    (program.trades / "1.csv").write_text("wrong")
    (program.data / "latest").unlink()
    (program.data / "empty").rmdir()


def test_everything_comes_back(manager: RecoveryManager, program: Program) -> None:
    """Contents, modes, times, links and empty folders."""
    program.config.chmod(0o640)
    before = program.picture()
    backup_id = manager.create_backup(*ALL)
    upset(program)
    assert manager.restore_backup(backup_id, restore_data=True)
    assert program.picture() == before


def test_everything_comes_back_from_nothing(manager: RecoveryManager, program: Program) -> None:
    """On a machine where not even the folders are."""
    before = program.picture()
    backup_id = manager.create_backup(*ALL)
    shutil.rmtree(program.folder)
    assert manager.restore_backup(backup_id, restore_data=True)
    assert program.picture() == before


def test_only_what_was_asked_for_comes_back(manager: RecoveryManager, program: Program) -> None:
    """The configuration, unless told otherwise."""
    backup_id = manager.create_backup(*ALL)
    upset(program)
    assert manager.restore_backup(backup_id)
    assert program.config.read_text() == "pair = 'BTC/USD'\n"
    assert (program.trades / "1.csv").read_text() == "wrong"


def test_a_dry_run_tells_exactly_what_would_change(manager: RecoveryManager, program: Program) -> None:
    """And changes nothing."""
    backup_id = manager.create_backup(*ALL)
    upset(program)
    (program.trades / "new.csv").write_text("not in the backup")
    before = program.picture()
    plan = manager.restore(backup_id, data=True, dry_run=True).plan
    assert set(plan.new) == {str(program.trades / "0.csv"), str(program.data / "latest")}
    assert set(plan.replaced) == {str(program.config), str(program.trades / "1.csv")}
    assert set(plan.same) == {str(program.trades / "2.csv"), str(program.data / "positions.csv")}
    assert plan.extra == (str(program.trades / "new.csv"),)
    assert str(plan) == f"{backup_id}: 2 new, 2 replaced, 2 same, 1 extra"
    assert manager.restore_backup(backup_id, restore_data=True, dry_run=True)
    assert program.picture() == before


def test_what_is_not_in_the_backup_stays(manager: RecoveryManager, program: Program) -> None:
    """A restore adds and replaces, it does not remove."""
    backup_id = manager.create_backup(*ALL)
    (program.trades / "new.csv").write_text("kept")
    assert manager.restore_backup(backup_id, restore_data=True)
    assert (program.trades / "new.csv").read_text() == "kept"


def test_what_is_the_same_is_not_touched(manager: RecoveryManager, program: Program) -> None:
    """The very file stays."""
    backup_id = manager.create_backup(*ALL)
    before = program.config.stat()
    assert manager.restore_backup(backup_id)
    assert program.config.stat() == before


@pytest.mark.parametrize("place", ["config/config.toml", "data/data/trades/2.csv", "manifest.json", "metadata.json"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_nothing_is_touched_when_a_byte_is_wrong(
    manager: RecoveryManager, program: Program, place: str, *, dry_run: bool
) -> None:
    """Also one of a file that would not change."""
    backup_id = manager.create_backup(*ALL)
    upset(program)
    before = program.picture()
    damage(manager, backup_id, place)
    with pytest.raises(BackupCorruptError) as caught:
        manager.restore(backup_id, data=True, dry_run=dry_run)
    assert place.rpartition("/")[2] in str(caught.value)
    assert not manager.restore_backup(backup_id, restore_data=True, dry_run=dry_run)
    assert program.picture() == before


def test_a_partial_backup_comes_back_only_when_asked(manager: RecoveryManager, program: Program) -> None:
    """The refusal says what is missing."""
    (program.trades / "broken").symlink_to("nothing")
    backup_id = manager.create_backup(*ALL)
    program.config.write_text("wrong")
    with pytest.raises(RestoreRefusedError, match=r"partial .*broken"):
        manager.restore(backup_id)
    assert manager.restore_backup(backup_id, allow_partial=True)
    assert program.config.read_text() == "pair = 'BTC/USD'\n"


def test_a_failed_backup_does_not_come_back(manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing in it."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(BackupError):
        patch.setattr(os, "write", full)
        manager.create_backup(*ALL)
    [failed] = manager.list_backups()
    with pytest.raises(RestoreRefusedError, match="failed"):
        manager.restore(failed.backup_id, allow_partial=True)
    with pytest.raises(BackupError, match="nothing in it to verify"):
        manager.verify_backup(failed.backup_id)


@pytest.mark.parametrize("backup_id", ["backup_1", "../backups", "", "a/b", None])
def test_a_backup_that_is_none_is_told(manager: RecoveryManager, backup_id: str) -> None:
    """And counts as nothing."""
    with pytest.raises(BackupNotFoundError):
        manager.restore(backup_id)
    assert not manager.restore_backup(backup_id)
    assert not any(manager._repository.ledger.read().restores.values())


def test_only_named_paths_are_written(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """A backup does not say where it goes; whoever restores does."""
    backup_id = manager.create_backup(*ALL)
    upset(program)
    before = program.picture()
    other = RecoveryManager(tmp_path / "backups")
    with pytest.raises(RestoreRefusedError, match="is not named: add it"):
        other.restore(backup_id)
    other.config_backup.add_config(program.config)
    with pytest.raises(RestoreRefusedError, match="data is not named"):
        other.restore(backup_id, data=True)
    assert program.picture() == before
    assert other.restore_backup(backup_id)


def test_a_project_may_have_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was named by a relative path is found again from the new place."""
    for where in ("old", "new"):
        (tmp_path / where).mkdir()
        monkeypatch.chdir(tmp_path / where)
        manager = RecoveryManager(tmp_path / "backups")
        manager.config_backup.add_config("config.toml")
        if where == "old":
            Path("config.toml").write_text("x")
            backup_id = manager.create_backup()
    assert manager.restore_backup(backup_id)
    assert Path("config.toml").read_text() == "x"


def test_it_can_go_into_a_folder_of_its_own(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """Laid out as in the backup, with what is needed to use it."""
    before = program.picture(), picture(program.data)
    backup_id = manager.create_backup(*ALL)
    report = manager.restore(backup_id, data=True, state=True, restore_to=tmp_path / "drill")
    assert (program.picture(), picture(tmp_path / "drill" / "data" / "data")) == before
    assert (tmp_path / "drill" / "config" / "config.toml").read_text() == program.config.read_text()
    assert json.loads((tmp_path / "drill" / "state.json").read_text())["providers"] == {"bot": {"orders": 2}}
    assert len(report.plan.new) == 7


def test_a_link_does_not_lead_a_restore_away(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """Neither in the folder it goes to, nor where a folder used to be."""
    backup_id = manager.create_backup(*ALL)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "drill").mkdir()
    (tmp_path / "drill" / "config").symlink_to(outside)
    with pytest.raises(RestoreRefusedError, match="symbolic link"):
        manager.restore(backup_id, restore_to=tmp_path / "drill")
    shutil.rmtree(program.trades)
    program.trades.symlink_to(outside)
    with pytest.raises(RestoreRefusedError, match="move it away"):
        manager.restore(backup_id, data=True)
    assert not list(outside.iterdir())


def test_a_named_path_may_be_a_link_itself(tmp_path: Path) -> None:
    """As configuration maps make them: what it points to is saved and restored, and the link stays."""
    Program.write(tmp_path / "real" / "config.toml", "right")
    (tmp_path / "config.toml").symlink_to("real/config.toml")
    manager = RecoveryManager(tmp_path / "backups")
    manager.config_backup.add_config(tmp_path / "config.toml")
    backup_id = manager.create_backup()
    (tmp_path / "real" / "config.toml").write_text("wrong")
    assert manager.restore_backup(backup_id)
    assert (tmp_path / "config.toml").is_symlink()
    assert (tmp_path / "real" / "config.toml").read_text() == "right"


def test_a_file_where_a_folder_was_is_refused(manager: RecoveryManager, program: Program) -> None:
    """And the other way round; the message says what to do."""
    backup_id = manager.create_backup(*ALL)
    shutil.rmtree(program.trades)
    program.trades.write_text("a file now")
    program.config.unlink()
    program.config.mkdir()
    with pytest.raises(RestoreRefusedError) as caught:
        manager.restore(backup_id, data=True)
    assert {problem.rpartition(": ")[2] for problem in caught.value.problems} == {"move it away"}
    assert len(caught.value.problems) == 2


def test_state_goes_back_to_its_providers(manager: RecoveryManager) -> None:
    """To those that can take it; it is in the report in any case."""
    given: list[object] = []
    manager.state_snapshot.register_provider("risk", lambda: {"limit": 5}, restore=given.append)
    backup_id = manager.create_backup()
    report = manager.restore(backup_id, config=False, state=True)
    assert given == [{"limit": 5}]
    assert report.state["providers"] == {"bot": {"orders": 2}, "risk": {"limit": 5}}
    assert report.plan.new == report.plan.replaced == ()


def test_a_provider_that_refuses_makes_the_restore_partial(manager: RecoveryManager) -> None:
    """The files are restored all the same."""

    def refuse(_: object) -> None:
        raise RuntimeError("positions are open")

    manager.state_snapshot.register_provider("risk", lambda: 5, restore=refuse)
    backup_id = manager.create_backup()
    with RecordingObserver() as seen:
        assert not manager.restore_backup(backup_id, restore_state=True)
    [event] = seen.of(RestoreFinished)
    assert (event.outcome, event.message) == ("partial", "state provider 'risk': RuntimeError: positions are open")


def test_a_database_comes_back_without_the_log_of_the_other(manager: RecoveryManager, program: Program) -> None:
    """A log that belongs to the replaced database would spoil the restored one."""
    path = program.data / "trades.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES ('before')")
        backup_id = manager.create_backup(*ALL)
    crash = (
        "import os, sqlite3; d = sqlite3.connect('trades.sqlite', isolation_level=None);"
        "d.execute(\"UPDATE t SET x = 'after'\"); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", crash], cwd=program.data, check=False)
    assert (program.data / "trades.sqlite-wal").stat().st_size
    assert manager.restore_backup(backup_id, restore_data=True)
    assert not list(program.data.glob("trades.sqlite-*"))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT x FROM t").fetchall() == [("before",)]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_in_use_is_not_replaced(manager: RecoveryManager, program: Program) -> None:
    """Whoever has it open would write into a file that is gone."""
    path = program.data / "trades.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
        database.commit()
        backup_id = manager.create_backup(*ALL)
        before = program.picture()
        with pytest.raises(RestoreRefusedError, match="this process has it open"):
            manager.restore(backup_id, data=True)
        assert program.picture() == before
    assert manager.restore_backup(backup_id, restore_data=True)


@pytest.mark.parametrize("number", range(1, 8))
def test_an_error_in_the_middle_takes_everything_back(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whichever file it happens at."""
    backup_id = manager.create_backup(*ALL)
    upset(program)
    before = program.picture()
    rename, count = os.rename, [0]

    def failing(source: str, target: str) -> None:
        if str(source).endswith(".new"):
            count[0] += 1
            if count[0] == number:
                raise OSError(errno.EIO, "Input/output error", source)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        done = manager.restore_backup(backup_id, restore_data=True)
    assert done is (number > 5)  # four files, and the folder that was not there
    if not done:
        assert program.picture() == before
        with pytest.raises(BackupError, match="Input/output"), monkeypatch.context() as patch:
            count[0] = 0
            patch.setattr(os, "rename", failing)
            manager.restore(backup_id, data=True)
    assert not list(manager._repository.own.glob("restore-*"))


def test_a_crash_in_the_middle_is_carried_on_by_the_next_manager(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Once all is on the disk the restore has happened, even if not every name has changed yet."""
    before = program.picture()
    backup_id = manager.create_backup(*ALL)
    upset(program)

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(transaction, "keep", crash)
        patch.setattr(transaction.Transaction, "_undo", crash)
        manager.restore(backup_id, data=True)
    assert program.picture() != before
    with RecordingObserver() as seen:
        RecoveryManager(tmp_path / "backups")
    assert program.picture() == before
    [event] = seen.of(RestoreFinished)
    assert (event.outcome, "carried on" in event.message) == ("interrupted", True)


def test_a_backup_of_the_original_comes_back(
    manager: RecoveryManager, program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no manifest, which is said."""
    folder = manager.backup_root / "backup_1734431400000000_20241217_103000_000000"
    (folder / "config").mkdir(parents=True)
    shutil.copytree(program.data, folder / "data" / "data", symlinks=True)
    (folder / "config" / "config.toml").write_text("old = true")
    (folder / "state.json").write_text('{"timestamp": "2024-12-17T10:30:00", "providers": {"bot": {"orders": 7}}}')
    facts = {
        "backup_id": folder.name,
        "backup_type": "full",
        "created_at": "2024-12-17T10:30:00",
        "status": "success",
        "files_count": 6,
        "error_message": "",
    }
    (folder / "metadata.json").write_text(json.dumps(facts))
    assert [backup.backup_id for backup in manager.list_backups()] == [folder.name]
    (program.trades / "1.csv").write_text("wrong")
    with caplog.at_level(logging.WARNING, "peak_observe.backup"):
        report = manager.restore(folder.name, data=True, state=True)
    assert any("has no manifest" in message for message in caplog.messages)
    assert program.config.read_text() == "old = true"
    assert (program.trades / "1.csv").read_text().startswith("1,64000")
    assert report.state["providers"] == {"bot": {"orders": 7}}
    assert manager.verify_backup(folder.name).ok
    assert manager._repository.ledger.read().last_verified == 0


def test_names_of_one_file_are_one_file_again(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """From nothing, into a folder of its own, and where one of them was replaced."""
    first, second = program.trades / "0.csv", program.data / "again.csv"
    os.link(first, second)
    backup_id = manager.create_backup(*ALL)
    before = program.picture()

    def together(*paths: Path) -> bool:
        return len({path.stat().st_ino for path in paths}) == 1

    shutil.rmtree(program.data)
    manager.restore(backup_id, data=True)
    assert program.picture() == before
    assert together(first, second)
    for path in (first, second):
        path.unlink()
        path.write_text("wrong")
        manager.restore(backup_id, data=True)
        assert program.picture() == before
        assert together(first, second)
    first.unlink()
    shutil.copy2(second, first)
    assert len(manager.restore(backup_id, data=True, dry_run=True).plan.replaced) == 1
    manager.restore(backup_id, data=True)
    assert together(first, second)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "out")
    assert together(tmp_path / "out/data/data/trades/0.csv", tmp_path / "out/data/data/again.csv")


def test_one_name_of_a_file_alone_is_a_whole_file(manager: RecoveryManager, program: Program) -> None:
    """Where the other is not asked for."""
    os.link(program.trades / "0.csv", program.data / "again.csv")
    backup_id = manager.create_backup(*ALL)
    before = program.picture()
    for name in ("again.csv", "0.csv"):
        (path,) = program.data.rglob(name)
        path.unlink()
        manager.restore(backup_id, data=True, paths=[name])
        assert program.picture() == before


def test_a_log_beside_what_is_no_database_stays_unless_it_is_one(manager: RecoveryManager, program: Program) -> None:
    """A name alone proves nothing; what begins as SQLite's logs do is one."""
    notes, log = program.trades / "1.csv-journal", program.trades / "1.csv-wal"
    notes.write_text("notes of mine")
    backup_id = manager.create_backup(*ALL)
    (program.trades / "1.csv").write_text("wrong")
    log.write_bytes(bytes.fromhex("377f0682") + bytes(28))
    assert manager.restore_backup(backup_id, restore_data=True)
    assert notes.read_text() == "notes of mine"
    assert not log.exists()


def test_what_the_library_leaves_is_logged(
    manager: RecoveryManager, program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    """Its defaults are those of the original; the log names the argument that would."""
    backup_id = manager.create_backup(*ALL)
    assert manager.restore_backup(backup_id)
    assert "also holds the data, which is not restored: restore_data=True does so" in caplog.text
    assert "also holds the state, which is not restored: restore_state=True does so" in caplog.text
    assert manager.restore(backup_id).left == ("data", "state")


def test_paths_that_have_moved_need_not_be_named(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """The longest old path that fits is the one that counts."""
    backup_id = manager.create_backup(*ALL)
    other = RecoveryManager(tmp_path / "backups")
    moved = {str(program.folder): str(tmp_path / "a"), str(program.data): str(tmp_path / "b")}
    report = other.restore(backup_id, data=True, moved=moved)
    assert report.moved == (
        (str(program.config), str(tmp_path / "a/config/config.toml")),
        (str(program.data), str(tmp_path / "b")),
    )
    assert picture(tmp_path / "b") == picture(program.data)
    assert (tmp_path / "a/config/config.toml").read_text() == program.config.read_text()


@pytest.mark.parametrize("named", [False, True])
def test_two_paths_that_would_become_one_are_refused(
    manager: RecoveryManager, program: Program, tmp_path: Path, *, named: bool
) -> None:
    """Only one of them could be there; both are named, once."""
    other = program.folder / "other"
    shutil.copytree(program.trades, other / "trades")
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(program.trades)
    manager.data_backup.add_data_path(other / "trades")
    backup_id = manager.create_backup(include_config=False, include_data=True, include_state=False)
    before = program.picture()
    moved = {str(program.data): str(other)} if named else {str(other): "/x", str(program.data): "/x"}
    place = f"{other if named else '/x'}/trades"
    with pytest.raises(RestoreRefusedError) as caught:
        manager.restore(backup_id, config=False, data=True, moved=moved)
    (problem,) = caught.value.problems
    assert {*problem.partition(" would")[0].split(" and ")} == {str(program.trades), str(other / "trades")}
    assert problem.endswith(f" would both become {place}: give each its own place")
    assert program.picture() == before


def test_the_folder_of_what_commands_wrote_is_for_its_owner_only(tmp_path: Path) -> None:
    """As it was: no backup knows the folder itself, and a dump tells all that is in a database."""
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_command("pg", ["echo", "dumped"])
    backup_id = manager.create_backup(include_config=False, include_data=True, include_state=False)
    folder = tmp_path / "backups.dumps"
    shutil.rmtree(folder, ignore_errors=True)
    umask = os.umask(0o022)
    try:
        manager.restore(backup_id, config=False, data=True)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.read_text() for path in folder.iterdir()] == ["dumped\n"]


def test_what_was_named_twice_goes_to_one_place(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """A file by itself and in its folder is one file."""
    manager.data_backup.add_data_path(program.trades)
    backup_id = manager.create_backup(*ALL)
    manager.restore(backup_id, data=True, moved={str(program.folder): str(tmp_path / "a")})
    assert picture(tmp_path / "a" / "data") == picture(program.data)


def test_a_journal_of_an_earlier_version_is_carried_on(manager: RecoveryManager, program: Program) -> None:
    """An update in the middle of a crash must not lose it."""
    new = program.data / ".peak-x-0.new"
    new.write_text("new")
    status = new.stat()
    step = [str(program.data / "positions.csv"), status.st_ino, status.st_mtime_ns, False]
    plain = json.dumps(
        {"name": "x", "backup_id": "backup_1", "folders": [], "steps": [step], "checksum": ""}, separators=(",", ":")
    )
    text = plain.replace('"checksum":""', f'"checksum":"{blake3(plain.encode()).hexdigest()}"')
    (manager.backup_root / ".peak-observe" / "restore-x.swapping.json").write_text(text)
    RecoveryManager(manager.backup_root)
    assert (program.data / "positions.csv").read_text() == "new"
    assert not list(program.data.glob(".peak-*"))


def test_what_a_program_wrote_into_a_new_folder_outlives_the_undo(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a crash while something is taken back and its end a bot may have started."""
    backup_id = manager.create_backup(*ALL)
    program.config.write_text("wrong")
    shutil.rmtree(program.data)

    class Crash(BaseException):
        pass

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(transaction.Transaction, "_sync", failing)
        patch.setattr(transaction.Transaction, "_undo_step", crash)
        manager.restore(backup_id, data=True)
    (program.data / "fills.csv").write_text("bought")
    RecoveryManager(manager.backup_root)
    assert [str(path.relative_to(program.data)) for path in program.data.rglob("*")] == ["fills.csv"]
    assert program.config.read_text() == "wrong"
