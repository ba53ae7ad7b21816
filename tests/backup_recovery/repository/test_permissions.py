"""Nobody but its owner can read a repository, and nothing in it gives somebody the rights of somebody else."""

import logging
import os
import stat
from pathlib import Path

import pytest

from peak_observe.backup_recovery import ConfigBackup, DataBackup, RecoveryManager

from ..conftest import Program

OTHERS = 0o077


def open_to_others(folder: Path) -> list[str]:
    """Return what is in a folder, and itself, that others could read or that gives rights away."""
    paths = [folder, *folder.rglob("*")]
    modes = {str(path): stat.S_IMODE(path.lstat().st_mode) for path in paths if not path.is_symlink()}
    return sorted(path for path, mode in modes.items() if mode & OTHERS or mode & 0o7000)


def test_everything_in_a_repository_is_for_its_owner_only(manager: RecoveryManager, program: Program) -> None:
    """Whatever the modes of the sources, and also while it is written."""
    seen: list[str] = []
    (program.data / "locked").mkdir(mode=0o700)
    (program.data / "locked" / "key").write_text("secret")
    old = os.umask(0)
    try:
        manager.create_backup(progress=lambda _: seen.extend(open_to_others(manager.backup_root)))
        manager.create_backup(incremental=True)
        manager.verify_backup(manager.list_backups()[0].backup_id)
    finally:
        os.umask(old)
    assert seen == open_to_others(manager.backup_root) == []
    assert stat.S_IMODE(manager.backup_root.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711, 0o1777, 0o777, 0o444, 0o040])
def test_a_stored_file_runs_as_nobody_else(manager: RecoveryManager, program: Program, mode: int) -> None:
    """The manifest keeps the mode that the source has."""
    program.config.chmod(mode)
    backup = manager.get_backup(manager.create_backup())
    stored = manager.backup_root / backup.backup_id / "config" / "config.toml"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o400 | (mode & 0o100)
    [entry] = [item for item in manager._repository.manifest(backup).entries if item.stored == "config/config.toml"]
    assert entry.mode == mode


def test_a_plain_copy_runs_as_nobody_else(program: Program, tmp_path: Path) -> None:
    """It keeps the other permissions, as nothing else does; its folders keep theirs."""
    program.config.chmod(0o4755)
    program.trades.chmod(0o2711)
    (program.trades / "0.csv").chmod(0o6664)
    ConfigBackup([program.config]).backup(tmp_path / "config")
    DataBackup([program.data]).backup(tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "config" / "config.toml").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "data" / "data" / "trades" / "0.csv").stat().st_mode) == 0o664
    assert stat.S_IMODE((tmp_path / "data" / "data" / "trades").stat().st_mode) == 0o711
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def loosen(folder: Path) -> None:
    """Give a repository the modes that older versions gave it."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_an_older_repository_is_tightened_with_one_line(
    manager: RecoveryManager, caplog: pytest.LogCaptureFixture
) -> None:
    """By the next run that writes; it lists and restores as before."""
    first = manager.create_backup()
    loosen(manager.backup_root)
    with caplog.at_level(logging.INFO, "peak_observe.backup"):
        manager.create_backup()
        manager.create_backup()
    assert open_to_others(manager.backup_root) == []
    lines = [record.getMessage() for record in caplog.records if "took the right" in record.getMessage()]
    assert len(lines) == 1
    assert str(manager.backup_root) in lines[0]
    assert manager.verify_backup(first).ok


def test_a_folder_that_others_use_stays_open(program: Program, tmp_path: Path) -> None:
    """A repository may have been put into a folder of other things, which is not ours to close."""
    tmp_path.chmod(0o755)
    manager = RecoveryManager(tmp_path)
    manager.config_backup.add_config(program.config)
    backup_id = manager.create_backup()
    loosen(tmp_path / backup_id)
    manager.create_backup()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert open_to_others(tmp_path / backup_id) == open_to_others(tmp_path / ".peak-observe") == []


def test_a_saved_state_is_for_its_owner_only(manager: RecoveryManager, tmp_path: Path) -> None:
    """It may hold anything that a program knows."""
    manager.state_snapshot.save(tmp_path / "state.json")
    assert open_to_others(tmp_path / "state.json") == []
