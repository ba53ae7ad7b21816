"""Store: its key, its records and its objects, read and written over a transport."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from peak_observe.backup_recovery.offsite.encryption import Opener, Sealer
from peak_observe.backup_recovery.offsite.index import Index, IndexFile
from peak_observe.backup_recovery.offsite.index_cache import IndexCache
from peak_observe.backup_recovery.offsite.record import (
    FOLDER,
    INDEXES,
    OBJECTS,
    STORE,
    VERSION,
    Record,
    StoreFile,
    backup_path,
    is_ours,
    manifest_path,
    object_path,
)
from peak_observe.backup_recovery.offsite.store_key import StoreKey
from peak_observe.backup_recovery.offsite.transport import NO_STORE, Found, Transport
from peak_observe.errors import BackupError, ObjectMissingError, StoreError, WrongKeyError

FORMAT = "peak_observe off-site"
KEYS = "keys/"
MARK = 8  # bytes
SMALL, OBJECT, LARGE = 1 << 20, 64 << 20, 1 << 30
"""Bytes that a key, an object and a manifest or index may have, whoever wrote them."""


class Unreadable(NamedTuple):
    """Record or index that cannot be read.

    Args:
        name: Its name in the store.
        reason: Why, in words.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class Store:
    """Store with its key at hand.

    Args:
        transport: How to get there.
        key: Its key.
        recipients: Public keys that content is sealed for; none to read only.
        usual: Those that it was made with: what an older program wrote is taken to be sealed for them.
        opener: Private keys that open content; None on a host that only pushes.
        cache: Where indexes are kept that were read once, as they never change; None to read those of the store.
    """

    def __init__(
        self,
        transport: Transport,
        key: StoreKey,
        *,
        recipients: Iterable[str] = (),
        usual: Iterable[str] = (),
        opener: Opener | None = None,
        cache: IndexCache | None = None,
    ) -> None:
        recipients = tuple(recipients)
        self.transport = transport
        self.key = key
        self.namer = key.namer()
        self._authenticator = key.authenticator()
        self._own_sealer, self._own_opener = Sealer([key.recipient]), Opener([key.identity])
        self.sealer = Sealer(recipients) if recipients else None
        self.marks = self._marks(self.sealer.recipients if self.sealer else ())
        self._usual = self._marks(usual)
        self.opener = opener
        self._cache = cache
        self._unreadable: set[str] = set()
        self.distrusted: set[str] = set()  # manifests that are known to be damaged whatever their size

    def _marks(self, recipients: Iterable[str]) -> bytes:
        """Return keyed hashes of recipients, which tell nobody else who they are."""
        return b"".join(sorted({self.namer.of(text.encode())[:MARK] for text in recipients}))

    def opens(self, marks: bytes) -> bool:
        """Return whether each recipient of now opens what was sealed for those with these marks."""
        return _each(self.marks) <= _each(marks or self._usual)

    @property
    def salt(self) -> bytes:
        """What follows the content of an object: for other recipients it has another name, so that both stay."""
        return b"" if self.marks == self._usual else self.marks

    def write_key(self) -> None:
        """Write the store's key for the recipients of now; those of before keep what was sealed for them."""
        if self.sealer is not None:
            write_key(self.transport, self.key, self.sealer, self._key_of_recipients())

    def _key_of_recipients(self) -> str:
        return _key_name(self.key.store, f"-{self.namer.of(self.salt)[:MARK].hex()}" if self.salt else "")

    def share_key(self) -> None:
        """Make sure that the recipients of now open the store's key."""
        if self.salt and self.transport.stat(self._key_of_recipients()) is None:
            self.write_key()

    def records(self) -> Iterator[tuple[str, Record | Unreadable]]:
        """Yield all records with their names, the unreadable ones too.

        Raises:
            StoreError: The store cannot be reached.
        """
        for found in self.listed(FOLDER):
            try:
                yield found.name, self.record(found.name)
            except ObjectMissingError:
                continue  # a prune has just removed it
            except ValueError as error:
                yield found.name, Unreadable(found.name, str(error))

    def listed(self, folder: str) -> Iterator[Found]:
        """Yield what is in a folder of the store, but for files of somebody else."""
        return (found for found in self.transport.list(f"{folder}/") if is_ours(found.name))

    def record(self, name: str) -> Record:
        """Return one record.

        Raises:
            ValueError: It is not what this store's hosts wrote.
            StoreError: There is none, or the store cannot be reached.
        """
        sealed = self.transport.get(name)
        content = self._authenticator.check(name, self._own(sealed, LARGE))
        found = Record.decode(content)
        if backup_path(found.host, found.backup.backup_id) != name:
            raise ValueError("it is that of another backup")
        return found

    def write_record(self, record: Record) -> None:
        """Write the record of a backup, with which it is there.

        Raises:
            StoreError: That is not possible.
        """
        name = backup_path(record.host, record.backup.backup_id)
        self.transport.flush()  # what it names comes first
        self.transport.put(name, self._own_sealer.seal(self._authenticator.sign(name, record.encode())))
        self.transport.flush()

    def write_manifest(self, host: str, backup_id: str, text: bytes) -> int:
        """Write a backup's manifest, and return its bytes in the store."""
        sealed, path = self.seal(text), manifest_path(host, backup_id)
        self.transport.put(path, sealed)
        self.distrusted.discard(path)
        return len(sealed)

    def manifest(self, host: str, backup_id: str) -> bytes:
        """Return the text of a backup's manifest.

        Raises:
            ValueError: It is damaged.
            StoreError: It is missing, or the store cannot be reached.
        """
        return self.open(self.transport.get(manifest_path(host, backup_id)), LARGE)

    def write_index(self, found: IndexFile) -> str:
        """Write an index, also in place of one of its name that cannot be read, and return its name."""
        content = found.encode()
        name = f"{INDEXES}/{self.namer.of(content).hex()}"
        sealed = self._own_sealer.seal(content)
        self.transport.put(name, sealed, new=name not in self._unreadable)
        if self._cache is not None:
            self._cache.put(name, sealed)
        return name

    def read_index(self, sealed: bytes, name: str) -> IndexFile:
        """Return the index in sealed bytes.

        Raises:
            ValueError: They are not what was written under this name.
        """
        content = self._own(sealed, LARGE)
        if f"{INDEXES}/{self.namer.of(content).hex()}" != name:
            raise ValueError("its content is not that of its name")
        return IndexFile.decode(content)

    def indexes(self) -> Iterator[tuple[str, IndexFile | Unreadable]]:
        """Yield all indexes with their names, the oldest first, the unreadable ones too."""
        listed = sorted(self.listed(INDEXES), key=lambda found: (found.modified, found.name))
        if self._cache is not None:
            self._cache.keep({found.name for found in listed})
        for found in listed:
            try:
                yield found.name, self._cached(found) or self._fetched(found.name)
            except ObjectMissingError:
                continue
            except (ValueError, WrongKeyError) as error:
                self._unreadable.add(found.name)
                yield found.name, Unreadable(found.name, str(error))

    def _cached(self, found: Found) -> IndexFile | None:
        """Return an index as it was kept; None where that cannot be what the store has."""
        sealed = None if self._cache is None else self._cache.get(found.name)
        with suppress(ValueError):
            return self.read_index(sealed, found.name) if sealed and len(sealed) == found.size else None
        return None

    def _fetched(self, name: str) -> IndexFile:
        sealed = self.transport.get(name)
        index = self.read_index(sealed, name)
        if self._cache is not None:
            self._cache.put(name, sealed)
        return index

    def mend_indexes(self) -> None:
        """Write those indexes anew that are damaged and were kept here, and believe none that was kept from now on.

        A damaged one has mostly the size that it should have, so that what was kept hides it.
        """
        kept, self._cache = self._cache, None
        for name, found in self.indexes():
            sealed = kept.get(name) if kept is not None and isinstance(found, Unreadable) else None
            with suppress(ValueError):
                if sealed is not None and self.read_index(sealed, name):
                    self.transport.put(name, sealed)

    def present(self) -> dict[str, int]:
        """Return the objects that are there, with their bytes in the store."""
        return {found.name.rpartition("/")[2]: found.size for found in self.listed(OBJECTS)}

    def index(self, present: dict[str, int] | None = None, *, ours: bool = False) -> tuple[Index, list[Unreadable]]:
        """Return all that the indexes tell, and those that cannot be read.

        Args:
            present: The objects that are there, with their bytes; None for all that are indexed.
            ours: Whether only objects count that each recipient of now opens.
        """
        index, bad = Index(present, self.opens if ours else None), []
        for _, found in self.indexes():
            if isinstance(found, Unreadable):
                bad.append(found)
            else:
                index.add(found)
        return index, bad

    def seal(self, content: bytes) -> bytes:
        """Return content sealed for the recipients.

        Raises:
            BackupError: None are known.
        """
        if self.sealer is None:
            raise BackupError("no recipient is named: recipients = ['age1…'] holds the public key of age")
        return self.sealer.seal(content)

    def object(self, name: bytes) -> bytes:
        """Return the content of an object, which is what its name says.

        Raises:
            ValueError: It is damaged.
            StoreError: It is missing, or the store cannot be reached.
        """
        content = self.open(self.transport.get(object_path(name)), OBJECT)
        if self.namer.of(content) != name:
            raise ValueError("its content is not what was stored")
        return content

    def open(self, sealed: bytes, limit: int) -> bytes:
        """Return what was sealed for the recipients.

        Raises:
            ValueError: It is damaged, or it was sealed for others.
        """
        if self.opener is None:
            raise BackupError("the private key is needed to read what is stored: give --identity FILE")
        return _opened(self.opener, sealed, limit)

    def _own(self, sealed: bytes, limit: int) -> bytes:
        return _opened(self._own_opener, sealed, limit)


