"""Damage of a store that is known: it counts until it was looked at again or sent again, and a push mends what it can.

Without the private key nobody sees that a byte has changed, so what was found with it counts until it is whole with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec.structs import replace

from peak_observe.backup_recovery.offsite.choice import bases
from peak_observe.backup_recovery.offsite.push import PushReport
from peak_observe.backup_recovery.offsite.record import (
    MANIFESTS,
    OBJECTS,
    SHOWN,
    Record,
    backup_path,
    manifest_path,
    shown_object,
)
from peak_observe.backup_recovery.offsite.store import Store, Unreadable
from peak_observe.backup_recovery.offsite.verify import StoreReport, of_unreadable, readable, verify
from peak_observe.backup_recovery.repository.offsite_status import Damage, Status
from peak_observe.errors import (
    BackupCorruptError,
    BackupError,
    BackupNotFoundError,
    BackupUnreadableError,
    StoreError,
)
from peak_observe.support.loggers import logger

_log = logger("peak_observe.backup")


def names(records: Collection[Record], bad: Collection[Unreadable]) -> set[str]:
    """Return the names of records in the store."""
    return {backup_path(record.host, record.backup.backup_id) for record in records} | {item.name for item in bad}


def looked_at(
    known: Status, reports: Sequence[StoreReport], recorded: set[str], present: Mapping[str, int], now: float
) -> Status:
    """Return the status after a look at some backups: what was found in others before still counts.

    Args:
        known: What was known before.
        reports: What was found.
        recorded: The names of all records in the store.
        present: The objects in the store, with their bytes.
        now: The time of the look.
    """
    damaged = {name: item for name, item in known.damaged.items() if name in recorded}
    looked = {_name(report): report for report in reports}
    for name, report in looked.items():
        before = damaged.get(name)
        if before is None or report.every_byte or not before.every_byte:
            damaged[name] = _damage(report)
    ok = bool(reports) and all(report.ok for report in reports)
    return replace(
        known.with_damage(damaged, whole=looked.keys() >= recorded),
        objects=len(present),
        stored_bytes=sum(present.values()),
        last_verified=now if ok else known.last_verified,
    )


def _name(report: StoreReport) -> str:
    return backup_path(report.host, report.backup_id)


def _damage(report: StoreReport) -> Damage:
    named = [_object(line) for line in report.problems if report.every_byte and line.startswith((OBJECTS, MANIFESTS))]
    return Damage(len(report.problems), report.every_byte, named)


def _object(line: str) -> str:
    """Return the object that a line names: cut as messages do, or a manifest."""
    return line.partition(": ")[0] if line.startswith(MANIFESTS) else line[: SHOWN + 1]


class Mend:
    """Mend of what is known to be damaged, by a push of the backups that are still here.

    Args:
        store: The store.
        host: Name under which it keeps the backups of this host.
        known: What is damaged, by the record's name, before anything is pushed.
    """

    def __init__(self, store: Store, host: str, known: Mapping[str, Damage]) -> None:
        self._store = store
        self._host = host
        self._known = known
        if known:
            _mend_indexes(store)
        store.distrusted.update(name for item in known.values() for name in item.objects)
        # What is there with its size is not sent again, whatever its content.
        self._there = store.index(store.present())[0].objects if known else {}

    def run(
        self,
        push: Callable[[str], list[PushReport]],
        pushed: Sequence[PushReport],
        note: Callable[[Callable[[Status], Status]], object],
    ) -> None:
        """Send what is missing, and look at it again; where that fails it counts as before, which is logged.

        Args:
            push: Sends a backup, and what it is based on.
            pushed: What was sent already.
            note: Changes the status.
        """
        if not self._known:
            return
        try:
            more = [report for name in self._known for report in self._pushed(name, push)]
            sent = {backup_path(self._host, report.backup_id) for report in (*pushed, *more) if not report.was_there}
            left, sizes = self._left(sent), self._store.present().values()
        except BackupError as error:  # the backup that was meant is there
            _log.warning("what is damaged in the store is not mended: %s", error)
            return
        facts = {"objects": len(sizes), "stored_bytes": sum(sizes)}
        sent_bytes = sum(report.sent_bytes for report in more)

        def changed(status: Status) -> Status:
            others = {name: item for name, item in status.damaged.items() if name not in self._known}
            return replace(status.with_damage({**others, **left}), sent_bytes=status.sent_bytes + sent_bytes, **facts)

        note(changed)

    def _pushed(self, name: str, push: Callable[[str], list[PushReport]]) -> list[PushReport]:
        _, host, backup_id = name.split("/")
        try:
            return push(backup_id) if host == self._host else []
        except BackupNotFoundError:
            return []
        except (BackupCorruptError, BackupUnreadableError) as error:
            _log.warning("%s in the store is damaged and is not sent again: %s", backup_id, error)
            return []

    def _left(self, sent: Collection[str]) -> dict[str, Damage]:
        """Return what is still damaged."""
        known, bad = readable(self._store)  # all of them: what was looked at may be based on any
        records = {backup_path(record.host, record.backup.backup_id): record for record in known}
        left = {item.name: _damage(of_unreadable(item)) for item in bad if item.name in self._known}
        looked = [record for name, record in records.items() if name in self._known]
        for report in verify(self._store, looked, known):
            name = _name(report)
            before = self._known[name]
            if not before.every_byte:
                left[name] = _damage(report)
            elif report.problems:
                left[name] = before
            else:
                needed = [*bases(known, records[name]), records[name]]
                left[name] = self._unseen(before, needed, sent)
        return left

    def _unseen(self, before: Damage, needed: Sequence[Record], sent: Collection[str]) -> Damage:
        """Return what is left of damage that only the private key shows: objects and manifests not sent again."""
        kept = {shown_object(name) for record in needed for name in record.needs if name in self._there}
        paths = [(record.host, record.backup.backup_id) for record in needed]
        kept |= {manifest_path(*path) for path in paths if backup_path(*path) not in sent}
        objects = [name for name in before.objects if name in kept]
        others = 0 if backup_path(*paths[-1]) in sent else before.count - len(before.objects)
        return Damage(others + len(objects), before.every_byte, objects)


def _mend_indexes(store: Store) -> None:
    try:
        store.mend_indexes()
    except StoreError as error:  # credentials that can only add
        _log.warning("what is damaged in the store is not mended: %s", error)
