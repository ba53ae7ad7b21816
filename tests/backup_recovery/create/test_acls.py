"""Files with an ACL: their mode shows its mask where the rights of the group stand, and a backup has those rights."""

import os
import stat
import struct
from pathlib import Path

import pytest

from peak_observe import RecoveryManager
from peak_observe.backup_recovery import DataBackup
from peak_observe.backup_recovery.files.xattrs import ACL, without_mask

READER = 1234  # a user whom ACLs let in


def set_acl(path: Path, group: int, mask: int, *, user: int = 6) -> None:
    """Give a file or folder an ACL that lets another user read it."""
    entries = [(1, user, -1), (2, 5 if path.is_dir() else 4, READER), (4, group, -1), (0x10, mask, -1), (0x20, 0, -1)]
    packed = (struct.pack("<HHI", tag, rights, number & 0xFFFFFFFF) for tag, rights, number in entries)
    try:
        os.setxattr(path, ACL, struct.pack("<I", 2) + b"".join(packed))
    except OSError:
        pytest.skip("a file system without ACLs")


def shown(path: Path) -> int:
    """Return the permissions that a file shows."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file in a folder, which their group may not read, but one other user."""
    data = tmp_path / "data"
    data.mkdir()
    path = data / "secret"
    path.write_text("key")
    set_acl(path, 0, 4)
    set_acl(data, 0, 5, user=7)
    assert (shown(path), shown(data)) == (0o640, 0o750)
    return path


@pytest.fixture
def manager(tmp_path: Path, secret: Path) -> RecoveryManager:
    """Return a manager of the backups of that folder."""
    made = RecoveryManager(tmp_path / "backups")
    made.data_backup.add_data_path(secret.parent)
    return made


def modes(manager: RecoveryManager, backup_id: str) -> dict[str, int]:
    """Return the permissions that a backup holds."""
    entries = manager._repository.manifest(manager.get_backup(backup_id)).entries
    return {entry.stored: entry.mode for entry in entries if entry.kind == "data"}


def test_the_group_cannot_read_after_a_restore_what_it_could_not(
    manager: RecoveryManager, secret: Path, tmp_path: Path
) -> None:
    """The mask of the ACL does not become the rights of the group, of neither files nor folders."""
    backup_id = manager.create_backup(include_data=True)
    assert modes(manager, backup_id) == {"data/data": 0o700, "data/data/secret": 0o600}
    out = tmp_path / "out"
    manager.restore(backup_id, config=False, data=True, restore_to=out)
    assert (shown(out / "data/data"), shown(out / "data/data/secret")) == (0o700, 0o600)


@pytest.mark.parametrize(("group", "mask", "mode"), [(6, 4, 0o640), (4, 6, 0o640), (6, 6, 0o660), (7, 1, 0o610)])
def test_a_group_has_what_it_and_the_mask_have(secret: Path, group: int, mask: int, mode: int) -> None:
    """As the system counts."""
    set_acl(secret, group, mask)
    assert without_mask(str(secret), shown(secret)) == mode


def test_an_acl_that_cannot_be_read_gives_the_group_nothing(tmp_path: Path) -> None:
    """Nobody knows what the group could do."""
    path = tmp_path / "gone"
    assert without_mask(str(path), 0o2775) == 0o2705


def test_what_has_its_acl_still_stays_as_it_is(manager: RecoveryManager, secret: Path) -> None:
    """A restore over it neither replaces it nor cuts its mask, and a comparison finds no difference."""
    backup_id = manager.create_backup(include_data=True)
    before = secret.stat()
    plan = manager.restore(backup_id, config=False, data=True).plan
    assert (plan.replaced, plan.folders) == ((), ())
    assert secret.stat().st_ino == before.st_ino
    assert (shown(secret), shown(secret.parent)) == (0o640, 0o750)
    assert not manager.diff(backup_id).changed


def test_what_lost_its_acl_and_shows_its_mask_is_mended(manager: RecoveryManager, secret: Path) -> None:
    """Without the ACL the group has the rights that are shown."""
    backup_id = manager.create_backup(include_data=True)
    os.removexattr(secret, ACL)
    secret.chmod(0o640)
    manager.restore(backup_id, config=False, data=True)
    assert shown(secret) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_that_gets_its_owner_back_keeps_its_mask(manager: RecoveryManager, secret: Path) -> None:
    """To set other permissions would shut out whom the ACL lets in."""
    backup_id = manager.create_backup(include_data=True)
    os.chown(secret.parent, 1, 1)
    assert manager.restore(backup_id, config=False, data=True).plan.folders == (str(secret.parent),)
    assert (secret.parent.stat().st_uid, shown(secret.parent)) == (0, 0o750)


@pytest.mark.usefixtures("trusting")
def test_what_an_earlier_version_stored_is_put_right(
    manager: RecoveryManager, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a file that did not change since then, which is not read again."""
    with monkeypatch.context() as earlier:
        earlier.setattr("peak_observe.backup_recovery.create.reader.ACL", "none")
        assert modes(manager, manager.create_backup(include_data=True))["data/data/secret"] == 0o640
    for _ in range(2):
        backup_id = manager.create_backup(include_data=True)
        assert modes(manager, backup_id)["data/data/secret"] == 0o600
        entries = manager._repository.manifest(manager.get_backup(backup_id)).entries
        assert [entry.taken for entry in entries if entry.type == "file" and entry.kind == "data"] == ["linked"]


def test_plain_copies_have_the_rights_of_the_group_too(secret: Path, tmp_path: Path) -> None:
    """And what is there with its ACL stays, though a copy does not tell that it had one."""
    part, copies = DataBackup([secret.parent]), tmp_path / "copies"
    part.backup(copies)
    assert shown(copies / "data" / "secret") == 0o600
    before = secret.stat()
    part.restore(copies)
    assert (secret.stat().st_ino, shown(secret), shown(secret.parent)) == (before.st_ino, 0o640, 0o750)
    secret.unlink()
    part.restore(copies)
    assert shown(secret) == 0o600
