"""Paths that are nearly as long as the system takes: all or nothing, and nothing is left that cannot end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from peak_observe import RecoveryManager, RestoreRefusedError
from peak_observe.backup_recovery.restore.journal import Journal, Step
from peak_observe.backup_recovery.restore.layout import LONGEST


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in which a file with a name of one character has a path of 4085 bytes."""
    before, path = Path.cwd(), tmp_path / "d"
    path.mkdir()
    os.chdir(path)
    left = LONGEST - 10 - len(os.fsencode(path)) - len("/f")
    while left:
        name = "z" * (left - 1 if left <= 200 else min(199, left - 3))
        Path(name).mkdir()
        os.chdir(name)
        left -= len(name) + 1
        path /= name
    yield path
    os.chdir(before)


@pytest.mark.parametrize("change", ["new", "replaced", "new folder"])
def test_a_path_without_room_for_a_file_beside_it_is_refused(tmp_path: Path, deep: Path, change: str) -> None:
    """Before anything is touched, and the next use of the repository is not hindered."""
    path = Path("g/h" if change == "new folder" else "f")
    path.parent.mkdir(exist_ok=True)
    path.write_text("right")
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(deep)
    backup_id = manager.create_backup(include_config=False, include_data=True, include_state=False)
    if change == "replaced":
        path.write_text("wrong")
    else:
        path.unlink()
    if change == "new folder":
        path.parent.rmdir()
    before = list(Path().iterdir())
    with pytest.raises(RestoreRefusedError, match="this path is too long for a file on its way beside it") as caught:
        manager.restore(backup_id, config=False, data=True, dry_run=True)
    assert caught.value.reasons == ("blocked",)
    assert list(Path().iterdir()) == before
    RecoveryManager(tmp_path / "backups").restore(backup_id, config=False, data=True, restore_to=tmp_path / "other")


@pytest.mark.parametrize("phase", ["staging", "undoing"])
def test_a_step_that_cannot_have_begun_is_undone(tmp_path: Path, deep: Path, phase: str) -> None:
    """Earlier versions left such a journal."""
    Path("f").write_text("mine")
    steps = [Step(f"{deep}/f-wal", goes=True), Step(f"{deep}/f"), Step(f"{deep}/t", tree=True)]
    RecoveryManager(tmp_path / "backups")
    journal = tmp_path / "backups" / ".peak-observe" / f"restore-x.{phase}.json"
    journal.write_bytes(Journal("x", "backup_1", [], steps).to_json())
    RecoveryManager(tmp_path / "backups")
    assert not journal.exists()
    assert list(Path().iterdir()) == [Path("f")]
