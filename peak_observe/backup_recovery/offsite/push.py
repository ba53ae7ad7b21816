"""Push of one backup: what is not stored yet is sealed and sent, then the manifest, and the record last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from blake3 import blake3

from peak_observe.backup_recovery.files.copying import opened
from peak_observe.backup_recovery.files.safe_read import content
from peak_observe.backup_recovery.files.workers import Meter, Progress
from peak_observe.backup_recovery.offsite.chunks import SPLIT_ABOVE, chunks
from peak_observe.backup_recovery.offsite.encryption import is_as_long
from peak_observe.backup_recovery.offsite.index import VERSION as INDEX_VERSION
from peak_observe.backup_recovery.offsite.index import Index, IndexFile, Stored
from peak_observe.backup_recovery.offsite.leases import Lease
from peak_observe.backup_recovery.offsite.record import VERSION, Record, backup_path, manifest_path, object_path
from peak_observe.backup_recovery.offsite.store import Store
from peak_observe.backup_recovery.offsite.workers import Requests
from peak_observe.backup_recovery.repository.manifest import FILE, Entry, decode_name
from peak_observe.backup_recovery.repository.manifest_file import ManifestFile
from peak_observe.backup_recovery.repository.metadata import BackupMetadata, BackupStatus
from peak_observe.backup_recovery.repository.repository import MANIFEST, METADATA, Repository
from peak_observe.clock import Clock
from peak_observe.errors import BackupCorruptError, BackupError, ObjectMissingError, StoreError
from peak_observe.support.loggers import logger

_log = logger("peak_observe.backup")
Tell = Callable[[Progress], object]

BUNDLE = 16 << 20
"""Bytes of content in an object: a request for each small file would take longer, and cost more, than the bytes."""


class PushReport(NamedTuple):
    """Result of a push.

    Args:
        backup_id: The backup.
        files: Its files.
        size_bytes: Their bytes.
        sent_bytes: Bytes that were sent, compressed and encrypted.
        new_bytes: Bytes of content that were not stored yet; the rest was.
        objects: Objects that were written.
        stored_objects: Objects in the store.
        stored_bytes: Their bytes.
        was_there: Whether the backup was in the store already.
    """

    backup_id: str
    files: int
    size_bytes: int
    sent_bytes: int
    new_bytes: int
    objects: int
    stored_objects: int = 0
    stored_bytes: int = 0
    was_there: bool = False


class Push:
    """Push of one backup.

    Args:
        store: The store.
        repository: Where the backup is.
        backup: The backup.
        host: Name under which the store keeps it.
        clock: For the renewal of the lease.
        tell: Called with a `Progress`.
    """

    def __init__(
        self,
        store: Store,
        repository: Repository,
        backup: BackupMetadata,
        *,
        host: str,
        clock: Clock,
        tell: Tell | None = None,
    ) -> None:
        self._store = store
        self._backup = backup
        self._host = host
        self._repository = repository
        self._folder = repository.folder(backup.backup_id)
        self._tell = tell
        self._lease = Lease(store.transport, clock, host)
        self._manifest = ManifestFile(self._folder / MANIFEST)
        self._lock = threading.Lock()
        self._sent = self._new = 0
        self._objects: list[Stored] = []
        self._split: dict[bytes, bytes] = {}
        self._needs: set[bytes] = set()

    def run(self) -> PushReport:
        """Send the backup.

        Raises:
            BackupCorruptError: What is stored here is not what was stored; nothing of it counts as sent.
            BackupNotFoundError: It was removed meanwhile.
            StoreError: The store refuses, or cannot be reached.
        """
        self._check()
        self._lease.take()
        try:
            self._store.share_key()
            present = self._store.present()
            index, _ = self._store.index(present, ours=True)
            self._send(index, present)
            self._commit()
        finally:
            self._lease.end()
        return PushReport(
            self._backup.backup_id,
            self._backup.files_count,
            self._backup.size_bytes,
            self._sent,
            self._new,
            len(self._objects),
            *_counted({**present, **{item.name.hex(): item.sealed for item in self._objects}}),
        )

    def _check(self) -> None:
        backup_id = self._backup.backup_id
        if self._backup.status not in (BackupStatus.SUCCESS, BackupStatus.PARTIAL):
            raise BackupError(f"{backup_id} {self._backup.status.value}: there is nothing to push")
        if not self._backup.manifest:
            raise BackupError(f"{backup_id} has no manifest, as an older program made it: make a new backup")
        with self._repository.reading(self._backup):
            found = self._manifest.check(backup_id, self._backup.base)
        if found != self._backup.manifest:
            raise BackupCorruptError(backup_id, (f"{MANIFEST}: it is not what was written",))

    def _entries(self) -> Iterator[Entry]:
        """Yield the files with content that this backup's own folder holds."""
        with self._repository.reading(self._backup):
            for entry in chain.from_iterable(self._manifest.entries()):
                if entry.type == FILE and entry.size and not entry.base:
                    yield entry

    def _send(self, index: Index, present: dict[str, int]) -> None:
        thin = index.thin(self._all_pieces(index)) if index.objects else set()
        meter = Meter(self._tell, "push", self._backup.files_count, self._backup.size_bytes)
        done: set[bytes] = set()
        with Requests() as requests:
            bundle = _Bundle()
            for entry in self._entries():
                name = self._name(entry)
                if name not in done and not self._is_there(index, name, entry, thin):
                    for piece, text in self._pieces(entry, name):
                        if piece in done or self._reuse(index, piece, thin):
                            continue
                        done.add(piece)
                        if bundle.size and bundle.size + len(text) > BUNDLE:
                            bundle = self._written(bundle, requests, present)
                        bundle.add(piece, text)
                done.add(name)
                meter.file(entry.size)
                self._lease.renew()
            if bundle.size:
                self._written(bundle, requests, present)

    def _all_pieces(self, index: Index) -> Iterator[bytes]:
        """Yield the names of all pieces; a large file that has changed is read for it, and again if it is sent."""
        for entry in self._entries():
            name = self._name(entry)
            if entry.size > SPLIT_ABOVE and not index.was_split(name):
                yield from (piece for piece, _ in self._pieces(entry, name))
            else:
                yield from index.pieces(name)

    def _name(self, entry: Entry) -> bytes:
        return self._store.namer.of_hash(bytes.fromhex(entry.blake3))

    def _is_there(self, index: Index, name: bytes, entry: Entry, thin: set[bytes]) -> bool:
        """Return whether all of a file is stored, so that it need not be read, and note the objects that it needs."""
        if entry.size > SPLIT_ABOVE and not index.was_split(name):
            return False
        places = [index.place(piece) for piece in index.pieces(name)]
        if any(place is None or place.object in thin for place in places):
            return False
        self._needs.update(place.object for place in places if place is not None)
        return True

    def _reuse(self, index: Index, piece: bytes, thin: set[bytes]) -> bool:
        place = index.place(piece)
        if place is None or place.object in thin:
            return False
        self._needs.add(place.object)
        return True

    def _pieces(self, entry: Entry, name: bytes) -> Iterator[tuple[bytes, memoryview]]:
        """Yield the pieces of a file with their names, and check that it is what was stored."""
        hasher, size, names = blake3(), 0, list[bytes]()
        with self._repository.reading(self._backup, entry.stored):
            descriptor, _ = opened(f"{self._folder}/{decode_name(entry.stored)}")
            with open(descriptor, "rb", buffering=0) as file:
                for text in chunks(file, entry.size):
                    hasher.update(text)
                    size += len(text)
                    names.append(self._store.namer.of(text))
                    yield names[-1], text
        if (size, hasher.hexdigest()) != (entry.size, entry.blake3):
            raise BackupCorruptError(self._backup.backup_id, (f"{entry.stored}: its content has changed",))
        if entry.size > SPLIT_ABOVE:
            self._split[name] = b"".join(names)

    def _written(self, bundle: _Bundle, requests: Requests, present: dict[str, int]) -> _Bundle:
        requests.submit(lambda: self._write(bundle, present))
        return _Bundle()

    def _write(self, bundle: _Bundle, present: dict[str, int]) -> None:
        text = b"".join([*bundle.texts, self._store.salt])
        bundle.texts.clear()
        name = self._store.namer.of(text)
        known = present.get(name.hex())  # sent before the last push broke off
        sealed = self._store.seal(text)
        is_whole = known is not None and is_as_long(known, sealed)
        if not is_whole:
            self._store.transport.put(object_path(name), sealed, new=known is None)
        with self._lock:
            self._needs.add(name)
            size = known if is_whole and known else len(sealed)
            self._objects.append(Stored(name, len(text), size, bundle.pieces, self._store.marks))
            self._new += len(text)
            self._sent += 0 if is_whole else len(sealed)

    def _commit(self) -> None:
        """Write index, manifest and record, after making sure that all objects are still there."""
        with self._repository.reading(self._backup):
            manifest = content(self._folder / MANIFEST)
        with self._repository.reading(self._backup, METADATA):
            metadata = content(self._folder / METADATA)
        if self._objects or self._split:
            self._store.write_index(IndexFile(INDEX_VERSION, self._objects, self._split))
        size = self._store.write_manifest(self._host, self._backup.backup_id, manifest)
        self._sent += size
        if not self._lease.stands() and not self._needs <= self._still_there():
            raise StoreError("a prune has removed what this push relied on, as its lease had expired: push again")
        record = Record(
            VERSION,
            self._host,
            metadata,
            b"".join(sorted(self._needs)),
            self._backup.size_bytes,
            self._sent,
            size,
            self._store.marks,
        )
        self._store.write_record(record)

    def _still_there(self) -> set[bytes]:
        return {bytes.fromhex(name) for name in self._store.present()}


