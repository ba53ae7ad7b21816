"""Prune of a store: retention by host, then the objects that no backup needs any more."""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf
from typing import NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery.offsite.choice import corrupt
from peak_observe.backup_recovery.offsite.index import VERSION, IndexFile, Stored
from peak_observe.backup_recovery.offsite.leases import exclusive
from peak_observe.backup_recovery.offsite.record import MANIFESTS, Record, backup_path, manifest_path, object_path
from peak_observe.backup_recovery.offsite.store import Store, Unreadable
from peak_observe.backup_recovery.offsite.verify import age, looked, missing
from peak_observe.backup_recovery.repository.retention import RetentionPolicy, Selection
from peak_observe.errors import BackupError

BATCH = 100  # objects that are removed between two renewals


class PruneReport(NamedTuple):
    """Result of a prune.

    Args:
        by_host: The backups that stay and that were removed, by host.
        objects: Objects that were removed.
        freed_bytes: Their bytes in the store.
    """

    by_host: dict[str, Selection]
    objects: int
    freed_bytes: int


def select(
    store: Store, policy: RetentionPolicy, damaged: Collection[tuple[str, str]] = (), now: float = inf
) -> tuple[dict[str, Selection], list[Record]]:
    """Return what a policy keeps and removes of each host, and all records.

    Raises:
        BackupError: A record cannot be read, so that nobody knows what it needs.
    """
    records: list[Record] = []
    for name, found in store.records():
        if isinstance(found, Unreadable):
            raise BackupError(f"nothing was removed, as {name} cannot be read: {found.reason}; remove it or push again")
        records.append(found)
    look = looked(store)
    gone = {(record.host, record.backup.backup_id) for record in records if missing(record, look)}
    lost = corrupt(records, {*damaged, *gone})
    records.sort(key=lambda record: age(record, now))
    return {host: _selected(policy, host, records, lost) for host in sorted({one.host for one in records})}, records


def _selected(policy: RetentionPolicy, host: str, records: list[Record], lost: set[tuple[str, str]]) -> Selection:
    own = [record.backup for record in records if record.host == host]
    backups = [replace(backup, sequence=number) for number, backup in enumerate(own, 1)]
    return policy.select(backups, corrupt={backup_id for at, backup_id in lost if at == host})


def prune(
    store: Store,
    policy: RetentionPolicy,
    *,
    damaged: Collection[tuple[str, str]] = (),
    now: float = inf,
    dry_run: bool = False,
) -> PruneReport:
    """Remove what a policy does not keep, and what no backup needs.

    Args:
        store: The store; no private key is needed.
        policy: What to keep, host by host.
        damaged: Hosts and names of backups of which it is known that nobody restores them: they count as not good.
        now: The Unix time in seconds, after which backups are no newer ones.
        dry_run: Whether to tell only.

    Raises:
        StoreError: A push is under way, or the store refuses.
        BackupError: A record cannot be read.
    """
    if dry_run:
        chosen, records = select(store, policy, damaged, now)
        garbage = _garbage(store, _kept(chosen, records))
        return PruneReport(chosen, len(garbage), sum(garbage.values()))
    with exclusive(store.transport) as renew:
        chosen, records = select(store, policy, damaged, now)
        kept = _kept(chosen, records)
        _remove_backups(store, chosen)
        _remove_strays(store, kept)
        store.transport.clear()
        garbage = _garbage(store, kept)
        _rewrite_indexes(store, set(garbage))
        _remove_objects(store, list(garbage), renew)
    return PruneReport(chosen, len(garbage), sum(garbage.values()))


def _kept(chosen: dict[str, Selection], records: list[Record]) -> list[Record]:
    gone = {(host, backup.backup_id) for host, selection in chosen.items() for backup in selection.remove}
    return [record for record in records if (record.host, record.backup.backup_id) not in gone]


def _garbage(store: Store, kept: list[Record]) -> dict[str, int]:
    needed = {name.hex() for record in kept for name in record.needs}
    return {name: size for name, size in store.present().items() if name not in needed}


def _remove_backups(store: Store, chosen: dict[str, Selection]) -> None:
    for host, selection in chosen.items():
        for backup in selection.remove:
            store.transport.delete([backup_path(host, backup.backup_id), manifest_path(host, backup.backup_id)])


def _remove_strays(store: Store, kept: list[Record]) -> None:
    """Remove manifests without a record, which a push that was cut off has left."""
    wanted = {manifest_path(record.host, record.backup.backup_id) for record in kept}
    store.transport.delete([found.name for found in store.listed(MANIFESTS) if found.name not in wanted])


def _rewrite_indexes(store: Store, garbage: set[str]) -> None:
    """Write one index of what stays, and remove the others; before the objects, so that none is named that is gone."""
    names: list[str] = []
    objects: dict[bytes, Stored] = {}
    files: dict[bytes, bytes] = {}
    for name, found in store.indexes():
        if isinstance(found, Unreadable):
            continue  # it stays, as somebody may still bring it back
        names.append(name)
        objects.update((item.name, item) for item in found.objects if item.name.hex() not in garbage)
        files.update(found.files)
    pieces = {piece for item in objects.values() for piece, _ in item.pieces}
    files = {file: joined for file, joined in files.items() if joined[:32] in pieces}
    if not names or (len(names) == 1 and not garbage):
        return
    made = store.write_index(IndexFile(VERSION, list(objects.values()), files))
    store.transport.delete([name for name in names if name != made])


def _remove_objects(store: Store, names: list[str], renew: Callable[[], None]) -> None:
    for start in range(0, len(names), BATCH):
        renew()
        store.transport.delete([object_path(bytes.fromhex(name)) for name in names[start : start + BATCH]])
