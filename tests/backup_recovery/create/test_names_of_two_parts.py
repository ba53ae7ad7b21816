"""One file that is named in two parts of a backup, by hard links."""

import os
from pathlib import Path

import pytest

from peak_observe import RecoveryManager

from ..conftest import Program


@pytest.fixture
def both(tmp_path: Path, program: Program) -> tuple[RecoveryManager, Path, Path]:
    """Return a manager, and the names of one file below a path of the configuration and one of the data."""
    one, other = program.config, program.data / "config.toml"
    os.link(one, other)
    manager = RecoveryManager(tmp_path / "backups")
    manager.config_backup.add_config(one)
    manager.data_backup.add_data_path(program.data)
    return manager, one, other


def stored(manager: RecoveryManager, backup_id: str) -> tuple[Path, Path]:
    """Return where both names are stored."""
    folder = manager.backup_root / backup_id
    return folder / "config" / "config.toml", folder / "data" / "data" / "config.toml"


def test_it_is_stored_once_and_comes_back_as_one_file(both) -> None:
    """Whoever writes to one name changes the other, after a restore too."""
    manager, one, other = both
    backup_id = manager.create_backup()
    assert len({path.stat().st_ino for path in stored(manager, backup_id)}) == 1
    one.unlink()
    other.unlink()
    manager.restore(backup_id, config=True, data=True)
    assert one.samefile(other)
    assert one.read_text() == "pair = 'BTC/USD'\n"


@pytest.mark.parametrize("part", ["config", "data"])
def test_a_part_by_itself_has_the_content(both, part: str) -> None:
    """Also the one whose file is a link to that of the other part."""
    manager, one, other = both
    backup_id = manager.create_backup()
    one.unlink()
    other.unlink()
    manager.restore(backup_id, config=part == "config", data=part == "data")
    back, away = (one, other) if part == "config" else (other, one)
    assert back.read_text() == "pair = 'BTC/USD'\n"
    assert not away.exists()


def test_names_that_part_between_two_backups_are_stored_apart(both) -> None:
    """And a backup of unchanged names keeps them together."""
    manager, one, other = both
    manager.create_backup()
    again = manager.create_backup()
    assert len({path.stat().st_ino for path in stored(manager, again)}) == 1
    other.unlink()
    other.write_text("another\n")
    apart = manager.create_backup()
    one.unlink()
    other.unlink()
    manager.restore(apart, config=True, data=True)
    assert (one.read_text(), other.read_text()) == ("pair = 'BTC/USD'\n", "another\n")


def test_they_go_to_two_file_systems(both, tmp_path: Path, memory: Path) -> None:
    """Where no link can be made, each gets the content."""
    manager, one, other = both
    backup_id = manager.create_backup()
    moved = {str(one.parent): str(tmp_path / "new"), str(other.parent): str(memory / "new")}
    manager.restore(backup_id, config=True, data=True, moved=moved)
    assert (tmp_path / "new" / "config.toml").read_text() == (memory / "new" / "config.toml").read_text()
