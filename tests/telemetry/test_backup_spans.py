"""What OpenTelemetry is told of backups."""

from pathlib import Path

import pytest

from peak_observe import RecoveryManager

from .conftest import Telemetry


@pytest.fixture
def manager(tmp_path: Path) -> RecoveryManager:
    """Return a manager with something to back up."""
    (tmp_path / "config.toml").write_text("a = 1")
    made = RecoveryManager(tmp_path / "backups", name="spans")
    made.config_backup.add_config(tmp_path / "config.toml")
    return made


def test_spans_say_what_was_done(manager: RecoveryManager, otel: Telemetry) -> None:
    """One for making, verifying, restoring, with sizes and counts."""
    backup_id = manager.create_backup()
    manager.verify_backup(backup_id)
    manager.restore_backup(backup_id)
    assert [span.name for span in otel.spans] == ["backup.create", "backup.verify", "backup.restore"]
    made, verified, restored = (dict(span.attributes) for span in otel.spans)
    size = manager.get_backup(backup_id).size_bytes
    common = {"peak_observe.repository": "spans", "peak_observe.backup_id": backup_id}
    assert made == common | {
        "peak_observe.files": 2,
        "peak_observe.size_bytes": size,
        "peak_observe.outcome": "success",
    }
    assert verified == common | {
        "peak_observe.files": 2,
        "peak_observe.size_bytes": size,
        "peak_observe.corrupt_files": 0,
    }
    assert restored == common | {"peak_observe.files": 0}
    assert all(span.status.is_unset for span in otel.spans)


def test_a_failure_has_its_error(manager: RecoveryManager, otel: Telemetry) -> None:
    """The span says which."""
    manager.restore_backup("backup_1")
    [span] = otel.spans
    assert not span.status.is_ok
    assert span.attributes["error.type"] == "peak_observe.errors.BackupNotFoundError"


def test_every_end_is_a_record(manager: RecoveryManager, otel: Telemetry) -> None:
    """With its facts as attributes."""
    backup_id = manager.create_backup()
    manager.verify_backup(backup_id)
    manager.restore_backup(backup_id)
    names = ["peak_observe.backup.finished", "peak_observe.backup.verified", "peak_observe.restore.finished"]
    assert [record.event_name for record in otel.events] == names
    assert otel.events[0].attributes["peak_observe.outcome"] == "success"
    assert {record.attributes["peak_observe.backup_id"] for record in otel.events} == {backup_id}
