"""Encryption and compression of stored objects: zstd, then age to the recipients' public keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from peak_observe.backup_recovery.offsite.libraries import library
from peak_observe.errors import BackupError, WrongKeyError
from peak_observe.support import posix

LEVEL = 3  # of zstd: its own default, faster than one core encrypts
RANDOM = 256  # bytes, more than the part of random length that age adds to each head
LEAST = 200  # bytes that age adds to what it seals for one recipient
READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SECRET = "AGE-SECRET-KEY-1"  # noqa: S105 - the beginning of every such line, no secret


class Sealer:
    """Writer of sealed bytes, which only the private keys of the recipients open.

    Args:
        recipients: Public keys of age, each `age1…`.

    Raises:
        BackupError: There is none, or one is no such key.
    """

    def __init__(self, recipients: Iterable[str]) -> None:
        self._age = library("pyrage")
        self._zstd = library("zstandard")
        self.recipients = tuple(dict.fromkeys(text.strip() for text in recipients))
        if not self.recipients:
            raise BackupError("no recipient is named: recipients = ['age1…'] holds the public key of age")
        self._keys = [self._key(text) for text in self.recipients]

    def _key(self, text: str) -> Any:
        try:
            return self._age.x25519.Recipient.from_str(text)
        except (self._age.RecipientError, ValueError):
            if text.upper().startswith("AGE-SECRET-KEY"):
                raise BackupError("a recipient is a private key; name the public one, age1…, instead") from None
            raise BackupError(
                f"the recipient {text[:12]!r}… is no public key of age, which is age1 and 58 more characters"
            ) from None

    def seal(self, content: bytes) -> bytes:
        """Return content compressed and encrypted."""
        sealed: bytes = self._age.encrypt(self._zstd.ZstdCompressor(LEVEL).compress(content), self._keys)
        return sealed


def is_as_long(size: int, sealed: bytes) -> bool:
    """Return whether an object of so many bytes may hold the same content, sealed for the same keys, and all of it.

    A power cut leaves files without their end. Age adds a part of random length to each head.
    """
    return abs(size - len(sealed)) < RANDOM


class Opener:
    """Reader of sealed bytes.

    Args:
        identities: Private keys of age, each `AGE-SECRET-KEY-1…`.

    Raises:
        BackupError: There is none, or one is no such key.
    """

    def __init__(self, identities: Sequence[str]) -> None:
        self._age = library("pyrage")
        self._zstd = library("zstandard")
        self._keys = [self._key(text) for text in identities]

    def _key(self, text: str) -> Any:
        try:
            return self._age.x25519.Identity.from_str(text)
        except (self._age.IdentityError, ValueError):
            raise BackupError("a private key of age is damaged: AGE-SECRET-KEY-1… has to be one whole line") from None

    def open(self, sealed: bytes, *, limit: int) -> bytes:
        """Return the content of sealed bytes.

        Args:
            sealed: The bytes.
            limit: Bytes that the content may have at most, as anybody may seal for a public key.

        Raises:
            WrongKeyError: They were sealed for other keys.
            ValueError: They are damaged.
        """
        try:
            packed = self._age.decrypt(sealed, self._keys)
        except self._age.DecryptError as error:
            if "No matching keys" in str(error):
                raise WrongKeyError("the private key does not open this store: it was sealed for others") from None
            raise ValueError("it cannot be decrypted: it is not what was stored") from None
        return self._unpacked(packed, limit)

    def _unpacked(self, packed: bytes, limit: int) -> bytes:
        try:
            # The size stands in the head of what `Sealer` wrote, so that no memory is taken for more.
            size = self._zstd.frame_content_size(packed)
            if size > limit:
                raise ValueError(f"it holds more than {limit} bytes: it is not what was stored")
            content: bytes = self._zstd.ZstdDecompressor().decompress(packed)
        except self._zstd.ZstdError:
            raise ValueError("it cannot be decompressed: it is not what was stored") from None
        return content


def new_identity() -> tuple[str, str]:
    """Return a new private key of age and its public one."""
    made = library("pyrage").x25519.Identity.generate()
    return str(made), str(made.to_public())


def write_identity(path: Path) -> str:
    """Write a new private key where only its owner reads it, and return the public one.

    Raises:
        BackupError: The file is there already, or cannot be written.
    """
    private, public = new_identity()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | posix.CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"# public key: {public}\n{private}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise BackupError(
            f"no private key was written to {path}, as {(error.strerror or str(error)).lower()}"
        ) from None
    return public


def public_key(identity: str) -> str:
    """Return the public key of a private one."""
    return str(library("pyrage").x25519.Identity.from_str(identity).to_public())


def read_identities(path: Path) -> list[str]:
    """Return the private keys in a file as `age-keygen` writes it.

    Raises:
        BackupError: It cannot be read, others may read it, or it has none.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise BackupError(f"the identity file {path} cannot be read: {reason}") from None
    if mode & READABLE_BY_OTHERS and os.name == "posix" and stat.S_ISREG(mode):
        raise BackupError(f"others may read the identity file {path}; chmod 600 makes it yours alone")
    found = [line.strip() for line in lines if line.strip().startswith(_SECRET)]
    if not found:
        raise BackupError(f"{path} holds no line AGE-SECRET-KEY-1… as age-keygen writes it, so no private key")
    return found
