"""Targets of a restore: what cannot be written, or would do harm, is refused before anything changes."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peak_observe.backup_recovery import RecoveryManager, StateSnapshot
from peak_observe.backup_recovery.components import ConfigBackup
from peak_observe.errors import BackupError, RestoreRefusedError
from tests.backup_recovery.conftest import Program, as_user, picture

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
BOT = 65534
DENIED = "cannot be written: Permission denied; run this as a user who may write there"


def refused(manager: RecoveryManager, backup_id: str, **options: object) -> RestoreRefusedError:
    """Return what a dry run and a real one are refused for, which is the same."""
    found = []
    for dry_run in (True, False):
        with pytest.raises(RestoreRefusedError) as error:
            manager.restore(backup_id, data=True, dry_run=dry_run, **options)
        found.append(error.value)
    assert [item.problems for item in found] == [found[0].problems] * 2
    assert [item.reasons for item in found] == [found[0].reasons] * 2
    assert not list((manager.backup_root / ".peak-observe").glob("restore-*"))
    return found[0]


@pytest.mark.parametrize(
    "options",
    [
        {"restore_to": ""},
        {"state_file": ""},
        {"moved": {"": "/x"}},
        {"moved": {"/x": ""}},
        {"restore_to": "x", "moved": {"/x": "/y"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_options_that_contradict_or_are_empty_are_no_value(
    manager: RecoveryManager, options: dict[str, object], *, dry_run: bool
) -> None:
    """An empty path, as of an unset variable, would mean the working directory."""
    with pytest.raises(ValueError, match=r"has to be a path|give one of them"):
        manager.restore(manager.create_backup(), dry_run=dry_run, **options)


def test_reasons_tell_kinds_apart(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """Code acts on these, and the command line on the option that helps."""
    backup_id = manager.create_backup()
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to("gone")
    for options, reason in (
        ({"restore_to": tmp_path / "file"}, "blocked"),
        ({"restore_to": tmp_path / "nowhere"}, "misplaced"),
        ({"restore_to": manager.backup_root}, "misplaced"),
        ({"moved": {str(program.trades): str(tmp_path / "x")}}, "inner"),
        ({"moved": {"/gone": str(tmp_path / "x")}}, "unmatched"),
        ({"state_file": tmp_path / "file" / "x"}, "state_file"),
    ):
        assert refused(manager, backup_id, **options).reasons == (reason,)


def test_a_file_where_the_folder_of_a_named_file_was_is_refused(manager: RecoveryManager, program: Program) -> None:
    """Nothing is taken for a change that somebody else made meanwhile."""
    backup_id = manager.create_backup()
    program.config.unlink()
    program.config.parent.rmdir()
    program.config.parent.write_text("mine")
    (problem,) = refused(manager, backup_id).problems
    assert problem == f"{program.config.parent} is a file now, and a folder has to be there: move it away"


def test_plain_copies_are_refused_alike(program: Program, tmp_path: Path) -> None:
    """`ConfigBackup` restores without a repository."""
    part = ConfigBackup([program.config])
    part.backup(tmp_path / "copies")
    program.config.unlink()
    program.config.parent.rmdir()
    program.config.parent.write_text("mine")
    for dry_run in (True, False):
        with pytest.raises(RestoreRefusedError, match="is a file now, and a folder has to be there"):
            part.restore(tmp_path / "copies", dry_run)


def test_a_program_in_the_folder_of_its_repository_gets_its_files_back(tmp_path: Path) -> None:
    """What was named there goes there, also a hidden file, and nothing goes among the backups."""
    for name in (".env", "config.toml"):
        (tmp_path / name).write_text("as it was")
    manager = RecoveryManager(tmp_path)
    for name in (".env", "config.toml"):
        manager.config_backup.add_config(tmp_path / name)
    backup_id = manager.create_backup()
    for name in (".env", "config.toml"):
        (tmp_path / name).write_text("changed")
    manager.restore(backup_id)
    assert [(tmp_path / name).read_text() for name in (".env", "config.toml")] == ["as it was"] * 2
    assert refused(manager, backup_id, restore_to=tmp_path / "look").reasons == ("misplaced",)


def test_a_named_link_to_nothing_is_made_whole(tmp_path: Path) -> None:
    """It is where the file was; nobody has chosen it for this restore."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "c.toml").write_text("as it was")
    (tmp_path / "c.toml").symlink_to("disk/c.toml")
    manager = RecoveryManager(tmp_path / "backups")
    manager.config_backup.add_config(tmp_path / "c.toml")
    backup_id = manager.create_backup()
    (tmp_path / "disk" / "c.toml").unlink()
    manager.restore(backup_id)
    assert (tmp_path / "disk" / "c.toml").read_text() == "as it was"


