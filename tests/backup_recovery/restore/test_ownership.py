"""Owners and permissions of what is restored, as root restores it and as anybody else does."""

import os
import pwd
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import RecoveryManager
from peak_observe.backup_recovery.repository.manifest import FILE, Entry, Manifest
from peak_observe.backup_recovery.restore.ownership import Ownership

from ..conftest import Program, as_user, owner

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
BOT, OTHER = 1, 2  # users that every system has


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


def manifest(users: dict[int, str], groups: dict[int, str]) -> Manifest:
    """Return a manifest that names owners."""
    return Manifest(1, "backup_1", 0, [], [], users, groups)


ENTRY = Entry("config/a", FILE, uid=4711, gid=4712)


@as_root
def test_files_folders_and_links_come_back_to_their_owners(manager: RecoveryManager, program: Program) -> None:
    """So that the program can write beside its database again, also from nothing."""
    for path in (program.data, program.trades, program.trades / "1.csv", program.data / "latest"):
        os.chown(path, BOT, OTHER, follow_symlinks=False)
    program.trades.chmod(0o750)
    paths = [program.data, *program.data.rglob("*")]
    before = {path: owner(path) for path in paths}
    backup_id = manager.create_backup(include_data=True)
    subprocess.run(["rm", "-r", str(program.folder)], check=True)
    manager.restore(backup_id, data=True)
    assert {path: owner(path) for path in paths} == before


@as_root
def test_what_is_there_gets_its_owner_and_permissions_back(manager: RecoveryManager, program: Program) -> None:
    """A folder, a file or a link with another owner or other permissions is not the same."""
    backup_id = manager.create_backup(include_data=True)
    paths = [program.data, *program.data.rglob("*")]
    before = {path: owner(path) for path in paths}
    os.chown(program.trades, BOT, BOT)
    (program.data / "empty").chmod(0o700)
    os.chown(program.trades / "1.csv", BOT, BOT)
    os.chown(program.data / "latest", BOT, BOT, follow_symlinks=False)
    plan = manager.restore(backup_id, data=True, dry_run=True).plan
    assert set(plan.folders) == {str(program.trades), str(program.data / "empty")}
    assert set(plan.replaced) == {str(program.trades / "1.csv"), str(program.data / "latest")}
    assert str(plan).endswith(", 2 folders")
    manager.restore(backup_id, data=True)
    assert {path: owner(path) for path in paths} == before
    assert manager.restore(backup_id, data=True, dry_run=True).plan.folders == ()


