"""Setuid and setgid in a restore of a backup that others have made, or can change."""

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from peak_observe import RecoveryManager

from ..conftest import as_user, owner

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
BOT, OTHER = 1, 2  # users that every system has, and their groups
IN_HANDS = "{} files and folders are without setuid or setgid, as the backup is in the hands of a user who may not"


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


GIVEN = {
    "roots": (0, 0, 0o6755),
    "bots": (BOT, BOT, 0o6755),
    "of the bot and roots group": (BOT, 0, 0o6755),
    "of root and the bots group": (0, BOT, 0o6755),
    "others": (OTHER, OTHER, 0o4755),
    "shared": (0, 0, 0o2777),
}
LEFT = {
    **GIVEN,
    "roots": (0, 0, 0o755),
    "of the bot and roots group": (BOT, 0, 0o4755),
    "of root and the bots group": (0, BOT, 0o2755),
    "others": (OTHER, OTHER, 0o755),
    "shared": (0, 0, 0o777),
}


@pytest.fixture
def tools(tmp_path: Path) -> RecoveryManager:
    """Return a manager with files and a folder that run as somebody."""
    data = tmp_path / "data"
    (data / "shared").mkdir(parents=True)
    for name, (uid, gid, mode) in GIVEN.items():
        path = data / name
        if name != "shared":
            path.write_text("#!/bin/sh\n")
        os.chown(path, uid, gid)
        path.chmod(mode)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(data)
    return manager


@as_root
@pytest.mark.parametrize("place", ["", "{}", "{}/metadata.json", "{}/manifest.json"])
def test_a_user_can_have_root_give_nobodys_rights_but_his_own(
    tools: RecoveryManager, tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever owns any part of what tells of a backup can write into it what he likes; owners still come back."""
    backup_id = tools.create_backup(include_data=True)
    out, again = tmp_path / "out", tmp_path / "again"
    tools.restore(backup_id, config=False, data=True, restore_to=again)
    os.chown(tools.backup_root / place.format(backup_id), BOT, BOT)
    tools.restore(backup_id, config=False, data=True, restore_to=out)
    assert {name: owner(out / "data/data" / name) for name in GIVEN} == LEFT
    assert IN_HANDS.format(5) in caplog.text
    assert "with the owner and group they had" not in caplog.text
    plan = tools.restore(backup_id, config=False, data=True, restore_to=out, dry_run=True).plan
    assert (plan.new, plan.replaced, plan.folders) == ((), (), ())
    # What is there with the bits loses them: nobody has looked at who gave them.
    assert {name: owner(again / "data/data" / name) for name in GIVEN} == GIVEN
    tools.restore(backup_id, config=False, data=True, restore_to=again)
    assert {name: owner(again / "data/data" / name) for name in GIVEN} == LEFT


@as_root
def test_backups_of_root_give_all(tools: RecoveryManager, tmp_path: Path) -> None:
    """Nothing is withheld where nobody else had his hands in it."""
    backup_id = tools.create_backup(include_data=True)
    tools.restore(backup_id, config=False, data=True, restore_to=tmp_path / "out")
    assert {name: owner(tmp_path / "out/data/data" / name) for name in GIVEN} == GIVEN


@as_root
def test_a_user_gives_nobody_his_rights_by_a_backup_of_another(tools: RecoveryManager, tmp_path: Path) -> None:
    """What holds for root holds for any user who restores what another one stores."""
    backup_id = tools.create_backup(include_data=True)
    tools.restore(backup_id, config=False, data=True, restore_to=tmp_path / "first")  # loads all that the child needs
    subprocess.run(["chown", "-R", str(OTHER), str(tools.backup_root)], check=True)
    subprocess.run(["chmod", "-R", "a+rX", str(tools.backup_root)], check=True)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, BOT, BOT)

    def restore() -> None:
        RecoveryManager(tools.backup_root).restore(backup_id, config=False, data=True, restore_to=home / "out")

    as_user(BOT, restore)
    assert owner(home / "out/data/data/bots") == (BOT, BOT, 0o755)


def as_root_of_a_namespace() -> None:
    """Become root to oneself, as any user can, and own files that look like root's from there."""
    uid, gid = os.getuid(), os.getgid()
    system = ctypes.CDLL(None)
    system.prctl(4, 1)  # a process that gave up root's rights may not write to its own /proc
    if system.unshare(0x10000000):
        raise NotImplementedError
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path("/proc/self", name).write_text(text)


@as_root
def test_a_user_namespace_makes_no_program_of_roots(
    tools: RecoveryManager, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There a user's backup of his own program names root as its owner, without a forged manifest."""
    tools.create_backup(include_data=True)  # loads all that the child needs
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, BOT, BOT)
    problem = home / "problem"

    def create() -> None:
        try:
            as_root_of_a_namespace()
        except (NotImplementedError, OSError):
            problem.touch()
            return
        tool = home / "s" / "su"
        tool.parent.mkdir()
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o4755)
        manager = RecoveryManager(home / "r")
        manager.data_backup.add_data_path(tool.parent)
        manager.create_backup(include_data=True)

    as_user(BOT, create)
    if problem.exists():
        pytest.skip("a user can make no namespace")
    manager, out = RecoveryManager(home / "r"), tmp_path / "out"
    manager.restore(manager.list_backups()[0].backup_id, config=False, data=True, restore_to=out)
    assert owner(home / "s" / "su") == (BOT, BOT, 0o4755)
    assert owner(out / "data/s/su") == (0, 0, 0o755)
    assert IN_HANDS.format(1) in caplog.text
