"""A disk without a byte left locks nobody out: old backups can be removed, good ones restored, failures are counted."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from peak_observe.backup_recovery import RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.create import run
from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.repository.reading import reading_of
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import BackupError
from peak_observe.measures import BackupReading
from tests.conftest import binary

FAILED = 2  # the place of `failed` in the counts of a reading
SIZE = "4m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system (root): {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return data on another disk."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.csv").write_bytes(os.urandom(300_000))
    return folder


def manager_of(disk: Path, data: Path) -> RecoveryManager:
    """Return the manager of a repository on the small disk."""
    manager = RecoveryManager(disk / "backups", name=f"{disk.parent.name}-{os.urandom(2).hex()}")
    manager.data_backup.add_data_path(data)
    return manager


def change(data: Path) -> None:
    """Write all data anew."""
    for path in data.iterdir():
        path.write_bytes(os.urandom(300_000))


def fill(disk: Path) -> Path:
    """Write until not a byte more fits."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    assert os.statvfs(disk).f_bavail == 0
    return filler


def read(manager: RecoveryManager) -> BackupReading:
    """Return what the metrics would tell."""
    return reading_of(manager._repository, kinds=(), max_age=None)


def left(manager: RecoveryManager) -> list[str]:
    """Return the hidden folders of a repository, besides its own."""
    return sorted(name for name in os.listdir(manager.backup_root) if name[0] == "." and name != ".peak-observe")


def test_prune_makes_room(disk: Path, data: Path) -> None:
    """What it removes is gone from the disk, and from the account."""
    manager = manager_of(disk, data)
    manager.create_backup()
    change(data)
    newest = manager.create_backup()
    fill(disk)
    selection = RecoveryManager(disk / "backups").prune(RetentionPolicy(last=1))
    assert len(selection.remove) == 1
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > 800_000
    assert [backup.backup_id for backup in manager.list_backups()] == [newest]
    assert left(manager) == []
    assert read(manager).stored_bytes == manager._repository.measured()


def test_prune_works_also_where_it_frees_nothing(disk: Path, data: Path, trusting: None) -> None:
    """Backups share their files; the account is brought up to date by the next run that has room."""
    manager = manager_of(disk, data)
    for _ in range(3):
        newest = manager.create_backup()
    manager._repository.ledger.update(lambda known: known)
    filler = fill(disk)
    assert manager.cleanup_old_backups(keep_count=1) == 2
    assert manager.cleanup_old_backups(keep_count=1) == 0
    filler.unlink()
    manager.drill()
    assert left(manager) == []
    assert [backup.backup_id for backup in manager.list_backups()] == [newest]
    assert manager.verify_backup(newest).ok
    assert read(manager).stored_bytes == manager._repository.measured()


def test_one_backup_can_be_removed(disk: Path, data: Path) -> None:
    """By its name, as by prune."""
    manager = manager_of(disk, data)
    first = manager.create_backup()
    change(data)
    manager.create_backup()
    fill(disk)
    assert manager.delete_backup(first)
    assert len(manager.list_backups()) == 1
    assert left(manager) == []


def test_prune_clears_what_a_crash_left(disk: Path, data: Path) -> None:
    """Staging and trash are emptied before anything is written, and counted when there is room."""
    manager = manager_of(disk, data)
    manager.create_backup()
    for name in (".staging-backup_1", ".trash-backup_0"):
        (disk / "backups" / name / "data").mkdir(parents=True)
        (disk / "backups" / name / "data" / "half").write_bytes(bytes(500_000))
    fill(disk)
    manager.cleanup_old_backups(keep_count=1)
    assert left(manager) == []
    assert manager._repository.ledger.load().runs["interrupted"] == 1


@pytest.mark.parametrize("room", [0, 40_000, 500_000])
def test_a_backup_that_does_not_fit_is_counted(disk: Path, data: Path, room: int) -> None:
    """In the metrics at once, on the disk as soon as there is room, and once only, whoever reads."""
    manager = manager_of(disk, data)
    good = manager.create_backup()
    change(data)
    (disk / "room").write_bytes(bytes(room))
    filler = fill(disk)
    (disk / "room").unlink()
    with pytest.raises(BackupError, match="no backup was made: No space left on device"):
        manager.create_backup()
    found = read(manager)
    assert (found.runs[FAILED], found.running_since) == (1, 0.0)
    assert found.last_attempt > found.kinds["data"].last_success
    filler.unlink()
    manager.create_backup()
    assert read(manager).runs[FAILED] == manager._repository.ledger.load().runs["failed"] == 1
    assert left(manager) == []
    assert manager.verify_backup(good).ok


