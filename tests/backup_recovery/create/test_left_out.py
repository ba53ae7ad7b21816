"""Whatever is named is in a backup, unless somebody says otherwise; then the backup says so."""

import shutil
from pathlib import Path

import pytest
from msgspec import UNSET

from peak_observe.backup_recovery import (
    BackupSchedule,
    BackupStatus,
    BackupType,
    Problem,
    RecoveryManager,
    RetentionPolicy,
)
from peak_observe.errors import BackupError
from peak_observe.testing import ManualClock

from ..conftest import Program


def test_by_default_everything_named_is_in_it(manager: RecoveryManager) -> None:
    """The data too, and the drill proves all of it."""
    backup = manager.get_backup(manager.create_backup())
    assert (backup.backup_type, set(backup.parts)) == (BackupType.FULL, {"config", "data", "state"})
    assert backup.left_out == []
    assert manager.drill().files == 6


@pytest.mark.parametrize(
    ("arguments", "kind", "parts"),
    [
        ({"include_data": False}, "config", {"config", "state"}),
        ({"include_config": False}, "data", {"data", "state"}),
        ({"include_config": False, "include_data": False}, "state", {"state"}),
        ({"include_state": False}, "full", {"config", "data"}),
    ],
)
def test_what_is_left_out_is_told(
    manager: RecoveryManager, arguments: dict[str, bool], kind: str, parts: set[str]
) -> None:
    """In words beside the problems, in the parts, and in the type."""
    backup = manager.get_backup(manager.create_backup(**arguments))
    assert backup.good
    assert (backup.backup_type.value, set(backup.parts)) == (kind, parts)
    assert backup.left_out == [
        Problem(part, f"is named, and was left out by include_{part}=False")
        for part in ("config", "data", "state")
        if part not in parts
    ]


def test_data_that_is_asked_for_and_not_named_is_told(tmp_path: Path, program: Program) -> None:
    """It was asked for in vain."""
    manager = RecoveryManager(tmp_path / "backups")
    manager.config_backup.add_config(program.config)
    backup = manager.get_backup(manager.create_backup(include_data=True))
    assert list(map(str, backup.left_out)) == ["data: was asked for by include_data=True, and nothing is named for it"]
    assert manager.get_backup(manager.create_backup()).left_out == []


@pytest.mark.parametrize("arguments", [{}, {"include_data": True}, {"include_config": False}])
def test_a_backup_of_nothing_is_an_error(tmp_path: Path, arguments: dict[str, bool]) -> None:
    """With the mend; nothing is listed, and nothing counts as a run."""
    manager = RecoveryManager(tmp_path / "backups")
    with pytest.raises(ValueError, match=r"nothing is named for .*data\. Use config_backup\.add_config\(\)"):
        manager.create_backup(**arguments)
    assert manager.list_backups() == []
    assert not any(manager._repository.ledger.load().runs.values())


def test_what_is_named_for_another_part_does_not_help(manager: RecoveryManager) -> None:
    """A backup of the state alone, where there is none."""
    manager.state_snapshot._state_providers.clear()
    with pytest.raises(ValueError, match="nothing is named for state"):
        manager.create_backup(include_config=False, include_data=False)


def test_a_success_without_the_data_is_not_the_last_success(manager: RecoveryManager) -> None:
    """Of all that is named, or of what is asked for."""
    full = manager.get_backup(manager.create_backup()).created
    config = manager.get_backup(manager.create_backup(include_data=False)).created
    assert manager.last_success() == full
    assert manager.last_success(include_data=False) == config
    assert manager.last_success(include_config=False, include_state=False) == full


def test_a_schedule_does_not_take_a_backup_of_the_configuration_for_its_own(tmp_path: Path, program: Program) -> None:
    """One that somebody made by hand a moment ago holds no data."""
    clock = ManualClock()
    manager = RecoveryManager(tmp_path / "backups", clock=clock)
    manager.config_backup.add_config(program.config)
    manager.data_backup.add_data_path(program.data)
    manager.create_backup()
    clock.advance(7200)
    manager.create_backup(include_data=False)
    assert BackupSchedule(manager, every=3600, clock=clock)._due() == 0.0
    assert BackupSchedule(manager, every=3600, clock=clock, include_data=False)._due() > 0.0


@pytest.mark.parametrize("exclude", ["*", "*.csv", "day/"])
def test_a_backup_of_which_all_is_left_out_is_none(tmp_path: Path, exclude: str) -> None:
    """A backup of nothing is no success; a folder without files is what it is, and one file is enough."""
    data = tmp_path / "data"
    file = data / "day" / "trades.csv"
    Program.write(file, "1,64000\n")
    manager = RecoveryManager(tmp_path / "backups", exclude=[exclude])
    manager.data_backup.add_data_path(data)
    why = "everything in it is excluded, or in caches and repositories of backups"
    with pytest.raises(BackupError, match=f"^no backup was made: {data}: {why}$"):
        manager.create_backup()
    assert manager.list_backups()[0].status is BackupStatus.FAILED
    other = tmp_path / "other"
    Program.write(other / "x", "x")
    manager.config_backup.add_config(other)
    if exclude != "*":
        backup = manager.get_backup(manager.create_backup())
        assert backup.good
        assert Problem("folders without a file in the backup", f"{data}: {why}") in backup.left_out
        (other / "x").unlink()
    shutil.rmtree(data / "day")
    (other / "x").unlink(missing_ok=True)
    assert manager.get_backup(manager.create_backup()).good


@pytest.mark.parametrize("how", ["emptied", "excluded"])
def test_the_last_good_backup_with_files_of_a_folder_is_not_pruned(tmp_path: Path, how: str) -> None:
    """A newer good one may hold nothing of it, as after an umount, and says so."""
    data, other = tmp_path / "data", tmp_path / "other"
    Program.write(data / "x", "x")
    Program.write(other / "x", "x")
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(data)
    manager.config_backup.add_config(other)
    manager.create_backup()
    full = manager.get_backup(manager.create_backup())
    assert full.empty is UNSET
    if how == "emptied":
        (data / "x").rename(tmp_path / "x")
        (data / "folder").mkdir()
    else:
        (other / "x").rename(other / "y")
        manager = RecoveryManager(tmp_path / "backups", exclude=["x"])
        manager.data_backup.add_data_path(data)
        manager.config_backup.add_config(other)
    for _ in range(2):
        backup = manager.get_backup(manager.create_backup())
        assert (backup.good, backup.empty) == (True, [str(data)])
        assert any(str(data) in str(problem) for problem in backup.left_out)
    assert [kept.backup for kept in manager.prune(RetentionPolicy(last=1)).keep] == [backup, full]
