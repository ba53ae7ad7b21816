"""Times of files: a restore brings them back, also where nothing else of a file has changed."""

import os
import time
from pathlib import Path

import pytest

from peak_observe import RecoveryManager
from peak_observe.backup_recovery.restore import transaction
from peak_observe.backup_recovery.restore.plan import is_time

from ..conftest import OLD, Program, as_user

SECOND = 1_000_000_000
BOT = 1


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


def touch(program: Program) -> tuple[Path, ...]:
    """Give files and a symbolic link another time, and return their paths."""
    paths = (program.data / "latest", program.trades / "1.csv", program.trades / "2.csv")
    for path in paths:
        os.utime(path, (7, 7), follow_symlinks=False)
    return paths


def times(*paths: Path) -> list[int]:
    """Return the times of what is at these paths."""
    return [path.lstat().st_mtime_ns for path in paths]


def test_a_file_that_was_only_touched_gets_its_time_back(manager: RecoveryManager, program: Program) -> None:
    """It is not replaced for that; dry run and comparison name it, and afterwards nothing differs."""
    backup_id = manager.create_backup(include_data=True)
    link = (program.data / "latest").lstat().st_mtime_ns
    touched = touch(program)
    inodes, names = [path.lstat().st_ino for path in touched], tuple(map(str, touched))
    plan = manager.restore(backup_id, data=True, dry_run=True).plan
    assert (plan.times, plan.replaced, set(names) <= set(plan.same)) == (names, (), True)
    assert str(plan).endswith(", 3 times")
    assert manager.diff(backup_id).times == names
    assert times(*touched) == [7 * SECOND] * 3
    assert manager.restore(backup_id, data=True).plan == plan
    assert times(*touched) == [link, OLD * SECOND, OLD * SECOND]
    assert [path.lstat().st_ino for path in touched] == inodes
    assert manager.restore(backup_id, data=True, dry_run=True).plan.times == ()
    assert manager.diff(backup_id).times == ()


@pytest.mark.parametrize("before", [-(2**34), -1, 0, OLD, 10**10])
@pytest.mark.parametrize("now", [-(2**34), 0, 7, 10**10])
def test_any_time_comes_back(manager: RecoveryManager, program: Program, before: int, now: int) -> None:
    """The first moment of 1970, and those for which 64 bits have no room in nanoseconds."""
    file = program.trades / "1.csv"
    os.utime(file, (before, before))
    kept = times(file)
    backup_id = manager.create_backup(include_data=True)
    os.utime(file, (now, now))
    touched = (str(file),) if times(file) != kept else ()
    assert manager.restore(backup_id, data=True).plan.times == touched
    assert times(file) == kept
    assert manager.diff(backup_id).times == ()


def test_a_file_that_changes_meanwhile_keeps_its_time(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that came after the comparison must not look older than it is."""
    backup_id = manager.create_backup(include_data=True)
    first, second = touch(program)[1:]
    finish = transaction.finish_folders

    def late(journal: object) -> None:
        first.write_text("meanwhile\n")
        finish(journal)

    began = time.time_ns() - SECOND
    monkeypatch.setattr(transaction, "finish_folders", late)
    manager.restore(backup_id, data=True)
    assert times(first)[0] > began
    assert times(second) == [OLD * SECOND]


def test_a_restore_that_is_taken_back_leaves_times_as_they_were(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or nothing holds for them too, and a crash after all files were new sets them."""
    backup_id = manager.create_backup(include_data=True)
    touched = touch(program)[1:]
    program.write(program.trades / "0.csv", "wrong\n")

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "change_folders", failing)
        assert not manager.restore_backup(backup_id, restore_data=True)
    assert times(*touched) == [7 * SECOND] * 2
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "finish_folders", failing)
        manager.restore(backup_id, data=True)
    assert times(*touched) == [7 * SECOND] * 2
    RecoveryManager(manager.backup_root)
    assert times(*touched) == [OLD * SECOND] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_the_time_of_somebody_elses_file_stays(manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
    """Only its owner may set it, so that nothing is promised either."""
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "first")  # loads all that the child needs
    mine, other = touch(program)[1:]
    os.chown(mine, BOT, BOT)
    for path in (manager.backup_root, *manager.backup_root.rglob("*")):
        os.chown(path, BOT, BOT, follow_symlinks=False)

    def act() -> None:
        user = RecoveryManager(manager.backup_root)
        user.data_backup.add_data_path(program.data)
        assert user.restore(backup_id, config=False, data=True).plan.times == (str(mine),)

    as_user(BOT, act)
    assert times(mine, other) == [OLD * SECOND, 7 * SECOND]


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (1_500_000_001_234_567_891, True),
        (1_500_000_001_234_567_800, True),
        (1_500_000_001_234_567_000, True),
        (1_500_000_001_000_000_000, True),
        (1_500_000_000_000_000_000, True),
        (1_500_000_001_234_567_890, False),
        (1_500_000_002_000_000_000, False),
        (1_499_999_998_000_000_000, False),
    ],
)
def test_a_time_is_as_exact_as_its_file_system(found: int, same: bool) -> None:
    """Some keep whole or even seconds, or micro-seconds: what they have kept would else differ for ever."""
    assert is_time(1_500_000_001_234_567_891, found) == same