@pytest.mark.parametrize("where", ["before it begins", "while it runs"])
def test_a_failure_that_could_not_be_written_down_is_seen(
    disk: Path, data: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Somebody else takes each byte that it frees: it is noted where that needs no room."""
    manager = manager_of(disk, data)
    manager.create_backup()
    change(data)
    filler = fill(disk)
    empty = run.empty

    def empty_in_vain(folder: Path) -> None:
        empty(folder)
        fill(disk)

    mkdir = Path.mkdir

    def full(path: Path, *args: int, **more: bool) -> None:
        if path.name.startswith(".peak"):
            return mkdir(path, *args, **more)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch, pytest.raises(BackupError, match="No space left"):
        patch.setattr(run, "empty", empty_in_vain)
        if where == "before it begins":
            patch.setattr(Path, "mkdir", full)
        else:
            filler.unlink()
            patch.setattr(copying, "_pump", lambda *_, **__: fill(disk) and full(disk))
        manager.create_backup()
    assert left(manager) == []
    for reader in (manager, RecoveryManager(disk / "backups", name=manager._repository.name)):
        assert read(reader).runs[FAILED] == 1
        assert read(reader).running_since == 0.0
    assert manager._repository.ledger.load().runs["failed"] == 0
    filler.unlink()
    manager.cleanup_old_backups()
    assert read(manager).runs[FAILED] == manager._repository.ledger.load().runs["failed"] == 1
    assert left(manager) == []


def test_a_good_backup_comes_back_and_drills(disk: Path, data: Path, tmp_path: Path) -> None:
    """Into another disk, and over the live files there."""
    manager = manager_of(disk, data)
    backup_id = manager.create_backup()
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    change(data)
    fill(disk)
    manager.restore(backup_id, config=False, data=True, restore_to=tmp_path / "elsewhere")
    assert {path.name: path.read_bytes() for path in (tmp_path / "elsewhere" / "data" / "data").iterdir()} == before
    assert manager.drill().ok
    manager.restore(backup_id, config=False, data=True)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


def counts(disk: Path) -> dict[str, int]:
    """Return how many runs ended how, as a process that has just begun would tell."""
    repository = Repository(disk / "backups", f"{disk.parent.name}-{os.urandom(2).hex()}", SYSTEM_CLOCK)
    return {outcome: count for outcome, count in repository.account().runs.items() if count}


def command(folder: Path, *doing: str, code: int = 0) -> str:
    """Run `peak-observe backup` in a process of its own, and return what it says of errors."""
    line = [sys.executable, "-m", "peak_observe", "backup", *doing]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == code, done.stderr
    return done.stderr


@pytest.fixture(params=["ext4", "tmpfs", "tmpfs without inodes"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Return a small file system that commands have used, and what fills it to the last byte or file."""
    folder, image = tmp_path / "disk", tmp_path / "image"
    folder.mkdir()
    if request.param == "ext4":
        image.write_bytes(b"")
        os.truncate(image, 16 << 20)
        subprocess.run([binary("mkfs.ext4"), "-q", "-m", "0", image], check=True)
        options = ["-o", "loop", str(image)]
    else:
        limit = "nr_inodes=60" if "inodes" in request.param else f"size={SIZE}"
        options = ["-t", "tmpfs", "-o", limit, "tmpfs"]
    mounted = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system (root): {mounted.stderr.strip()}")

    def filled() -> None:
        (folder / "filler.d").mkdir()
        if "inodes" not in request.param:
            fill(folder)
        with suppress(OSError):
            for number in range(0 if request.param == "tmpfs" else 20_000):
                (folder / "filler.d" / f"{number:0200}").touch()

    yield folder, filled
    subprocess.run(["umount", str(folder)], check=True)


def emptied(disk: Path) -> None:
    """Remove what fills a disk."""
    shutil.rmtree(disk / "filler.d")
    (disk / "filler").unlink(missing_ok=True)


@pytest.mark.parametrize("why", ["room", "hook"])
def test_each_failed_command_is_counted(
    full: tuple[Path, Callable[[], None]], data: Path, tmp_path: Path, why: str
) -> None:
    """The process ends with all that it remembers; everybody else knows of it at once, and counts it once."""
    disk, filled = full
    hook = '[backup.hooks]\nbefore = "false"\n' if why == "hook" else ""
    (tmp_path / "peak-observe.toml").write_text(f'[backup]\nrepository = "disk/backups"\ndata = "data"\n{hook}')
    manager_of(disk, data).create_backup()
    before = counts(disk)
    filled()
    for number in (1, 2):
        said = command(tmp_path, "create", code=1)
        assert ("No space left" if why == "room" else "before") in said
        assert counts(disk) == before | {"failed": number}
    emptied(disk)
    assert counts(disk) == before | {"failed": 2}
    manager = manager_of(disk, data)
    manager.create_backup()
    assert manager._repository.ledger.load().runs["failed"] == 2
    assert counts(disk) == {"success": 2, "failed": 2}
    assert left(manager) == []


def without_notes(disk: Path, filled: Callable[[], None]) -> None:
    """Fill a disk so that notes are not possible, as where an earlier version made the repository."""
    notes = disk / "backups" / ".peak-observe" / "account.notes"
    notes.unlink()
    filled()
    assert not notes.exists()


def test_what_only_memory_could_take_is_counted_whatever_others_do(
    full: tuple[Path, Callable[[], None]], data: Path, tmp_path: Path
) -> None:
    """Another process makes a backup first, which takes the number that the failed one would have had."""
    disk, filled = full
    (tmp_path / "peak-observe.toml").write_text('[backup]\nrepository = "disk/backups"\ndata = "data"\n')
    manager = manager_of(disk, data)
    manager.create_backup()
    without_notes(disk, filled)
    for number in (1, 2):
        with pytest.raises(BackupError, match="No space left"):
            manager.create_backup()
        assert read(manager).runs[FAILED] == number
    emptied(disk)
    command(tmp_path, "create")
    assert read(manager).runs[:3] == [2, 0, 2]
    assert manager._repository.ledger.load().runs["failed"] == 0
    manager.cleanup_old_backups()
    assert read(manager).runs[:3] == [2, 0, 2]
    assert manager._repository.ledger.load().runs["failed"] == 2
    assert counts(disk) == {"success": 2, "failed": 2}


def test_a_restore_from_a_full_disk_is_counted(
    full: tuple[Path, Callable[[], None]], data: Path, tmp_path: Path
) -> None:
    """It works there, and other processes know of it."""
    disk, filled = full
    manager = manager_of(disk, data)
    backup_id = manager.create_backup()
    filled()
    (tmp_path / "peak-observe.toml").write_text('[backup]\nrepository = "disk/backups"\ndata = "data"\n')
    command(tmp_path, "restore", backup_id, "--to", str(tmp_path / "elsewhere"), "--yes")
    told = Repository(disk / "backups", "told", SYSTEM_CLOCK)
    assert told.account().restores["success"] == 1
    emptied(disk)
    manager.cleanup_old_backups()
    assert told.account().restores["success"] == told.ledger.load().restores["success"] == 1


def test_a_failed_run_that_an_earlier_version_left_is_counted(disk: Path, data: Path) -> None:
    """A folder stands for it."""
    manager = manager_of(disk, data)
    manager.create_backup()
    (disk / "backups" / ".failed-2staging-backup_2").mkdir()
    assert counts(disk) == {"success": 1, "failed": 1}
    manager.create_backup()
    assert counts(disk) == {"success": 2, "failed": 1}
    assert left(manager) == []


def test_a_prune_of_nothing_on_a_full_disk_tells_of_nothing_removed(
    disk: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing to account for."""
    manager = manager_of(disk, data)
    manager.create_backup()
    fill(disk)
    assert manager.cleanup_old_backups(1) == 0
    assert not [line for line in caplog.messages if "what was removed" in line]
