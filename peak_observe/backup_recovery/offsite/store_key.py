"""Store key: the secret that names objects and authenticates records, and the key that opens the store's indexes.

A host that pushes holds this key and the public keys of the recipients. It finds out with it which content is stored
already, and reads which backups there are; it opens no content. The same key lies in the store, sealed for the
recipients, so that their private key alone is enough to restore.
"""

from __future__ import annotations

import secrets
from hmac import compare_digest
from pathlib import Path

import msgspec
from blake3 import blake3

from peak_observe.backup_recovery.offsite.encryption import READABLE_BY_OTHERS, new_identity, public_key
from peak_observe.backup_recovery.repository.permissions import owners_rights
from peak_observe.errors import BackupError
from peak_observe.support.atomic_files import create_file

NAMES, RECORDS = "peak_observe off-site 1: names of content", "peak_observe off-site 1: records"
"""Contexts of the keys that are derived from the secret, so that no hash of one kind is one of the other."""

HASH = 32  # bytes


class StoreKey(msgspec.Struct, frozen=True):
    """Key of one store.

    Args:
        store: The store that it belongs to.
        secret: 32 random bytes, in hexadecimal.
        identity: Private key of age that opens indexes and records, and no content.
    """

    store: str
    secret: str
    identity: str

    def __post_init__(self) -> None:
        if len(bytes.fromhex(self.secret)) != HASH:
            raise ValueError("its secret has to be 32 bytes")

    @classmethod
    def generate(cls) -> StoreKey:
        """Return a new key for a new store."""
        return cls(secrets.token_hex(8), secrets.token_hex(HASH), new_identity()[0])

    @property
    def recipient(self) -> str:
        """Public key for indexes and records."""
        return public_key(self.identity)

    def namer(self) -> Namer:
        """Return what names content."""
        return Namer(_derived(self.secret, NAMES))

    def authenticator(self) -> Authenticator:
        """Return what authenticates records."""
        return Authenticator(_derived(self.secret, RECORDS))

    def to_json(self) -> bytes:
        """Return the text of it."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes) -> StoreKey:
        """Return the key in a text.

        Raises:
            ValueError: It is none.
        """
        return msgspec.json.decode(text, type=cls)

    @owners_rights()
    def save(self, path: Path) -> None:
        """Write it where only its owner reads it; a key that is there stays.

        Raises:
            BackupError: Another key is there, or it cannot be written.
        """
        try:
            path.parent.mkdir(0o700, parents=True, exist_ok=True)
            made = create_file(path, self.to_json(), durable=True, private=True, handed=True)
        except OSError as error:
            raise BackupError(f"the store's key cannot be written to {path}: {error.strerror}") from None
        if not made and self.load(path) != self:
            raise BackupError(f"{path} is the key of another store; move it away first")

    @classmethod
    def load(cls, path: Path) -> StoreKey:
        """Return the key in a file.

        Raises:
            BackupError: There is none, or others may read it.
        """
        try:
            if path.stat().st_mode & READABLE_BY_OTHERS:
                raise BackupError(f"others may read the store's key in {path}; chmod 600 makes it yours alone")
            return cls.from_json(path.read_bytes())
        except FileNotFoundError:
            mend = "`peak-observe backup offsite init` makes it for a new store, and with --identity for an old one"
            raise BackupError(f"this host has no key to the store ({path}); {mend}") from None
        except (OSError, ValueError) as error:
            raise BackupError(f"the store's key in {path} cannot be read; {error}") from None


class Namer:
    """Keyed hashes that name content: nobody without the key learns from a name whether a known file is stored.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_hash(self, digest: bytes) -> bytes:
        """Return the name of content with this BLAKE3 hash, so that a file that is stored need not be read."""
        return blake3(digest, key=self._key).digest()

    def of(self, content: bytes | memoryview) -> bytes:
        """Return the name of content."""
        return self.of_hash(blake3(content).digest())


class Authenticator:
    """Keyed hashes at the end of records: a record that others wrote, or that lies under another name, is none.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, name: str, content: bytes) -> bytes:
        """Return content with its signature for a name."""
        return content + self._signature(name, content)

    def check(self, name: str, signed: bytes) -> bytes:
        """Return content whose signature is right.

        Raises:
            ValueError: It is not.
        """
        content, signature = signed[:-HASH], signed[-HASH:]
        if not compare_digest(signature, self._signature(name, content)):
            raise ValueError("its signature is wrong: it is not what this store's hosts wrote")
        return content

    def _signature(self, name: str, content: bytes) -> bytes:
        text = name.encode()
        return blake3(len(text).to_bytes(8, "big") + text + content, key=self._key).digest()


def _derived(secret: str, context: str) -> bytes:
    return blake3(bytes.fromhex(secret), derive_key_context=context).digest()
