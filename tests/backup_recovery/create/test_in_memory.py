"""Files of a file system in memory, whose status does not tell of what is written through `mmap`."""

import mmap
from pathlib import Path

import pytest

from peak_observe import RecoveryManager
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
