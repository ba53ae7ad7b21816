"""Runs that end before they have a number are counted once, as those that end later are."""

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager
from peak_observe.backup_recovery.repository.locking import briefly_locked
from peak_observe.backup_recovery.repository.reading import reading_of
from peak_observe.testing import RecordingObserver


def runs(manager: RecoveryManager) -> dict[str, int]:
    """Return how many runs ended how, without those that never happened."""
    account = manager._repository.account()
    return {outcome: count for outcome, count in account.runs.items() if count}


def test_ctrl_c_while_a_provider_is_asked_is_counted(manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository is not even locked then."""
    monkeypatch.setattr(manager, "_state", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with RecordingObserver() as seen, pytest.raises(KeyboardInterrupt):
        manager.create_backup()
    assert runs(manager) == {"interrupted": 1}
    assert [event.outcome for event in seen.events] == ["interrupted"]
    assert manager._repository.ledger.load().last_attempt > 0


def test_a_repository_that_cannot_be_cleared_is_counted_on_the_disk(manager: RecoveryManager, tmp_path: Path) -> None:
    """The process that failed, as one of cron, ends; what it counted must not end with it."""
    manager.create_backup()
    in_the_way = tmp_path / "backups" / ".staging-x" / "disk"
    in_the_way.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(in_the_way)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system (root)")
    try:
        with pytest.raises(BackupError, match="cannot make a backup"):
            manager.create_backup()
        assert manager._repository.ledger.load().runs["failed"] == 1
    finally:
        subprocess.run(["umount", str(in_the_way)], check=True)
    shutil.rmtree(in_the_way.parent)  # or else it counts as a run that was interrupted
    manager.create_backup()
    assert runs(manager) == {"success": 2, "failed": 1}


def test_a_failed_backup_that_the_ledger_does_not_know_is_counted_at_once_and_once(
    manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed, and stands for its run, until somebody can write to the ledger."""
    monkeypatch.setattr("peak_observe.backup_recovery.repository.locking.PATIENCE", 0.1)
    manager.create_backup()
    repository = manager._repository
    with ExitStack() as stack:

        def lock_and_fail(_: object) -> None:
            stack.enter_context(briefly_locked(repository.own / "account.lock"))
            raise RuntimeError("in vain")

        with pytest.raises(BackupError, match="in vain"):
            manager.create_backup(progress=lock_and_fail)
    assert [backup.status.value for backup in manager.list_backups()] == ["failed", "success"]
    found = reading_of(repository, kinds=(), max_age=None)
    assert found.runs == [1, 0, 1, 0]
    assert found.last_attempt > found.kinds["config"].last_success
    manager.create_backup()
    assert runs(manager) == {"success": 2, "failed": 1}
    assert reading_of(repository, kinds=(), max_age=None).runs == [2, 0, 1, 0]
