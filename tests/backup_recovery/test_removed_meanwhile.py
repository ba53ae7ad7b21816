"""A backup that another process removes while it is read is told as removed, and never as corrupt."""

import json
from pathlib import Path

import pytest

from peak_observe import BackupNotFoundError, RecoveryManager
from peak_observe.backup_recovery.repository.ledger import Ledger
from peak_observe.telemetry.metrics.renderer import Renderer

from .conftest import Program, prune


@pytest.fixture
def two(manager: RecoveryManager, program: Program) -> list[str]:
    """Return an old backup, which a prune removes, and a new one."""
    old = manager.create_backup()
    program.write(program.trades / "3.csv", "3,64000\n")
    return [old, manager.create_backup()]


def corrupt(manager: RecoveryManager) -> dict[str, int]:
    """Return what the ledger's file says of corrupt backups."""
    return json.loads((manager.backup_root / ".peak-observe/account.json").read_text())["corrupt"]


READERS = {
    "dry run": lambda manager, old, tell: manager.restore(old, state=True, data=True, dry_run=True, progress=tell),
    "verify": lambda manager, old, tell: manager.verify_backup(old, progress=tell),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_backup_that_is_pruned_while_it_is_read_is_not_corrupt(
    manager: RecoveryManager, two: list[str], reader: str
) -> None:
    """A look needs no lock, so a prune comes in between; nothing is recorded, and nothing is wrong afterwards."""
    old, new = two
    with pytest.raises(BackupNotFoundError, match="it was removed meanwhile"):
        READERS[reader](manager, old, lambda _: prune(manager))
    assert (corrupt(manager), manager.corrupt_backups()) == ({}, set())
    assert [backup.backup_id for backup in manager.list_backups()] == [new]


def test_a_file_that_goes_after_it_was_checked_is_told_as_removed(manager: RecoveryManager, two: list[str]) -> None:
    """Its content is read when somebody asks for it, by which time the backup may be gone."""
    content = manager.read_file(two[0], "positions.csv")
    prune(manager)
    with pytest.raises(BackupNotFoundError, match="it was removed meanwhile"):
        next(content)


def test_a_listing_of_a_backup_without_a_manifest_that_goes_is_told_as_removed(
    manager: RecoveryManager, two: list[str]
) -> None:
    """The original code base wrote none, so that the files themselves are looked at."""
    old = two[0]
    folder = manager.backup_root / old
    backup = manager.get_backup(old)
    (folder / "manifest.json").unlink()
    facts = {"backup_id": old, "backup_type": "data", "created_at": backup.created_at, "status": "success"}
    (folder / "metadata.json").chmod(0o600)
    (folder / "metadata.json").write_text(json.dumps(facts))
    found = manager._repository.get(old)
    prune(manager)
    with pytest.raises(BackupNotFoundError, match="it was removed meanwhile"):
        manager._contents(found)


def test_a_corrupt_backup_that_is_gone_neither_counts_nor_stays(
    manager: RecoveryManager, two: list[str], tmp_path: Path
) -> None:
    """As a ledger has it in which an earlier version wrote so, or whose backup was removed by hand."""
    new = two[1]
    path = manager.backup_root / ".peak-observe/account.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "corrupt": {"backup_1": 301, new: 1}}))
    ledger = Ledger(path.parent)
    assert list(ledger.read().corrupt) == list(ledger.load().corrupt) == [new]
    assert manager.corrupt_backups() == {new}
    RecoveryManager(manager.backup_root, name="removed")  # a label that no other test's repository has
    assert 'peak_backup_corrupt_files{repository="removed"} 1' in Renderer().render().decode()
    assert corrupt(manager) == {new: 1}
    (manager.backup_root / new).rename(tmp_path / new)
    assert ledger.read().corrupt == {}