@as_root
def test_an_error_takes_permissions_of_folders_back_too(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or nothing holds for them as well."""
    backup_id = manager.create_backup(include_data=True)
    os.chown(program.trades, BOT, OTHER)
    program.trades.chmod(0o700)
    (program.trades / "1.csv").write_text("wrong")

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("peak_observe.backup_recovery.restore.transaction.Transaction._sync", failing)
    assert not manager.restore_backup(backup_id, restore_data=True)
    monkeypatch.undo()
    RecoveryManager(manager.backup_root)
    assert owner(program.trades) == (BOT, OTHER, 0o700)
    assert (program.trades / "1.csv").read_text() == "wrong"


@as_root
def test_the_folder_of_a_single_named_file_is_its_owners(tmp_path: Path) -> None:
    """On a new host the folder is in no backup, and the program has to write beside its database."""
    database = tmp_path / "srv" / "bot" / "trades.db"
    database.parent.mkdir(parents=True)
    database.write_text("x")
    os.chown(database, BOT, OTHER)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(database)
    backup_id = manager.create_backup(include_data=True)
    subprocess.run(["rm", "-r", str(tmp_path / "srv")], check=True)
    manager.restore(backup_id, data=True)
    assert owner(database.parent)[:2] == (BOT, OTHER)
    assert owner(database.parent.parent)[:2] == (0, 0)


@as_root
@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711])
def test_setuid_comes_back_with_its_owner(manager: RecoveryManager, program: Program, mode: int) -> None:
    """Root can give the file to whom it belonged, and then the permission is what it was."""
    tool = program.data / "tool"
    tool.write_text("#!/bin/sh\n")
    os.chown(tool, BOT, OTHER)
    tool.chmod(mode)
    backup_id = manager.create_backup(include_data=True)
    tool.unlink()
    manager.restore(backup_id, data=True)
    assert owner(tool) == (BOT, OTHER, mode)


@as_root
def test_setuid_does_not_come_back_to_another_owner(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """Whoever may not give files away would make everybody run it as himself."""
    tool = program.data / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o4755)
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "roots")  # loads all that the child needs
    subprocess.run(["chown", "-R", str(BOT), str(manager.backup_root)], check=True)
    target = tmp_path / "bots"
    target.mkdir()
    os.chown(target, BOT, BOT)

    def restore() -> None:
        RecoveryManager(manager.backup_root).restore(backup_id, data=True, restore_to=target / "all")

    as_user(BOT, restore)
    assert owner(tmp_path / "roots" / "data" / "data" / "tool") == (0, 0, 0o4755)
    assert owner(target / "all" / "data" / "data" / "tool") == (BOT, BOT, 0o755)
    assert owner(target / "all")[2] == 0o700


def as_member(uid: int, groups: list[int], act: Callable[[], object]) -> None:
    """Do something as another user who belongs to these groups as well."""

    def joined() -> None:
        os.setgid(uid)
        os.setgroups(groups)
        os.setuid(uid)
        act()

    as_user(0, joined)


@as_root
@pytest.mark.parametrize("groups", [[], [OTHER]])
@pytest.mark.parametrize("there", [True, False])
def test_a_user_gets_setgid_back_in_groups_of_his(
    manager: RecoveryManager, program: Program, tmp_path: Path, groups: list[int], *, there: bool, caplog
) -> None:
    """Whoever belongs to the group can give it, to files and to folders; whoever does not is told once."""
    tool, folder = program.data / "tool", program.trades
    tool.write_text("#!/bin/sh\n")
    for path in (program.data, folder, tool):
        os.chown(path, BOT, OTHER)
    for path in (folder, tool):
        path.chmod(0o2755)
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "first")  # loads all that the child needs
    subprocess.run(["chown", "-R", str(BOT), str(manager.backup_root), str(program.folder)], check=True)
    if there:
        for path in (folder, tool):
            os.chown(path, BOT, BOT)
            path.chmod(0o755)
    else:
        subprocess.run(["rm", "-r", str(folder), str(tool)], check=True)

    def act() -> None:
        user = RecoveryManager(manager.backup_root)
        user.data_backup.add_data_path(program.data)
        user.restore(backup_id, config=False, data=True)
        told = [line for line in caplog.messages if "setuid or setgid" in line]
        assert len(told) == (not groups and not there)
        assert all(
            "2 files and folders are without setuid or setgid, as not with the owner and" in line for line in told
        )
        assert user.restore(backup_id, config=False, data=True, dry_run=True).plan.folders == ()

    as_member(BOT, groups, act)
    wanted = (BOT, OTHER, 0o2755) if groups else (BOT, BOT, 0o755)
    assert (owner(folder), owner(tool)) == (wanted, wanted)


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes this host know users by these numbers."""

    def known(**users: int) -> None:
        def find(name: str) -> object:
            return type("Found", (), {"pw_uid": users[name], "gr_gid": users[name]})

        monkeypatch.setattr("pwd.getpwnam", find)
        monkeypatch.setattr("grp.getgrnam", find)

    return known


def test_names_win_over_numbers(directory: Callable[..., None]) -> None:
    """On another host the bot has another number."""
    directory(bot=1001, traders=1002)
    assert Ownership(manifest({4711: "bot"}, {4712: "traders"})).of(ENTRY)[:3] == (1001, 1002, True)


def test_numbers_win_if_asked_for(directory: Callable[..., None]) -> None:
    """As in tar and rsync."""
    directory(bot=1001, traders=1002)
    found = Ownership(manifest({4711: "bot"}, {4712: "traders"}), numeric=True).of(ENTRY)
    assert found[:3] == (4711, 4712, True)


def test_a_name_that_nobody_has_leaves_the_number(directory: Callable[..., None]) -> None:
    """But not the right to run as that user, who is somebody else here."""
    directory()
    found = Ownership(manifest({4711: "bot"}, {})).of(ENTRY)
    assert found[:3] == (4711, 4712, False)
    status = os.stat_result((0o104755, 0, 0, 1, 4711, 4712, 0, 0, 0, 0))
    assert found.mode(0o4755, status) == 0o755


@as_root
def test_names_count_in_a_whole_restore(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`numeric_owner=True` is the other way."""
    os.chown(program.config, BOT, 0)
    backup_id = manager.create_backup()
    name = pwd.getpwuid(BOT).pw_name
    real = pwd.getpwnam
    other = pwd.struct_passwd((name, "x", OTHER, OTHER, "", "/", "/bin/false"))
    monkeypatch.setattr("pwd.getpwnam", lambda wanted: other if wanted == name else real(wanted))
    manager.restore(backup_id)
    assert owner(program.config)[0] == OTHER
    manager.restore(backup_id, numeric_owner=True)
    assert owner(program.config)[0] == BOT
