"""The key of a store: names of content, signatures of records, and its file."""

import stat
from pathlib import Path

import pytest
from blake3 import blake3

from peak_observe.backup_recovery.offsite.store_key import StoreKey
from peak_observe.errors import BackupError

KEY = StoreKey.generate()


def test_names_tell_nothing_without_the_key() -> None:
    """An observer who has the file knows its plain hash, and finds no such name."""
    name = KEY.namer().of(b"wallet")
    assert name != blake3(b"wallet").digest()
    assert name != StoreKey.generate().namer().of(b"wallet")


def test_names_are_those_of_the_plain_hash() -> None:
    """A file whose hash is in the manifest need not be read to know its name."""
    assert KEY.namer().of(b"x") == KEY.namer().of_hash(blake3(b"x").digest())


def test_record_is_bound_to_its_name() -> None:
    """A record that lies under another name, or was changed, is none."""
    authenticator = KEY.authenticator()
    signed = authenticator.sign("backups/a/1", b"content")
    assert authenticator.check("backups/a/1", signed) == b"content"
    for name, text in (("backups/a/2", signed), ("backups/a/1", b"C" + signed[1:]), ("backups/a/1", b"")):
        with pytest.raises(ValueError, match="its signature is wrong"):
            authenticator.check(name, text)


def test_key_file_is_private(tmp_path: Path) -> None:
    """Nobody but its owner reads the key's file, and it comes back as it was."""
    path = tmp_path / "own" / "offsite.key"
    KEY.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert StoreKey.load(path) == KEY
    KEY.save(path)


def test_key_of_another_store_is_not_overwritten(tmp_path: Path) -> None:
    """Without its key a host could not use the other store any more."""
    KEY.save(tmp_path / "key")
    with pytest.raises(BackupError, match="is the key of another store; move it away first"):
        StoreKey.generate().save(tmp_path / "key")
    assert StoreKey.load(tmp_path / "key") == KEY


def test_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """The mend is part of the message."""
    KEY.save(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(BackupError, match="chmod 600"):
        StoreKey.load(tmp_path / "key")


@pytest.mark.parametrize("content", [b"", b"{}", b'{"store":"a","secret":"00","identity":"x"}'])
def test_damaged_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    """A key's file that is empty, or holds something else, is no crash."""
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(BackupError, match=r"the store's key in .*key cannot be read"):
        StoreKey.load(tmp_path / "key")