def _opened(opener: Opener, sealed: bytes, limit: int) -> bytes:
    try:
        return opener.open(sealed, limit=limit)
    except WrongKeyError:  # the key is the right one: it has opened the store's own, or is the store's own
        raise ValueError("it is not what was stored, or was sealed for other recipients") from None


def create(transport: Transport, recipients: Iterable[str]) -> StoreKey:
    """Make a new store, and return its key.

    Raises:
        StoreError: There is one already, or it cannot be written.
    """
    if transport.stat(STORE) is not None:
        raise StoreError("there is a store already: with --identity FILE this host joins it")
    sealer, key = Sealer(recipients), StoreKey.generate()
    write_key(transport, key, sealer, _key_name(key.store))
    made = StoreFile(FORMAT, VERSION, key.store, list(sealer.recipients))
    transport.put(STORE, msgspec.json.format(msgspec.json.encode(made), indent=2), new=True)
    if described(transport).store != key.store:  # two hosts at once; the first one counts
        raise StoreError("another host made the store at the same time: with --identity FILE this host joins it")
    return key


def write_key(transport: Transport, key: StoreKey, sealer: Sealer, name: str) -> None:
    """Write the store's key into the store under a name, sealed for the recipients."""
    transport.put(name, sealer.seal(key.to_json()))