def test_a_path_behind_a_link_and_two_dots_is_where_the_system_finds_it(
    manager: RecoveryManager, program: Program, tmp_path: Path
) -> None:
    """As for any other program."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/deep")
    place = str(tmp_path / "link") + "/../new"
    manager.restore(manager.create_backup(), moved={str(program.config.parent): place})
    assert (tmp_path / "far" / "new" / "config.toml").exists()


@pytest.fixture
def kept(public_path: Path) -> tuple[RecoveryManager, str]:
    """A backup that another user made, with a state."""
    program = Program(public_path / "program")
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(public_path)], check=True)

    def act() -> None:
        made = RecoveryManager(public_path / "backups")
        made.config_backup.add_config(program.config)
        made.data_backup.add_data_path(program.data)
        made.state_snapshot.register_provider("bot", lambda: {"orders": 2})
        made.create_backup()
        made.restore(made.list_backups()[0].backup_id, restore_to=public_path / "loaded")  # all that a child needs

    as_user(BOT, act)
    manager = RecoveryManager(public_path / "backups")
    return manager, manager.list_backups()[0].backup_id


@as_root
def test_a_place_that_may_not_be_entered_is_refused(kept: tuple[RecoveryManager, str], public_path: Path) -> None:
    """A dry run cannot see what is there, and a real one could not write it."""
    _, backup_id = kept
    (public_path / "shut").mkdir(mode=0o700)
    os.chown(public_path / "shut", 0, 0)

    def act() -> None:
        reader = RecoveryManager(public_path / "backups")
        for options in (
            {"restore_to": public_path / "shut" / "x"},
            {"moved": {str(public_path): str(public_path / "shut" / "x")}},
            {"restore_to": public_path / "ours", "state_file": public_path / "shut" / "s.json"},
        ):
            (problem,) = refused(reader, backup_id, **options).problems
            assert "Permission denied" in problem

    as_user(BOT, act)


@as_root
def test_a_state_file_in_a_folder_that_may_not_be_written_is_refused(
    kept: tuple[RecoveryManager, str], public_path: Path
) -> None:
    """Before the files change."""
    _, backup_id = kept
    (public_path / "others").mkdir(mode=0o755)
    os.chown(public_path / "others", 0, 0)

    def act() -> None:
        reader = RecoveryManager(public_path / "backups")
        places = {"restore_to": public_path / "ours", "state_file": public_path / "others" / "s.json"}
        (problem,) = refused(reader, backup_id, **places).problems
        assert problem.endswith(f"{public_path}/others {DENIED}")

    as_user(BOT, act)
    assert not (public_path / "ours").exists()


@as_root
def test_what_this_user_cannot_write_is_refused_in_a_dry_run_too(
    kept: tuple[RecoveryManager, str], public_path: Path
) -> None:
    """A new file or folder, and a file that can only be written in place."""
    _, backup_id = kept
    others, data = public_path / "others", public_path / "program" / "data"
    others.mkdir(mode=0o755)
    (data / "trades" / "1.csv").write_text("changed")
    (data / "positions.csv").unlink()
    for path in (others, data, data / "trades", data / "trades" / "1.csv"):
        os.chown(path, 0, 0)

    def act() -> None:
        user = RecoveryManager(public_path / "backups")
        user.config_backup.add_config(public_path / "program" / "config" / "config.toml")
        user.data_backup.add_data_path(data)
        assert refused(user, backup_id, restore_to=others / "x").problems == (f"{others} {DENIED}",)
        assert refused(user, backup_id, moved={str(public_path): str(others)}).problems == (f"{others} {DENIED}",)
        assert refused(user, backup_id).problems == (f"{data / 'trades/1.csv'} {DENIED}", f"{data} {DENIED}")

    as_user(BOT, act)


@as_root
def test_a_read_only_target_is_refused_in_a_dry_run_too(manager: RecoveryManager, small: Path) -> None:
    """Also for root."""
    backup_id = manager.create_backup()
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    (problem,) = refused(manager, backup_id, restore_to=small / "out").problems
    assert problem == f"{small} cannot be written: Read-only file system"


@as_root
def test_a_state_belongs_to_who_has_backed_it_up(kept: tuple[RecoveryManager, str], public_path: Path) -> None:
    """Else the program could not read it after a restore by root."""
    manager, backup_id = kept
    file = public_path / "s.json"
    for before in (None, "older", ""):
        if before is not None:
            file.write_text(before)
            os.chown(file, 0, 0)
        manager.restore(backup_id, config=False, state_file=file)
        status = file.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (BOT, BOT, 0o600)
    as_user(BOT, lambda: StateSnapshot().load(file))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for half of the program."""
    disk = tmp_path / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@as_root
