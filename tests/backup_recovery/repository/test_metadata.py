"""What `metadata.json` tells is what was written."""

from datetime import UTC, datetime

import msgspec
import pytest
from blake3 import blake3
from msgspec.structs import replace

from peak_observe import (
    BackupCorruptError,
    BackupMetadata,
    BackupStatus,
    BackupType,
    BackupUnreadableError,
    RecoveryManager,
)
from peak_observe.backup_recovery.repository.metadata import Part, Problem

LEGACY = """{
  "backup_id": "backup_1734431400000000_20241217_103000_000000",
  "backup_type": "full", "created_at": "2024-12-17T10:30:00.123456", "status": "success",
  "size_bytes": 1024, "files_count": 5, "description": "Tägliches Backup", "tags": ["daily"], "error_message": ""
}""".encode()


def metadata(**facts: object) -> BackupMetadata:
    """Return metadata with a few facts."""
    known = {"created_at": "2026-01-01T00:00:00+00:00", "status": BackupStatus.SUCCESS, "sequence": 3}
    known |= {"size_bytes": 1024, "files_count": 5, "tags": ["test", "production"]}
    return BackupMetadata("b1", BackupType.FULL, **known | facts)


def test_it_comes_back_as_it_was() -> None:
    """With parts and problems."""
    made = metadata(parts={"config": Part(1, 20, 0.5)}, problems=[Problem("/x", "is missing")])
    found = BackupMetadata.from_json(made.to_json())
    assert found.checksum
    assert found.parts == made.parts
    assert found.problems == made.problems
    assert str(found.problems[0]) == "/x: is missing"


def test_the_dictionary_holds_values() -> None:
    """As the original's did."""
    found = metadata().to_dict()
    assert (found["backup_id"], found["backup_type"], found["status"]) == ("b1", "full", "success")
    assert found["tags"] == ["test", "production"]


@pytest.mark.parametrize("position", range(0, 900, 7))
def test_no_byte_changes_unnoticed(position: int) -> None:
    """Also one that would not change the meaning."""
    text = bytearray(metadata(description="before the update").to_json())
    position %= len(text)
    text[position] ^= 0x01
    with pytest.raises(ValueError):
        BackupMetadata.from_json(bytes(text))


def test_the_originals_text_is_read() -> None:
    """It has no checksum, and its time no zone: that is UTC."""
    found = BackupMetadata.from_json(LEGACY)
    assert found.good
    assert found.created == datetime(2024, 12, 17, 10, 30, 0, 123456, tzinfo=UTC)
    assert found.description == "Tägliches Backup"


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", LEGACY.replace(b"2024-12-17T", b"yesterday ")])
def test_rubbish_is_a_value_error(text: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(ValueError):
        BackupMetadata.from_json(text)


def test_the_number_orders_before_the_time() -> None:
    """A clock that ran ahead once does not make a backup the newest for years."""
    ahead = metadata(created_at="2036-01-01T00:00:00+00:00")
    later = metadata(created_at="2026-01-02T00:00:00+00:00", sequence=4)
    assert max((ahead, later), key=lambda backup: backup.order) is later


def newer(backup: BackupMetadata) -> bytes:
    """Return metadata as a later version may write them, with a field more."""
    found = {**msgspec.json.decode(backup.to_json()), "colour": "red", "checksum": ""}
    found["checksum"] = blake3(msgspec.json.encode(found)).hexdigest()
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def test_what_a_newer_version_wrote_is_not_damaged(manager: RecoveryManager) -> None:
    """It cannot be read by this one, which is told so; with a byte changed it is damaged like any other."""
    backup_id = manager.create_backup()
    path = manager.backup_root / backup_id / "metadata.json"
    path.chmod(0o600)
    text = newer(manager.get_backup(backup_id))
    path.write_bytes(text)
    with pytest.raises(BackupUnreadableError, match="a newer peak-observe wrote it, with 'colour'; use that version"):
        manager.verify_backup(backup_id)
    path.write_bytes(text.replace(b"red", b"rad"))
    with pytest.raises(BackupCorruptError):
        manager.get_backup(backup_id)


def test_a_manifest_of_a_newer_version_is_not_corrupt(manager: RecoveryManager) -> None:
    """So that nothing is done to a backup that only this version cannot read."""
    backup_id = manager.create_backup()
    folder = manager.backup_root / backup_id
    manifest = (folder / "manifest.json").read_bytes().replace(b'"version": 1', b'"version": 2')
    metadata = replace(manager.get_backup(backup_id), manifest=blake3(manifest).hexdigest())
    for name, text in (("manifest.json", manifest), ("metadata.json", metadata.to_json())):
        (folder / name).chmod(0o600)
        (folder / name).write_bytes(text)
    for act in (manager.verify_backup, manager.restore):
        with pytest.raises(BackupUnreadableError, match="form 2: a newer peak-observe wrote it; use that version"):
            act(backup_id)
    assert manager.get_backup(manager.create_backup()).good
