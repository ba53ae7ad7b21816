"""Encryption of stored objects, and the files of private keys."""

from pathlib import Path

import pyrage
import pytest

from peak_observe.backup_recovery.offsite.encryption import Opener, Sealer, read_identities
from peak_observe.errors import BackupError, WrongKeyError
from peak_observe.support.redact import clean

KEY = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
SEALED = Sealer([str(KEY.to_public())]).seal(b"positions" * 100)


def opener(key=KEY) -> Opener:
    """Return what opens with a key."""
    return Opener([str(key)])


def test_what_was_sealed_opens() -> None:
    """Content comes back, and is neither readable nor longer while it is sealed."""
    assert opener().open(SEALED, limit=900) == b"positions" * 100
    assert b"positions" not in SEALED
    assert len(SEALED) < 900


def test_each_recipient_opens() -> None:
    """Two keys in two places: one of them is enough."""
    sealed = Sealer([str(KEY.to_public()), str(OTHER.to_public())]).seal(b"x")
    assert [opener(key).open(sealed, limit=1) for key in (KEY, OTHER)] == [b"x", b"x"]


def test_wrong_key_is_told_in_a_line() -> None:
    """The error of a wrong key speaks of the key, not of the content."""
    with pytest.raises(WrongKeyError, match=r"^the private key does not open this store: it was sealed for others$"):
        opener(OTHER).open(SEALED, limit=900)


@pytest.mark.parametrize("share", range(0, 100, 9))
def test_cut_content_is_found(share: int) -> None:
    """Whatever is missing at the end is an error."""
    cut = len(SEALED) * share // 100
    with pytest.raises((ValueError, WrongKeyError)):
        opener().open(SEALED[:cut], limit=900)


@pytest.mark.parametrize("share", range(0, 100, 7))
def test_changed_content_is_found(share: int) -> None:
    """A changed byte anywhere is an error."""
    at = len(SEALED) * share // 100
    changed = bytearray(SEALED)
    changed[at] ^= 0xFF
    with pytest.raises((ValueError, WrongKeyError)):
        opener().open(bytes(changed), limit=900)


def test_bomb_is_not_unpacked() -> None:
    """Anybody may seal for a public key, so that what would fill the memory is refused."""
    bomb = Sealer([str(KEY.to_public())]).seal(bytes(50 << 20))
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        opener().open(bomb, limit=1000)


@pytest.mark.parametrize(
    ("recipients", "message"),
    [
        ([], "no recipient is named"),
        (["age1nonsense"], "is no public key of age"),
        ([str(KEY.to_public())[:-1]], "which is age1 and 58 more characters"),
        ([""], "is no public key of age"),
        ([str(KEY)], "a recipient is a private key"),
    ],
)
def test_recipients_that_make_no_sense(recipients, message: str) -> None:
    """Each mistake has its own message, and none repeats a private key."""
    with pytest.raises(BackupError, match=message) as error:
        Sealer(recipients)
    assert str(KEY) not in str(error.value)
    assert clean(str(error.value)) == str(error.value)  # nothing in it is taken for a secret


def test_recipient_is_read_with_the_spaces_around_it_and_once() -> None:
    """A key that was pasted with a line break is that key, and content is sealed once for it."""
    public = str(KEY.to_public())
    assert Sealer([public, f" {public}\n"]).recipients == (public,)


def test_identity_file_of_age_keygen(tmp_path: Path) -> None:
    """Comments and empty lines are no keys, and neither is the mark with which Windows begins a text."""
    path = tmp_path / "key.txt"
    path.write_text(f"\ufeff{KEY}\n")
    path.chmod(0o600)
    assert read_identities(path) == [str(KEY)]
    path.write_text(f"# created: today\n# public key: x\n\n{KEY}\n{OTHER}\n")
    path.chmod(0o600)
    assert read_identities(path) == [str(KEY), str(OTHER)]


def test_identity_file_that_others_may_read(tmp_path: Path) -> None:
    """A private key that everybody may read is refused, with the mend."""
    path = tmp_path / "key.txt"
    path.write_text(f"{KEY}\n")
    path.chmod(0o644)
    with pytest.raises(BackupError, match=r"others may read the identity file .*key\.txt; chmod 600"):
        read_identities(path)


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"\xff\xfe\x00", b"age1public"])
def test_identity_file_without_a_key(tmp_path: Path, content: bytes) -> None:
    """A file without a private key is named."""
    path = tmp_path / "key.txt"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BackupError, match=r"key\.txt"):
        read_identities(path)


def test_identity_file_that_is_missing(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(BackupError, match=r"the identity file .*none\.txt cannot be read"):
        read_identities(tmp_path / "none.txt")
