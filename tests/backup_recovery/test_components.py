"""Configuration and data by themselves, into a folder and back."""

import logging
import os
import sqlite3
from pathlib import Path

import pytest

from peak_observe import ConfigBackup, DataBackup, RestoreRefusedError

from .conftest import Program, picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that does not exist yet."""
    return tmp_path / "copies" / "config"


def test_what_is_named_is_a_list() -> None:
    """As the original's was; twice is once."""
    backup = ConfigBackup([Path("config.toml")])
    backup.add_config(Path("config.toml"))
    backup.add_config("other.toml")
    assert backup.config_paths == [Path("config.toml"), Path("other.toml")]
    assert ConfigBackup().config_paths == []
    assert DataBackup([Path("data")]).data_paths == [Path("data")]


def test_configuration_is_copied_and_comes_back(program: Program, folder: Path) -> None:
    """Under its own name, with mode and time."""
    program.config.chmod(0o600)
    before = program.picture()
    backup = ConfigBackup([program.config])
    assert backup.backup(folder) == 1
    assert (folder / "config.toml").read_text() == "pair = 'BTC/USD'\n"
    program.config.write_text("changed")
    assert backup.restore(folder) == 1
    assert program.picture() == before


def test_data_is_copied_and_comes_back(program: Program, folder: Path) -> None:
    """Files, folders, empty ones and links."""
    before = program.picture()
    backup = DataBackup()
    backup.add_data_path(program.data)
    size = sum(path.stat().st_size for path in program.data.rglob("*.csv") if not path.is_symlink())
    assert backup.backup(folder) == (4, size)
    (program.trades / "0.csv").unlink()
    (program.trades / "1.csv").write_text("changed")
    (program.data / "latest").unlink()
    assert backup.restore(folder) == 4
    assert program.picture() == before


def test_again_replaces_what_is_there(program: Program, folder: Path) -> None:
    """Nothing else lies in the folder afterwards."""
    backup = ConfigBackup([program.config])
    backup.backup(folder)
    program.config.write_text("new")
    assert backup.backup(folder) == 1
    assert [path.name for path in folder.iterdir()] == ["config.toml"]
    assert (folder / "config.toml").read_text() == "new"


def test_a_dry_run_counts_only(program: Program, folder: Path) -> None:
    """Nothing changes."""
    backup = DataBackup([program.data])
    backup.backup(folder)
    (program.trades / "0.csv").unlink()
    before = program.picture()
    assert backup.restore(folder, dry_run=True) == 4
    assert program.picture() == before


def test_what_is_missing_is_logged(program: Program, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And not counted."""
    with caplog.at_level(logging.WARNING, "peak_observe.backup"):
        assert ConfigBackup([program.folder / "none"]).backup(folder) == 0
    assert caplog.messages == [f"not backed up: {program.folder / 'none'}: is missing"]


def test_copies_of_somebody_else_come_back(tmp_path: Path) -> None:
    """The original code base wrote no more than the files."""
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "config.toml").write_text("restored = true")
    (tmp_path / "copies" / "other").write_text("not named")
    assert ConfigBackup([tmp_path / "config.toml"]).restore(tmp_path / "copies") == 1
    assert (tmp_path / "config.toml").read_text() == "restored = true"
    assert not (tmp_path / "other").exists()
    assert ConfigBackup([tmp_path / "config.toml"]).restore(tmp_path / "none") == 0


def test_a_folder_in_the_way_is_refused(program: Program, folder: Path) -> None:
    """Nothing is touched, and the message says what to do."""
    backup = ConfigBackup([program.config])
    backup.backup(folder)
    program.config.unlink()
    program.config.mkdir()
    with pytest.raises(RestoreRefusedError, match="move it away"):
        backup.restore(folder)
    assert program.config.is_dir()


def test_files_of_one_name_do_not_meet(tmp_path: Path, folder: Path) -> None:
    """Each comes back to where it was."""
    paths = [tmp_path / "a" / "x.toml", tmp_path / "b" / "x.toml"]
    for path in paths:
        Program.write(path, path.parent.name)
    backup = ConfigBackup(paths)
    assert backup.backup(folder) == 2
    before = picture(tmp_path / "a"), picture(tmp_path / "b")
    for path in paths:
        path.unlink()
    assert backup.restore(folder) == 2
    assert (picture(tmp_path / "a"), picture(tmp_path / "b")) == before


def test_a_database_is_taken_whole(tmp_path: Path, folder: Path) -> None:
    """With what is in its log only."""
    database = sqlite3.connect(tmp_path / "db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (x)")
    database.commit()
    assert DataBackup([tmp_path / "db"]).backup(folder)[0] == 1
    database.close()
    copy = sqlite3.connect(f"file:{folder}/db?immutable=1", uri=True)
    assert copy.execute("SELECT count(*) FROM t").fetchone() == (0,)
    copy.close()


def test_patterns_leave_out(program: Program, folder: Path) -> None:
    """For a part by itself too."""
    assert DataBackup([program.data], exclude=["trades/"]).backup(folder)[0] == 1


@pytest.mark.parametrize("what", ["command", "file", "file below"])
def test_an_older_copy_of_what_cannot_be_taken_stays_and_is_named(
    tmp_path: Path, folder: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the only one there is; nobody takes it for one of this run."""
    data, path = DataBackup(), tmp_path / "data" / "f"
    Program.write(path, "one\n")
    if what == "command":
        data.add_command("pg", "echo one")
    else:
        data.add_data_path(path if what == "file" else path.parent)
    assert data.backup(folder) == (1, 4)
    if what == "command":
        data.add_command("pg", "false")
    else:
        path.unlink()
        path.symlink_to("nothing") if what == "file" else os.mkfifo(path)
    copy = folder / {"command": "pg.sql", "file": "f", "file below": "data/f"}[what]
    with caplog.at_level(logging.WARNING, "peak_observe.backup"):
        assert data.backup(folder) == (0, 0)
    assert caplog.messages[-1].startswith("not backed up: ")
    assert caplog.messages[-1].endswith(f"; {copy} is the copy of an earlier run, which a restore brings back")
    assert copy.read_text() == "one\n"
