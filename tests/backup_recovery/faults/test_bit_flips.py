"""Damage to any file of a repository is found, and stops a restore before it touches anything."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty.driving import NIGHTLY
from faulty.world import World, let_times_pass, snapshot

from peak_observe.backup_recovery import BackupMetadata, RecoveryManager
from peak_observe.errors import BackupCorruptError, BackupError, BackupNotFoundError

METADATA = "metadata.json"


def flipped(place: float) -> Callable[[Path], None]:
    """Return what flips a bit: of the first byte, of the last, or in between."""

    def flip(path: Path) -> None:
        text = bytearray(path.read_bytes())
        text[int(place * (len(text) - 1))] ^= 1
        rewritten(path, bytes(text))

    return flip


def rewritten(path: Path, text: bytes) -> None:
    """Give a file other content and the mode and time it had, without the help of its links."""
    status = path.stat()
    path.unlink()
    path.write_bytes(text)
    path.chmod(status.st_mode & 0o7777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def linked_elsewhere(path: Path) -> None:
    """Put a symbolic link to a true copy in the place of a file."""
    copy = path.parents[3] / "elsewhere"
    shutil.copy2(path, copy)
    path.unlink()
    path.symlink_to(copy)


def piped(path: Path) -> None:
    """Put a pipe in the place of a file; whoever opens it to read waits for a writer."""
    path.unlink()
    os.mkfifo(path)


def foldered(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "first byte": flipped(0),
    "a byte": flipped(0.37),
    "last byte": flipped(1),
    "cut": lambda path: rewritten(path, path.read_bytes()[:-1]),
    "longer": lambda path: rewritten(path, path.read_bytes() + b"\n"),
    "gone": Path.unlink,
    "link": linked_elsewhere,
    "folder": foldered,
    "pipe": piped,
}


@pytest.fixture(scope="module")
def world(new_world: Callable[[], World]) -> World:
    """Return a world with a full backup, one that is linked to it, and one that is based on it; live files differ."""
    world = new_world()
    let_times_pass()
    world.backup()
    (world.live / "config" / "limits.json").write_text("{}")
    world.backup()
    world.backup(incremental=True)
    shutil.rmtree(world.live / "data")
    (world.live / "data").mkdir()
    (world.live / "data" / "trades.csv").write_text("now")
    world.keep()
    return world


def files(world: World) -> list[Path]:
    """Return every file of every backup, relative to the repository."""
    found = [Path(where, name) for where, _, names in os.walk(world.repo) for name in names]
    kept = [path.relative_to(world.repo) for path in found if path.is_file() and not path.is_symlink()]
    return sorted(path for path in kept if path.parts[0].startswith("backup_"))


def harmed(world: World) -> Iterator[tuple[str, Path]]:
    """Yield one damage after the other, each in a repository that is else as it was."""
    for number, path in enumerate(files(world)):
        # All files that are read in their own way have every damage; the others share them out, but for a night's run.
        special = NIGHTLY or path.parts[1] != "data"
        for name, damage in list(DAMAGES.items())[0 if special else number % 3 :: 1 if special else 3]:
            if name in ("first byte", "a byte", "last byte", "cut") and not (world.repo / path).stat().st_size:
                continue
            kept = world.base / "kept file"
            (world.repo / path).rename(kept)
            shutil.copy2(kept, world.repo / path)
            damage(world.repo / path)
            yield name, path
            _removed(world.repo / path)
            kept.rename(world.repo / path)


def _removed(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def holders(manager: RecoveryManager, path: Path) -> list[str]:
    """Return the backups that need a file."""
    return [path.parts[0]] + [item.backup_id for item in manager.list_backups() if item.base == path.parts[0]]


def test_any_damage_is_found_and_stops_a_restore(world: World) -> None:
    """Each file of each backup in nine ways: verify and restore say so, and live files keep content, mode and time."""
    before, count = snapshot(world.live), 0
    assert all(world.manager().verify_backup(item.backup_id).ok for item in world.manager().list_backups())
    for name, path in harmed(world):
        manager = world.manager()
        assert not manager.verify_backup(path.parts[0]).ok, (name, path)
        with pytest.raises((BackupCorruptError, BackupNotFoundError)):
            manager.restore(path.parts[0], data=True, state=True)
        assert snapshot(world.live) == before, (name, path)
        count += 1
    assert count > (200 if NIGHTLY else 120)


def test_damage_to_a_base_is_found_in_what_is_based_on_it(world: World) -> None:
    """An incremental backup names files of another one, and is as damaged as they are."""
    manager = world.manager()
    incremental = next(item for item in manager.list_backups() if item.base)
    path = world.repo / incremental.base / "data" / "data" / "same.txt"
    kept = path.read_bytes()
    rewritten(path, b"other" + kept[5:])
    assert not manager.verify_backup(incremental.backup_id).ok
    with pytest.raises(BackupCorruptError):
        manager.restore(incremental.backup_id, data=True)
    rewritten(path, kept)
    assert manager.verify_backup(incremental.backup_id).ok


def test_every_single_byte_of_the_metadata_counts(world: World) -> None:
    """Whichever byte changes, and however: the text is refused, and never read as something else."""
    text = (world.repo / files(world)[0].parts[0] / METADATA).read_bytes()
    for place in range(len(text)):
        for mask in (1, 0x20, 0x80):
            changed = text[:place] + bytes([text[place] ^ mask]) + text[place + 1 :]
            try:
                found = BackupMetadata.from_json(changed)
            except ValueError:
                continue
            assert found.checksum == "", changed  # and that is refused where there is a manifest


def test_a_strange_file_in_a_backup_is_found(world: World) -> None:
    """What is not in the manifest was not put there by a backup."""
    backup_id = files(world)[0].parts[0]
    stranger = world.repo / backup_id / "data" / "data" / "stranger"
    stranger.write_text("x")
    assert not world.manager().verify_backup(backup_id).ok
    stranger.unlink()


def test_a_backup_that_is_a_link_to_another_place_is_none(world: World) -> None:
    """A folder elsewhere is not read, however good it is."""
    backup_id = files(world)[0].parts[0]
    (world.repo / backup_id).rename(world.base / backup_id)
    (world.repo / backup_id).symlink_to(world.base / backup_id)
    manager = world.manager()
    assert backup_id not in [item.backup_id for item in manager.list_backups()]
    with pytest.raises(BackupError):
        manager.restore(backup_id, data=True)
    (world.repo / backup_id).unlink()
    (world.base / backup_id).rename(world.repo / backup_id)


def test_the_last_backup_that_is_really_good_stays(new_world: Callable[[], World]) -> None:
    """The newest are known to be corrupt: to keep one keeps the one before them."""
    world = new_world()
    good = world.backup()
    for _ in range(2):
        damaged = world.backup()
        flipped(0)(world.repo / damaged / "config" / "app.toml")
        assert not world.manager().verify_backup(damaged).ok
    world.manager().cleanup_old_backups(keep_count=0)
    assert good in [item.backup_id for item in world.manager().list_backups()]
    assert world.manager().verify_backup(good).ok


def test_what_is_based_on_a_corrupt_backup_is_not_the_last_good_one(new_world: Callable[[], World]) -> None:
    """An incremental backup without its base restores nothing."""
    world = new_world()
    good = world.backup()
    let_times_pass()
    (world.live / "data" / "empty.txt").write_text("no more")
    base = world.backup()
    world.backup(incremental=True)
    flipped(0)(world.repo / base / "config" / "app.toml")
    world.manager().verify_backup(base)
    world.manager().cleanup_old_backups(keep_count=0)
    assert good in [item.backup_id for item in world.manager().list_backups()]


REMOVED: dict[str, Callable[[World, str], object]] = {
    "by hand": lambda world, name: shutil.rmtree(world.repo / name),
    "by its name": lambda world, name: world.manager().delete_backup(name),
    "by prune": lambda world, name: world.manager().cleanup_old_backups(keep_count=1),
}


@pytest.mark.parametrize("remove", REMOVED.values(), ids=REMOVED)
def test_the_backup_after_a_corrupt_one_that_is_gone_shares_nothing_that_is_damaged(
    new_world: Callable[[], World], remove: Callable[[World, str], object]
) -> None:
    """What was known of it may be true of those that linked to the same files, until they are read."""
    world = new_world()
    let_times_pass()
    oldest = world.backup()
    newest = world.backup()
    stored = world.repo / newest / "data" / "data" / "same.txt"
    stored.chmod(0o644)
    stored.write_text("Always the same\n")
    assert not world.manager().verify_backup(newest).ok
    remove(world, newest)
    after = world.backup()
    assert world.manager().verify_backup(after).ok
    assert world.manager().get_backup(after).good
    assert not (world.repo / oldest).exists() or not world.manager().verify_backup(oldest).ok


def test_the_backup_after_a_corrupt_one_shares_nothing_that_is_damaged(new_world: Callable[[], World]) -> None:
    """Two backups link to one damaged file, of one it is known: the next one reads the source again."""
    world = new_world()
    let_times_pass()
    world.backup()
    newest = world.backup()
    stored = world.repo / newest / "data" / "data" / "same.txt"
    assert stored.stat().st_nlink == 4  # two names in each of two backups
    stored.chmod(0o644)
    stored.write_text("Always the same\n")
    assert not world.manager().verify_backup(newest).ok
    after = world.backup()
    assert world.manager().verify_backup(after).ok
    assert world.manager().get_backup(after).good
