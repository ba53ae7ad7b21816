"""Record of one backup in a store: written last, so that a backup is there or is not."""

from __future__ import annotations

import re
import socket
from typing import Any, NamedTuple

import msgspec

from peak_observe.backup_recovery.offsite.encryption import LEAST
from peak_observe.backup_recovery.offsite.store_key import HASH
from peak_observe.backup_recovery.repository.manifest import check_id
from peak_observe.backup_recovery.repository.metadata import BackupMetadata
from peak_observe.support.shown import shown

VERSION = 1
FOLDER, MANIFESTS, OBJECTS, INDEXES = "backups", "manifests", "objects", "indexes"
LEASES, PRUNES = "leases", "prunes"
STORE = "store.json"
SHOWN = len("objects/00/") + 16
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_OURS = re.compile(
    rf"{OBJECTS}/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}|{INDEXES}/[0-9a-f]{{64}}|{LEASES}/[0-9a-f]{{16}}"
    rf"|({FOLDER}|{MANIFESTS})/{_HOST.pattern}/backup_[A-Za-z0-9_.-]+"
)


class Record(msgspec.Struct, frozen=True):
    """Record of one backup.

    Args:
        version: The form of it.
        host: The host, or whatever name its pushes have.
        metadata: The text of `metadata.json`, as it is in the repository.
        objects: Names of the objects that it needs, one after another.
        files: Bytes of all its files' content.
        sent: Bytes that the push has sent.
        manifest: Bytes of the manifest in the store; 0 in older records, and older programs do not look at it.
        recipients: Marks of whom the manifest is sealed for, see `Store.marks`; empty in older records.
    """

    version: int
    host: str
    metadata: bytes
    objects: bytes
    files: int = 0
    sent: int = 0
    manifest: int = 0
    recipients: bytes = b""

    @property
    def backup(self) -> BackupMetadata:
        """Metadata of the backup.

        Raises:
            ValueError: It is not what was written.
        """
        return BackupMetadata.from_json(self.metadata)

    @property
    def needs(self) -> list[bytes]:
        """Names of the objects that it needs."""
        return [self.objects[at : at + HASH] for at in range(0, len(self.objects), HASH)]

    def wrong_manifest(self, size: int | None) -> str:
        """Return what is wrong with a manifest of so many bytes, None if it is not there; "" if it may be sound."""
        if size is None:
            return "is missing"
        if size < LEAST or (self.manifest and size != self.manifest):
            return f"has {size} bytes instead of {self.manifest or f'{LEAST} or more'}"
        return ""

    def encode(self) -> bytes:
        """Return the bytes of it."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, content: bytes) -> Record:
        """Return the record in some bytes.

        Raises:
            ValueError: They hold none, or one of a later version.
        """
        found = msgspec.msgpack.decode(content, type=cls)
        if found.version != VERSION:
            raise ValueError(f"it has version {found.version}: a newer peak-observe wrote it")
        return found


class StoredBackup(NamedTuple):
    """One backup in a store.

    Args:
        host: Whose it is.
        backup: Its metadata.
        sent_bytes: Bytes that its push has sent.
    """

    host: str
    backup: BackupMetadata
    sent_bytes: int


class StoreFile(msgspec.Struct, frozen=True):
    """Content of `store.json`, which anybody may read.

    Args:
        format: Always `peak_observe off-site`.
        version: The form of the store.
        store: Its number.
        recipients: Public keys that content was sealed for when the store was made.
    """

    format: str
    version: int
    store: str
    recipients: list[str]


def is_ours(name: str) -> bool:
    """Return whether a name in a store is one that this package gives; a NAS or a desktop adds files of its own."""
    return _OURS.fullmatch(name) is not None


def object_path(name: bytes) -> str:
    """Return where an object lies in the store."""
    text = name.hex()
    return f"{OBJECTS}/{text[:2]}/{text}"


def shown_object(name: bytes) -> str:
    """Return an object as messages name it: where it lies, and its name cut, as whole it looks like a secret."""
    return f"{object_path(name)[:SHOWN]}…"


def backup_path(host: str, backup_id: str) -> str:
    """Return where a backup's record lies in the store."""
    return f"{FOLDER}/{checked_host(host)}/{check_id(backup_id)}"


def manifest_path(host: str, backup_id: str) -> str:
    """Return where a backup's manifest lies in the store."""
    return f"{MANIFESTS}/{checked_host(host)}/{check_id(backup_id)}"


def checked_host(host: Any) -> str:
    """Return a name of a host that can stand in a path.

    Raises:
        ValueError: It cannot.
    """
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise ValueError(
            f"host has to be letters, digits, '.', '_' and '-', a letter or digit first, not {shown(host)}"
        )
    return host


def own_name() -> str:
    """Return the name of this host, as far as a path can hold it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()).lstrip("_.-")[:100] or "host"