@pytest.mark.parametrize("how", ["inside", "moved", "live"])
def test_a_disk_that_fills_half_way_is_as_before(
    manager: RecoveryManager, program: Program, small: Path, how: str
) -> None:
    """One message that tells where, and no journal is left; small files take more room than their sizes say."""
    for number in range(80):
        program.write(program.trades / f"big{number}.csv", f"{number}" * 60)
    backup_id = manager.create_backup()
    if how == "live":
        (small / "trades").mkdir()
        for name in ("0.csv", "big0.csv"):
            (small / "trades" / name).write_text("mine")
    before = picture(small)
    options = {"restore_to": small / "out"} if how == "inside" else {"moved": {str(program.data): str(small)}}
    options = {"moved": {str(program.data): str(small / "new")}} if how == "moved" else options
    with pytest.raises(
        BackupError, match=r"^nothing was restored, as writing failed: No space left on device"
    ) as error:
        manager.restore(backup_id, config=how == "inside", data=True, **options)
    assert str(small) in str(error.value)
    assert picture(small) == before
    assert not list((manager.backup_root / ".peak-observe").glob("restore-*"))


@as_root
def test_a_state_that_finds_no_room_leaves_the_old_one(manager: RecoveryManager, small: Path) -> None:
    """It is written beside it first."""
    backup_id = manager.create_backup()
    (small / "s.json").write_text("older")
    with pytest.raises(OSError, match="No space left"), (small / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(BackupError, match=r"the files are as in the backup, and the state is not written: .*No space"):
        manager.restore(backup_id, state_file=small / "s.json")
    assert (small / "s.json").read_text() == "older"
    assert sorted(path.name for path in small.iterdir()) == ["full", "s.json"]


def test_the_state_alone_goes_to_a_file(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """It is in the plan, and not handed to anybody who was not asked."""
    handed: list[object] = []
    manager.state_snapshot.register_provider("taker", lambda: 1, restore=handed.append)
    backup_id = manager.create_backup()
    place = tmp_path / "s.json"
    for options, change in (({"dry_run": True}, "new"), ({}, "new"), ({}, "same")):
        report = manager.restore(backup_id, config=False, state_file=place, **options)
        assert getattr(report.plan, change) == (str(place),)
    assert handed == []
    assert StateSnapshot().load(place)["providers"] == {"bot": {"orders": 2}, "taker": 1}
    place.chmod(0o644)
    report = manager.restore(backup_id, paths="config.toml", state_file=place)
    assert report.plan.replaced == (str(place),)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_state_file_of_a_backup_without_a_state_is_not_written(tmp_path: Path, program: Program) -> None:
    """An older file of that name stays."""
    manager = RecoveryManager(tmp_path / "backups")
    manager.config_backup.add_config(program.config)
    backup_id = manager.create_backup(include_state=False)
    (tmp_path / "s.json").write_text("older")
    assert manager.restore(backup_id, state_file=tmp_path / "s.json").state == {}
    assert (tmp_path / "s.json").read_text() == "older"
