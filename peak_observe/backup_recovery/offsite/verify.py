"""Verification of a store: without the private key that all is there, with it that every byte is right."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf
from typing import NamedTuple

from peak_observe.backup_recovery.files.workers import Progress
from peak_observe.backup_recovery.offsite.choice import bases
from peak_observe.backup_recovery.offsite.fetch import Fetch
from peak_observe.backup_recovery.offsite.index import Index
from peak_observe.backup_recovery.offsite.record import MANIFESTS, Record, backup_path, manifest_path, shown_object
from peak_observe.backup_recovery.offsite.store import Store, Unreadable
from peak_observe.backup_recovery.repository.metadata import SKEW
from peak_observe.errors import BackupNotFoundError

Tell = Callable[[Progress], object]


class StoreReport(NamedTuple):
    """Result of verifying one backup in a store.

    Args:
        backup_id: The backup.
        host: Whose it is.
        size_bytes: Bytes of its files.
        every_byte: Whether every byte was read; without the private key only what is there.
        problems: What is wrong, a line an object.
    """

    backup_id: str
    host: str
    size_bytes: int
    every_byte: bool
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Look(NamedTuple):
    """Look at a store that needs no private key.

    Args:
        present: The objects with their bytes.
        manifests: The manifests with theirs, by their names.
        told: All that the indexes tell.
        bad: The indexes that cannot be read.
    """

    present: dict[str, int]
    manifests: dict[str, int]
    told: Index
    bad: list[Unreadable]


def verify(store: Store, records: list[Record], known: list[Record], tell: Tell | None = None) -> list[StoreReport]:
    """Return what is wrong with each backup, and with what it is based on, without which nobody restores it.

    Args:
        store: The store, with the private key at hand if every byte is to be read.
        records: The backups.
        known: All that the store has.
        tell: Called with a `Progress`.

    Raises:
        StoreError: The store cannot be reached.
    """
    look = looked(store)
    sound: set[bytes] = set()  # many backups share what is read once

    @cache  # many are based on one
    def wrong(record: Record) -> list[str]:
        if store.opener is None:
            return missing(record, look)
        return Fetch(store, record, look.told, tell).check(sound)

    def report(record: Record) -> StoreReport:
        backup = record.backup
        try:
            problems = [line for needed in (*bases(known, record), record) for line in wrong(needed)]
        except BackupNotFoundError:
            place = backup_path(record.host, backup.base)
            problems = [f"{place}: is missing or damaged, and this backup is based on it", *wrong(record)]
        found = tuple(dict.fromkeys([*problems, *map(str, look.bad)] if problems else []))
        return StoreReport(backup.backup_id, record.host, backup.size_bytes, store.opener is not None, found)

    return [report(record) for record in records]


def looked(store: Store) -> Look:
    """Return what a store lists, and what its indexes tell.

    Raises:
        StoreError: It cannot be reached.
    """
    manifests = {found.name: found.size for found in store.listed(MANIFESTS)}
    return Look(store.present(), manifests, *store.index())


def missing(record: Record, look: Look) -> list[str]:
    """Return what is missing or has another size than was written."""
    problems = []
    for name in record.needs:
        found, known = look.present.get(name.hex()), look.told.objects.get(name)
        if found is None:
            problems.append(f"{shown_object(name)}: is missing")
        elif known is None:
            problems.append(f"{shown_object(name)}: no index tells what is in it")
        elif known[1] != found:
            problems.append(f"{shown_object(name)}: has {found} bytes instead of {known[1]}")
    path = manifest_path(record.host, record.backup.backup_id)
    if wrong := record.wrong_manifest(look.manifests.get(path)):
        problems.append(f"{path}: {wrong}")
    return problems


def of_unreadable(item: Unreadable) -> StoreReport:
    """Return what a record that cannot be read tells: its host and name, and that it is damaged."""
    folder, _, backup_id = item.name.rpartition("/")
    return StoreReport(backup_id, folder.rpartition("/")[2], 0, every_byte=False, problems=(str(item),))


def newest_by_host(records: list[Record]) -> dict[str, Record]:
    """Return the newest good backup of each host, of records of which the newest are first."""
    found: dict[str, Record] = {}
    for record in records:
        if record.backup.good:
            found.setdefault(record.host, record)
    return found


def readable(store: Store, now: float = inf) -> tuple[list[Record], list[Unreadable]]:
    """Return the records that can be read, the newest first, and those that cannot.

    Those of the future, which a clock that was ahead has made, are last: they would be the newest for ever.

    Args:
        store: The store.
        now: The Unix time in seconds.

    Raises:
        StoreError: The store cannot be reached.
    """
    good: list[Record] = []
    bad: list[Unreadable] = []
    for _, found in store.records():
        if isinstance(found, Unreadable):
            bad.append(found)
        else:
            good.append(found)

    return sorted(good, key=lambda record: age(record, now), reverse=True), bad


def age(record: Record, now: float) -> tuple[float, tuple[object, ...]]:
    """Return the sort key of records, the oldest first.

    A host that was installed anew begins to number its backups at 1, so that the time counts before the number.
    """
    made = record.backup.created.timestamp()
    return made if made <= now + SKEW else -inf, record.backup.order
