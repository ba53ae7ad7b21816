"""Backups that another one may need stay, also where that one cannot be looked into now."""

import errno
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from peak_observe import BackupError, BackupStatus, RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.repository import repository
from peak_observe.backup_recovery.repository.choice import lost
from peak_observe.backup_recovery.repository.manifest_file import ManifestFile
from peak_observe.testing import ManualClock

LAST = RetentionPolicy(last=1)


def newer(path: Path) -> None:
    """Make the metadata of a backup those of a newer version."""
    found = {**json.loads(path.read_text()), "colour": "red", "checksum": ""}
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()
    found["checksum"] = blake3(text).hexdigest()
    path.chmod(0o600)
    path.write_text(json.dumps(found, indent=2) + "\n")


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Callable[[Path], None]]:
    """Return what makes a metadata file one that cannot be read, for an error of the system."""

    def of(number: int) -> Callable[[Path], None]:
        content = repository.content

        def failing(path: Path) -> bytes:
            if path == bad[0]:
                raise OSError(number, os.strerror(number), str(path))
            return content(path)

        bad: list[Path] = []
        monkeypatch.setattr(repository, "content", failing)
        return lambda path: bad.append(path) or os.utime(path, (1, 1))

    return of


@pytest.mark.parametrize("way", ["a newer version", "EACCES", "EIO"])
def test_what_an_unreadable_backup_may_need_stays(
    manager: RecoveryManager, unreadable, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """It is based on the first one; that and each other that it may be based on is told of in one line."""
    base, between = manager.create_backup(), manager.create_backup()
    user = manager.create_backup(incremental=True)
    assert manager.get_backup(user).base == between
    later, newest = manager.create_backup(), manager.create_backup()
    path = manager.backup_root / user / "metadata.json"
    (newer if way == "a newer version" else unreadable(getattr(errno, way)))(path)
    with caplog.at_level(logging.WARNING, "peak_observe.backup"):
        selection = manager.prune(LAST)
    assert [kept.backup.backup_id for kept in selection.keep] == [newest, between, base]
    assert [backup.backup_id for backup in selection.remove] == [later]
    assert selection.keep[1].reasons == (f"{user} may need it, and cannot be read",)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [f"{user} cannot be read"]
    assert not manager.delete_backup(between)
    assert manager.delete_backup(user)
    assert manager.delete_backup(between)


def test_a_failed_run_needs_no_base(manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds nothing, and is not corrupt when the one that it was to be based on is gone."""

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    base = manager.create_backup()
    with monkeypatch.context() as patch:
        patch.setattr(ManifestFile, "check", full)
        with pytest.raises(BackupError, match="No space left"):
            manager.create_backup(incremental=True)
    assert manager.delete_backup(base)
    assert [backup.status for backup in manager.list_backups()] == [BackupStatus.FAILED]
    assert manager._repository.backups()[0].base == ""
    assert lost(manager.backup_root, manager.list_backups()) == set()


def test_what_is_damaged_keeps_no_other(manager: RecoveryManager) -> None:
    """Its content is not what was written, so that nothing brings it back, and the others go at their time."""
    backups = [manager.create_backup() for _ in range(3)]
    path = manager.backup_root / backups[1] / "metadata.json"
    path.chmod(0o600)
    path.write_text("{}")
    assert [backup.backup_id for backup in manager.prune(LAST, dry_run=True).remove] == backups[:1]


def test_a_dry_run_tells_the_same(manager: RecoveryManager) -> None:
    """And removes nothing."""
    base = manager.create_backup()
    user = manager.create_backup(incremental=True)
    newest = manager.create_backup()
    newer(manager.backup_root / user / "metadata.json")
    for dry_run in (True, False):
        selection = manager.prune(LAST, dry_run=dry_run)
        assert [kept.backup.backup_id for kept in selection.keep] == [newest, base]


def test_a_clock_that_was_set_back_takes_no_base_away(tmp_path: Path) -> None:
    """The name of the base is the later one then, and does not tell that it is older."""
    clock = ManualClock()
    manager = RecoveryManager(tmp_path / "backups", clock=clock)
    (tmp_path / "file").write_text("x")
    manager.data_backup.add_data_path(tmp_path / "file")
    clock.jump(86400)
    base = manager.create_backup()
    clock.jump(-86400)
    user = manager.create_backup(incremental=True)
    newest = [manager.create_backup() for _ in range(2)][1]
    newer(manager.backup_root / user / "metadata.json")
    kept = {kept.backup.backup_id for kept in manager.prune(LAST).keep}
    assert {base, newest} <= kept
    assert not manager.delete_backup(base)
