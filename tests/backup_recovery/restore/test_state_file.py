"""Files that the state cannot go to are refused before anything changes, by a dry run and a real one alike."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import RecoveryManager, RestoreRefusedError

from ..conftest import Program, as_user, picture

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root sets attributes and becomes another user")
BOT = 1


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


def named(root: Path, program: Program) -> RecoveryManager:
    """Return a manager for whom the data and the state are named."""
    made = RecoveryManager(root)
    made.data_backup.add_data_path(program.data)
    made.state_snapshot.register_provider("bot", lambda: {"orders": 2})
    return made


@pytest.fixture
def backup_id(program: Program, tmp_path: Path) -> str:
    """Return a backup of a program whose files another user may restore into, one of which has changed since."""
    found = named(tmp_path / "backups", program).create_backup(include_data=True)
    program.write(program.trades / "1.csv", "after\n")
    (tmp_path / "state").mkdir()
    return found


def hand_over(*paths: Path) -> None:
    """Give files and folders to the other user."""
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", *map(str, paths)], check=True)


def refused(manager: RecoveryManager, backup_id: str, file: Path, **options: object) -> str:
    """Return what a dry run and a real one say alike, before anything has changed."""
    said = []
    for dry_run in (True, False):
        with pytest.raises(RestoreRefusedError) as caught:
            manager.restore(backup_id, config=False, data=True, state_file=file, dry_run=dry_run, **options)
        assert caught.value.reasons == ("state_file",)
        said.append(str(caught.value))
    assert said[0] == said[1]
    return said[0]


@as_root
@pytest.mark.parametrize(("what", "name"), [("file", "i"), ("file", "a"), ("folder", "a"), ("folder", "i")])
def test_an_attribute_refuses_the_state(
    program: Program, tmp_path: Path, backup_id: str, bound: Callable[[Path, str], None], what: str, name: str
) -> None:
    """It would be told after the files were restored, and leave the state in a file of another name."""
    file = program.write(tmp_path / "state" / "st.json", "mine") or tmp_path / "state" / "st.json"
    bound(file if what == "file" else file.parent, name)
    before = picture(tmp_path / "state"), program.picture()
    said = refused(named(tmp_path / "backups", program), backup_id, file)
    assert f"chattr -{name}" in said or "lsattr" in said
    assert (picture(tmp_path / "state"), program.picture()) == before


@as_root
def test_a_state_that_is_there_already_needs_no_write(
    program: Program, tmp_path: Path, backup_id: str, bound: Callable[[Path, str], None]
) -> None:
    """Nothing is refused for what does not change."""
    file = tmp_path / "state" / "st.json"
    manager = named(tmp_path / "backups", program)
    manager.restore(backup_id, config=False, data=True, state_file=file)
    bound(file, "i")
    for dry_run in (True, False):
        report = manager.restore(backup_id, config=False, data=True, state_file=file, dry_run=dry_run)
        assert str(file) in report.plan.same


@as_root
def test_somebody_elses_file_in_a_sticky_folder_takes_no_state(
    program: Program, tmp_path: Path, backup_id: str
) -> None:
    """It cannot be renamed over."""
    manager = named(tmp_path / "backups", program)
    manager.restore(backup_id, config=False, data=True, restore_to=tmp_path / "first")  # loads what the child needs
    file = tmp_path / "state" / "st.json"
    program.write(file, "mine")
    file.chmod(0o666)
    file.parent.chmod(0o1777)
    hand_over(tmp_path / "backups", program.folder)
    before = program.picture()

    def act() -> None:
        said = refused(named(tmp_path / "backups", program), backup_id, file)
        assert "sticky" in said

    as_user(BOT, act)
    assert program.picture() == before
    assert file.read_text() == "mine"


@as_root
@pytest.mark.parametrize("where", ["new", "changed", "there", "above"])
def test_a_folder_that_closes_before_the_state_is_written_takes_none(
    program: Program, tmp_path: Path, where: str
) -> None:
    """The backup has it without the right to write, or has it so already, or one above it lets nobody through."""
    (tmp_path / "state").mkdir()
    (program.trades / "below").mkdir()
    program.trades.chmod(0o444 if where == "above" else 0o555)
    manager = named(tmp_path / "backups", program)
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, config=False, data=True, restore_to=tmp_path / "first")  # loads what the child needs
    program.write(program.trades / "1.csv", "after\n")
    if where == "changed":
        program.trades.chmod(0o755)
    hand_over(tmp_path / "backups", program.folder, tmp_path / "state")
    new = tmp_path / "state" / "data"
    moved = {str(program.data): str(new)} if where in ("new", "above") else {}
    folder = (new if moved else program.data) / "trades"
    file = folder / "below" / "st.json" if where == "above" else folder / "st.json"
    before = program.picture()
    as_user(BOT, lambda: refused(named(tmp_path / "backups", program), backup_id, file, moved=moved))
    assert program.picture() == before
    assert not list((tmp_path / "state").iterdir())


@as_root
def test_a_folder_that_opens_takes_the_state(program: Program, tmp_path: Path) -> None:
    """The backup has it with the right to write; as root, any does."""
    manager = named(tmp_path / "backups", program)
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, config=False, data=True, restore_to=tmp_path / "first")  # loads what the child needs
    program.trades.chmod(0o555)
    hand_over(tmp_path / "backups", program.folder)
    file = program.trades / "st.json"

    def act() -> None:
        named(tmp_path / "backups", program).restore(backup_id, config=False, data=True, state_file=file)

    as_user(BOT, act)
    assert file.exists()
    assert stat.S_IMODE(program.trades.stat().st_mode) == 0o755
    program.trades.chmod(0o555)
    closed = named(tmp_path / "backups", program)
    second = closed.create_backup(include_data=True)
    other = program.trades / "other.json"
    closed.restore(second, config=False, data=True, state_file=other)
    assert other.exists()


def test_a_name_without_room_for_the_file_on_its_way_takes_no_state(
    program: Program, tmp_path: Path, backup_id: str
) -> None:
    """The state is written beside it first, under a longer name."""
    said = refused(named(tmp_path / "backups", program), backup_id, tmp_path / "state" / ("n" * 250))
    assert "too long for a file on its way beside it" in said
