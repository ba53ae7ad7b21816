"""Runs that end before they have a number are counted once, as those that end later are."""

import shutil
import subprocess
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager
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
