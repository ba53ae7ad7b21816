"""Metrics reading of a repository, made from its files at each scrape, so that it outlives the process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.backup_recovery.repository.choice import corrupt_of, lost, restorable
from peak_observe.backup_recovery.repository.ledger import Promise
from peak_observe.backup_recovery.repository.metadata import KINDS, telling
from peak_observe.backup_recovery.repository.offsite_status import StatusFile
from peak_observe.backup_recovery.repository.repository import NoAccess
from peak_observe.errors import BackupError
from peak_observe.measures import BACKUPS, BackupReading, KindReading, forks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from peak_observe.backup_recovery.repository.ledger import Account
    from peak_observe.backup_recovery.repository.metadata import BackupMetadata
    from peak_observe.backup_recovery.repository.repository import Repository


class ObservedRepository:
    """Repository whose metrics are read for the life of the process.

    Args:
        repository: The repository.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.named: Callable[[], Collection[str]] = tuple
        self.max_age: float | None = None
        self._asking: list[float] = []

    def read(self) -> BackupReading:
        """Return how things stand; a folder that cannot be read has no backups to show."""
        try:
            found = reading_of(self.repository, kinds=self.named(), max_age=self.max_age)
        except (OSError, BackupError):
            return BackupReading()
        found.running_since = min((since for since in (found.running_since, *self._asking) if since), default=0.0)
        return found

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Show a backup as under way while state providers are asked, of which its ledger knows nothing yet."""
        since = self.repository.clock.now().timestamp()
        self._asking.append(since)
        try:
            yield
        finally:
            self._asking.remove(since)


_observed: dict[tuple[str, Path], ObservedRepository] = {}
_lock = forks.RenewedLock()


def observe(
    repository: Repository,
    named: Callable[[], Collection[str]],
    max_age: float | None,
) -> ObservedRepository:
    """Tell of a repository from now on, and return what tells.

    It is told of once, however many managers work in it; the newest one's promise counts.

    Args:
        repository: The repository.
        named: Returns the parts that something is named for.
        max_age: Seconds that the newest backup may be old; None without a promise.
    """
    key = repository.name, repository.root.absolute()
    with _lock:
        known = _observed.get(key)
        if known is None:
            known = _observed[key] = ObservedRepository(repository)
            BACKUPS.series(repository.name).join(known, known.read)
        known.named = named
        known.max_age = max_age
    return known


def reading_of(repository: Repository, *, kinds: Collection[str], max_age: float | None) -> BackupReading:
    """Return the reading of a repository, after one look at each of its metadata files.

    Args:
        repository: The repository.
        kinds: The parts that something is named for.
        max_age: Seconds that the newest backup may be old; None for what was promised under the repository's label.

    Raises:
        OSError: It cannot be read.
        BackupError: It cannot be listed.
    """
    backups, unreadable = repository.look()
    account = repository.account(backups)
    found = reading(
        backups,
        account,
        promises=account.promised(repository.name),
        kinds=kinds,
        max_age=max_age,
        stored_bytes=repository.measured(onerror=None) if account.stored_bytes is None else account.stored_bytes,
        unreadable=sum(not isinstance(reason, NoAccess) for reason in unreadable.values()),
        gone=lost(repository.root, backups),
        now=repository.clock.now().timestamp(),
    )
    away = StatusFile(repository.own).read()
    found.offsite = None if away is None else away.reading(repository.clock.now().timestamp())
    return found


def reading(
    backups: Collection[BackupMetadata],
    account: Account,
    *,
    promises: Collection[Promise] = (),
    kinds: Collection[str],
    max_age: float | None,
    stored_bytes: int,
    unreadable: int,
    now: float,
    gone: Collection[str] = (),
) -> BackupReading:
    """Return what there is to tell.

    Args:
        backups: All backups, the oldest first.
        account: The ledger.
        promises: Those of the label that is read; the ledger's own is taken without them.
        kinds: The parts that something is named for.
        max_age: Seconds that the newest backup may be old; None if the account knows better.
        stored_bytes: What they take on the disk.
        unreadable: How many backups have metadata that is not what was written.
        now: Unix time in seconds.
        gone: The backups whose manifest or base is gone.
    """
    found = BackupReading()
    promises = promises or [Promise("", account.max_age, account.kinds)]
    good = restorable(backups, corrupt_of(backups, account.corrupt, gone))
    never = KindReading(0.0, now - (account.configured_at or now), 0, 0, 0.0)
    for kind in KINDS:
        expected = any(kind in promise.kinds for promise in promises)
        # Of several callers under one label the one that is worse off shows.
        newest = [_newest(good, kind, promise) for promise in promises if kind in promise.kinds or not expected]
        held = [backup for backup in newest if backup is not None]
        if held and len(held) == len(newest):
            found.kinds[kind] = _kind(min(held, key=lambda backup: backup.order), kind, now)
        elif expected or kind in kinds:
            found.kinds[kind] = never
    found.configured = account.configured_at
    found.last_attempt = account.last_attempt
    found.running_since = account.running_since
    found.last_verified = account.last_verified
    ages = [promise.max_age for promise in promises if promise.max_age is not None]
    found.max_age = min(ages, default=None) if max_age is None else max_age
    found.stored_bytes = stored_bytes
    found.corrupt_files = sum(account.corrupt.values()) + unreadable + len({*gone} - {*account.corrupt})
    statuses = [backup.status.value for backup in backups]
    found.count = [statuses.count(status) for status in catalog.BACKUP_STATUSES]
    found.runs = [account.runs.get(outcome, 0) for outcome in catalog.BACKUP_OUTCOMES]
    found.restores = [account.restores.get(outcome, 0) for outcome in catalog.BACKUP_OUTCOMES]
    return found


def _newest(good: Iterable[BackupMetadata], kind: str, promise: Promise) -> BackupMetadata | None:
    """Return the newest good backup of what a caller has named for a part."""
    found = None
    wanted = telling(promise.sources.get(kind, ()))
    for backup in good:
        known = backup.sources_of(kind)
        if kind in backup.parts and (not known or not wanted or wanted & set(known)):
            found = backup
    return found


def _kind(backup: BackupMetadata, kind: str, now: float) -> KindReading:
    part, made = backup.parts[kind], backup.created.timestamp()
    return KindReading(made, max(0.0, now - made), part.size_bytes, part.files, part.seconds)
