"""What lies beside a repository under the name of the folder of restored dumps."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe.backup_recovery import BackupStatus, RecoveryManager, RetentionPolicy

from ..conftest import Program


def dump_folder(folder: Path) -> None:
    """Put a folder in the place of a dump."""
    (folder / "pg.sql").mkdir(0o700, parents=True)


ODD: dict[str, Callable[[Path], object]] = {
    "file": lambda folder: folder.write_text("mine"),
    "loop": lambda folder: folder.symlink_to(folder.name),
    "dead link": lambda folder: folder.symlink_to("nothing"),
    "pipe": lambda folder: os.mkfifo(folder, 0o600),
    "empty folder": lambda folder: folder.mkdir(0o700),
    "folder for a dump": dump_folder,
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("command", [False, True])
def test_whatever_has_the_name_of_the_folder_keeps_nobody_from_a_backup(
    manager: RecoveryManager, program: Program, tmp_path: Path, kind: str, *, command: bool
) -> None:
    """It is somebody's own, and neither a backup nor a restore of anything else has to do with it."""
    folder = tmp_path / "backups.dumps"
    ODD[kind](folder)
    before = folder.lstat().st_mode
    if command:
        manager.data_backup.add_command("pg", "echo dump")
    for _ in range(2):
        backup = manager.get_backup(manager.create_backup())
        assert (backup.status, backup.problems) == (BackupStatus.SUCCESS, [])
    manager.prune(RetentionPolicy(last=1))
    assert manager.drill().ok
    manager.restore(backup.backup_id, data=True, restore_to=tmp_path / "out")
    assert (tmp_path / "out" / "data" / "pg.sql").exists() == command
    (program.trades / "1.csv").write_text("changed")
    manager.restore(backup.backup_id, config=False, data=True, paths=[str(program.trades)])
    assert (program.trades / "1.csv").read_text() != "changed"
    assert folder.lstat().st_mode == before
