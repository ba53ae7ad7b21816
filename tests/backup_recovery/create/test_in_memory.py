"""Files that are written through `mmap`, which their status tells of on a disk only, and there not always."""

import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peak_observe import RecoveryManager
from peak_observe.backup_recovery.files import file_systems
from peak_observe.backup_recovery.files.file_systems import is_in_memory

UNCHANGED = "peak_observe.backup_recovery.create.unchanged"


def test_a_change_through_mmap_is_in_the_next_backup(memory: Path, tmp_path: Path, trusting: None) -> None:
    """Neither size nor times tell of it."""
    book = memory / "book"
    book.write_bytes(b"a" * 8192)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(memory)
    with book.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = ord("b")
        manager.create_backup()
        before = book.stat()
        mapped[1] = ord("c")
        assert (book.stat().st_ctime_ns, book.stat().st_mtime_ns) == (before.st_ctime_ns, before.st_mtime_ns)
        backup_id = manager.create_backup()
    stored = tmp_path / "backups" / backup_id / "data" / memory.name / "book"
    assert stored.read_bytes()[:3] == b"bca"


@pytest.mark.parametrize("target", ["/", "nothing", "a"])
def test_a_link_does_not_tell_where_files_are(memory: Path, tmp_path: Path, trusting: None, target: str) -> None:
    """It may lead to a disk, and stand behind the files in memory."""
    book = memory / "book"
    book.write_bytes(b"a" * 8192)
    (memory / "z").symlink_to(target)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(memory)
    with book.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = ord("b")
        manager.create_backup()
        mapped[1] = ord("c")
        backup_id = manager.create_backup()
    assert (tmp_path / "backups" / backup_id / "data" / memory.name / "book").read_bytes()[:3] == b"bca"


def test_what_did_not_change_takes_no_room(memory: Path, tmp_path: Path, trusting: None) -> None:
    """It is read, and linked all the same."""
    (memory / "book").write_bytes(b"a" * 8192)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(memory)
    names = manager.create_backup(), manager.create_backup()
    one, other = (tmp_path / "backups" / name / "data" / memory.name / "book" for name in names)
    assert one.samefile(other)


def test_a_disk_is_asked_once(tmp_path: Path, trusting: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files are on it, and none of them is read."""
    if is_in_memory(str(tmp_path)):
        pytest.skip("the tests run in memory")
    for number in range(20):
        (tmp_path / "source").mkdir(exist_ok=True)
        (tmp_path / "source" / f"{number}").write_text("a")
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(tmp_path / "source")
    manager.create_backup()
    asked: list[str] = []
    monkeypatch.setattr(f"{UNCHANGED}.is_in_memory", lambda path: bool(asked.append(path)))
    monkeypatch.setattr(f"{UNCHANGED}._is_same", lambda *_: pytest.fail("a file was read"))
    manager.create_backup()
    assert len(asked) == 1


def test_an_older_copy_is_linked_to_only_if_it_is_the_same(memory: Path, tmp_path: Path, trusting: None) -> None:
    """Where somebody removed the newest copy the times tell as little."""
    book = memory / "book"
    book.write_bytes(b"a" * 8192)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(memory)
    with book.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = ord("b")
        manager.create_backup()
        mapped[1] = ord("c")
        (memory / "nowhere").symlink_to("nothing")
        partial = manager.create_backup()
        (memory / "nowhere").unlink()
        (tmp_path / "backups" / partial / "data" / memory.name / "book").unlink()
        backup_id = manager.create_backup()
    assert manager.get_backup(backup_id).good
    assert (tmp_path / "backups" / backup_id / "data" / memory.name / "book").read_bytes()[:3] == b"bca"


@pytest.mark.parametrize("alone", [False, True])
def test_a_page_that_was_written_before_the_first_backup_tells_of_the_next_write(
    memory: Path, tmp_path: Path, trusting: None, *, alone: bool
) -> None:
    """It is written back before it is read, whatever file system the repository is on."""
    if is_in_memory(str(tmp_path)):
        pytest.skip("the tests run in memory")
    source = tmp_path / "source"
    source.mkdir()
    book = source / "book"
    book.write_bytes(b"a" * 8192)
    os.sync()
    manager = RecoveryManager(memory / "backups")
    manager.data_backup.add_data_path(book if alone else source)
    with book.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = ord("b")
        manager.create_backup()
        mapped[1] = ord("c")
        backup_id = manager.create_backup()
    (stored,) = (memory / "backups" / backup_id / "data").rglob("book")
    assert stored.read_bytes()[:3] == b"bca"


def test_nothing_is_written_back_where_nothing_is_read(
    tmp_path: Path, trusting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once for each device, whatever the disk says to it."""
    synced: list[str] = []

    def fail(_: int, path: str) -> None:
        synced.append(path)
        raise OSError("the disk has an error")

    monkeypatch.setattr(file_systems, "_sync", fail)
    (tmp_path / "source").mkdir()
    for number in range(20):
        (tmp_path / "source" / f"{number}").write_text("a")
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(tmp_path / "source")
    with monkeypatch.context() as patch:
        patch.setattr("peak_observe.backup_recovery.create.run.sync_filesystem", lambda _: None)
        patch.setattr("peak_observe.backup_recovery.repository.repository.sync_filesystem", lambda _: None)
        assert manager.get_backup(manager.create_backup()).good
        assert synced == [str(tmp_path / "source")]
        synced.clear()
        assert manager.get_backup(manager.create_backup()).good
    assert synced == ([str(tmp_path / "source")] if is_in_memory(str(tmp_path)) else [])


@pytest.fixture
def overlay(memory: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a folder whose upper layer is in memory, and has an odd name."""
    folders = {name: memory / f"{name} of it" for name in ("lowerdir", "upperdir", "workdir")}
    for folder in (*folders.values(), place := tmp_path / "over lay"):
        folder.mkdir()
    options = ",".join(f"{name}={folder}" for name, folder in folders.items())
    command = ["mount", "-t", "overlay", "-o", options, "overlay", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount an overlay (root): {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_an_overlay_whose_upper_layer_is_in_memory_is_in_memory(overlay: Path, tmp_path: Path, trusting: None) -> None:
    """As in a system that was started from a CD."""
    book = overlay / "book"
    book.write_bytes(b"a" * 8192)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(overlay)
    with book.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = ord("b")
        manager.create_backup()
        mapped[1] = ord("c")
        backup_id = manager.create_backup()
    assert is_in_memory(str(book))
    assert (tmp_path / "backups" / backup_id / "data" / "over lay" / "book").read_bytes()[:3] == b"bca"


def test_a_file_that_is_a_mount_of_its_own_is_written_back(memory: Path, tmp_path: Path, trusting: None) -> None:
    """As Docker mounts single files, here from a disk into a folder in memory; also one that this process has open."""
    if is_in_memory(str(tmp_path)):
        pytest.skip("the tests run in memory")
    (tmp_path / "book").write_bytes(b"a" * 8192)
    book = memory / "book"
    book.touch()
    os.sync()
    mounted = subprocess.run(
        ["mount", "--bind", str(tmp_path / "book"), str(book)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a file (root): {mounted.stderr.strip()}")
    try:
        manager = RecoveryManager(memory / "backups")
        manager.data_backup.add_data_path(book)
        with book.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[0] = ord("b")
            manager.create_backup()
            mapped[1] = ord("c")
            backup_id = manager.create_backup()
        assert (memory / "backups" / backup_id / "data" / "book").read_bytes()[:3] == b"bca"
    finally:
        subprocess.run(["umount", str(book)], check=True)