def described(transport: Transport) -> StoreFile:
    """Return what a store says of itself.

    Raises:
        StoreError: There is none, or one of a later version.
    """
    try:
        found = msgspec.json.decode(transport.get(STORE), type=StoreFile)
    except ObjectMissingError:
        raise ObjectMissingError(f"there is no store at this address: {NO_STORE}") from None
    except ValueError:
        raise StoreError(f"{STORE} is damaged: it does not tell the store's number") from None
    if found.format != FORMAT or found.version != VERSION:
        raise StoreError(f"the store has version {found.version}: a newer peak-observe wrote it")
    return found


def unlocked(transport: Transport, opener: Opener) -> StoreKey:
    """Return the store's key, from the store itself.

    Raises:
        WrongKeyError: The private key is another one.
        StoreError: There is no store.
    """
    store = described(transport).store
    if not store.isalnum():
        raise StoreError(f"{STORE} is damaged: its number is {store!r}")
    try:
        return _unlocked(transport, opener, store, _key_name(store))
    except WrongKeyError:
        for found in transport.list(KEYS):
            if found.name.startswith(f"{KEYS}{store}-"):  # of recipients who were named later
                with suppress(WrongKeyError):
                    return _unlocked(transport, opener, store, found.name)
        raise


def _unlocked(transport: Transport, opener: Opener, store: str, name: str) -> StoreKey:
    try:
        key = StoreKey.from_json(opener.open(transport.get(name), limit=SMALL))
    except ValueError as error:
        raise StoreError(f"{name} is damaged: {error}") from None
    if key.store != store:
        raise StoreError(f"{name} is the key of another store")
    return key


def _key_name(store: str, of: str = "") -> str:
    return f"{KEYS}{store}{of}.age"


def _each(marks: bytes) -> set[bytes]:
    return {marks[at : at + MARK] for at in range(0, len(marks), MARK)}