class _Bundle:
    """Pieces that go into one object."""

    def __init__(self) -> None:
        self.pieces: list[tuple[bytes, int]] = []
        self.texts: list[bytes] = []
        self.size = 0

    def add(self, name: bytes, text: memoryview) -> None:
        """Take in a piece."""
        self.pieces.append((name, len(text)))
        self.texts.append(bytes(text))
        self.size += len(text)


def stored(store: Store, backup: BackupMetadata, host: str) -> PushReport | None:
    """Return the report of a backup that is in the store with all that it needs; None if it has to be sent.

    Raises:
        StoreError: The store cannot be reached.
    """
    name = backup_path(host, backup.backup_id)
    try:
        record = store.record(name)
    except (ObjectMissingError, ValueError):
        return None
    path = manifest_path(host, backup.backup_id)
    found = None if path in store.distrusted else store.transport.stat(path)
    if record.backup != backup or record.wrong_manifest(found and found.size) or not store.opens(record.recipients):
        return None
    present = store.present()
    objects = store.index(present, ours=True)[0].objects
    if any(needed not in objects for needed in record.needs):
        _log.warning("%s in the store misses objects, and is sent again", backup.backup_id)
        return None
    sizes = backup.files_count, backup.size_bytes
    return PushReport(backup.backup_id, *sizes, 0, 0, 0, *_counted(present), was_there=True)


def _counted(present: dict[str, int]) -> tuple[int, int]:
    return len(present), sum(present.values())
