"""What lies beside a repository under the name of the folder of restored dumps."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe.backup_recovery import BackupStatus, RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.repository.leftovers import clear_dumps

from ..conftest import Program, picture


def marked(folder: Path, text: str = "pg.sql") -> None:
    """Leave what a run of an earlier version left when it was killed."""
    folder.mkdir(0o700)
    (folder / ".taking").write_text(text)
    (folder / "pg.sql").write_text("half a du")
    (folder / "other.sql").write_text("restored")


def taking_folder(folder: Path) -> None:
    """Put a folder in the place of the mark."""
    (folder / ".taking").mkdir(0o700, parents=True)


def dump_folder(folder: Path) -> None:
    """Put a folder in the place of a dump."""
    (folder / "pg.sql").mkdir(0o700, parents=True)
    (folder / ".taking").write_text("pg.sql")


def taking_link(folder: Path) -> None:
    """Put a link in the place of the mark, which leads nowhere."""
    folder.mkdir(0o700)
    (folder / ".taking").symlink_to(".taking")


ODD: dict[str, Callable[[Path], object]] = {
    "file": lambda folder: folder.write_text("mine"),
    "loop": lambda folder: folder.symlink_to(folder.name),
    "dead link": lambda folder: folder.symlink_to("nothing"),
    "pipe": lambda folder: os.mkfifo(folder, 0o600),
    "empty folder": lambda folder: folder.mkdir(0o700),
    "folder for the mark": taking_folder,
    "link for the mark": taking_link,
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


def test_what_a_killed_run_of_an_earlier_version_left_goes(manager: RecoveryManager, tmp_path: Path) -> None:
    """Its mark lists it; whatever else is in the folder stays, as do files that the mark has no right to name."""
    folder = tmp_path / "backups.dumps"
    text = "pg.sql\n../program/data/positions.csv\n../program/x.sql\nnul\0.sql\n\udcff.sql\n/etc/x.sql"
    marked(folder, text.encode("utf-8", "surrogateescape").decode("latin-1"))
    (tmp_path / "program" / "x.sql").write_text("x")
    manager.create_backup()
    assert [path.name for path in folder.iterdir()] == ["other.sql"]
    assert (tmp_path / "program" / "x.sql").exists()
    (folder / "other.sql").unlink()
    (folder / ".taking").write_text("gone.sql")
    manager.prune(RetentionPolicy(last=1))
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["link", "writable", "of another", "mark of another"])
def test_what_others_can_have_made_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """They must not choose what is removed, and a warning each night would be theirs to raise."""
    folder = tmp_path / "backups.dumps"
    marked(folder)
    if kind == "link":
        folder = folder.rename(tmp_path / "victim")
        (tmp_path / "backups.dumps").symlink_to("victim")
    elif kind == "writable":
        folder.chmod(0o770)
    elif os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    else:
        os.chown(folder if kind == "of another" else folder / ".taking", 4711, 4711)
    before = picture(tmp_path)
    clear_dumps(tmp_path / "backups.dumps")
    assert picture(tmp_path) == before
    assert stat.S_ISDIR(folder.stat().st_mode)
    assert not caplog.messages
