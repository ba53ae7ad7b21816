"""Between a crash and its recovery the world goes on: what is somebody else's by then stays."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from faulty.world import World

from peak_observe.backup_recovery.restore.journal import Journal, Step
from peak_observe.backup_recovery.restore.transaction import PHASES, Transaction
from peak_observe.errors import BackupError, BackupNotFoundError


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    """Return a world with one backup."""
    world = new_world()
    world.backup()
    return world


def left_behind(world: World, phase: str, *steps: Step) -> Path:
    """Leave the journal of a restore, as a crash in that phase would, and return its path."""
    path = Transaction(world.repo / ".peak-observe", Journal("x", "backup_1", [], list(steps)), phase).path
    path.write_bytes(Journal("x", "backup_1", [], list(steps)).to_json())
    return path


@pytest.mark.parametrize("phase", PHASES)
def test_a_file_that_got_the_number_of_a_removed_one_stays(phase: str, world: World) -> None:
    """File systems give the number of a removed file to the next one, which is that of a program that goes on."""
    target = world.live / "config" / "app.toml"
    journal = left_behind(world, phase, Step(str(target), target.stat().st_ino, 1))
    world.manager()
    assert target.read_text() == "version = 1\n"
    assert not journal.exists()


def test_the_log_of_a_database_that_is_in_use_again_stays(world: World) -> None:
    """All files were new when the crash came, and a program has opened the database since."""
    path = world.live / "data" / "orders.db"
    old = path.with_name(".peak-x-0.old")
    left_behind(world, "finishing", Step(f"{path}-wal", goes=True))
    old.write_text("the log of the old one")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("INSERT INTO orders VALUES (42)")
        database.commit()
        world.manager()
        assert not old.exists()
        assert (42,) in database.execute("SELECT number FROM orders").fetchall()
        assert path.with_name("orders.db-wal").exists()


def test_a_database_that_was_opened_since_the_crash_is_not_replaced(world: World) -> None:
    """Its user would go on writing to a file without a name: whoever wants to go on is told what to stop."""
    path = world.live / "data" / "orders.db"
    new = path.with_name(".peak-x-0.new")
    new.write_bytes(path.read_bytes())
    journal = left_behind(world, "swapping", Step(str(path), new.stat().st_ino, new.stat().st_mtime_ns))
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        inode = path.stat().st_ino
        with pytest.raises(BackupError, match=r"orders\.db"):
            world.manager()
        assert path.stat().st_ino == inode
        database.execute("COMMIT")
    world.manager()
    assert path.stat().st_ino != inode
    assert not journal.exists()


def test_a_backup_that_is_removed_while_it_is_verified_is_not_corrupt(world: World) -> None:
    """Its files go one by one, and a counter that says so would never fall again."""
    backup_id, kept = world.backup(), world.backup()
    other, begun = world.manager(), []

    def remove(_: object) -> None:
        if not begun:
            begun.append(True)
            assert other.delete_backup(backup_id)

    with pytest.raises(BackupNotFoundError, match="meanwhile"):
        other.verify_backup(backup_id, progress=remove)
    assert world.account().corrupt == {}
    assert world.manager().verify_backup(kept).ok


def test_a_folder_that_somebody_made_meanwhile_is_not_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restore that wanted to make it fails, and leaves it."""
    (world.live / "data" / "empty").rmdir()
    (world.live / "config" / "app.toml").unlink()
    made, rename = [], os.rename

    def meanwhile(path: str, to: str, **more: object) -> None:
        if str(to).endswith("/app.toml") and not made:
            made.append(to)
            (world.live / "data" / "empty").mkdir()
        rename(path, to, **more)

    monkeypatch.setattr(os, "rename", meanwhile)
    manager = world.manager()
    with pytest.raises(BackupError, match="nothing was restored, as writing failed: somebody made it meanwhile"):
        manager.restore(manager.list_backups()[0].backup_id, data=True)
    assert made
    assert (world.live / "data" / "empty").is_dir()
    assert not (world.live / "config" / "app.toml").exists()
    assert world.leftovers() == []
