"""Initialization of an off-site store: one store with one key, however many processes of a host begin at once."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.offsite import store as stores
from peak_observe.backup_recovery.offsite.encryption import Opener, Sealer, read_identities
from peak_observe.backup_recovery.offsite.store import Store
from peak_observe.backup_recovery.offsite.store_key import StoreKey
from peak_observe.backup_recovery.repository.locking import briefly_locked
from peak_observe.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from peak_observe.backup_recovery.offsite.transport import Transport


def initialize(
    transport: Transport, key_file: Path, recipients: Collection[str], identity: str | Path | None
) -> StoreKey:
    """Make a new store, or join the one that is there; return its key.

    Args:
        transport: The store.
        key_file: Where the key is kept on this host.
        recipients: Public keys for which the key is sealed in the store.
        identity: File with a private key; only to join a store.

    Raises:
        BackupError: There is a store and no private key is given, or a key is invalid.
    """
    with _alone(key_file):
        if identity is None and key_file.exists():
            return _renewed(transport, key_file, recipients)
        key = stores.create(transport, recipients) if identity is None else _joined(transport, recipients, identity)
        key.save(key_file)
        return key


@contextmanager
def _alone(key_file: Path) -> Iterator[None]:
    """Keep other processes of this host out: the second one finds the key of the first."""
    with ExitStack() as held:
        try:
            key_file.parent.mkdir(0o700, parents=True, exist_ok=True)
            held.enter_context(briefly_locked(key_file.with_name(f".{key_file.name}.lock")))
        except OSError as error:
            why = error.strerror or error
            raise BackupError(f"the store's key cannot be written to {key_file}: {why}") from None
        yield


def _renewed(transport: Transport, key_file: Path, recipients: Collection[str]) -> StoreKey:
    """Return the key that this host has, and seal it anew: the recipients may be others now."""
    key = StoreKey.load(key_file)
    found = stores.described(transport)
    if found.store != key.store:
        raise BackupError(f"{key_file} is the key of another store; move it away first")
    Store(transport, key, recipients=Sealer(recipients).recipients, usual=found.recipients).write_key()
    return key


def _joined(transport: Transport, recipients: Collection[str], identity: str | Path) -> StoreKey:
    key = stores.unlocked(transport, Opener(read_identities(Path(identity))))
    Store(transport, key, recipients=recipients, usual=stores.described(transport).recipients).write_key()
    return key
