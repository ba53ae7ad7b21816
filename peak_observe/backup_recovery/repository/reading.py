"""What Prometheus is told of a repository: read from the disk at each scrape, so that it outlives the process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.backup_recovery.repository.metadata import KINDS
from peak_observe.errors import BackupError
from peak_observe.measures import BACKUPS, BackupReading, KindReading

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from peak_observe.backup_recovery.repository.ledger import Account
    from peak_observe.backup_recovery.repository.metadata import BackupMetadata
    from peak_observe.backup_recovery.repository.repository import Repository


class Observed:
    """A repository that is told of for the life of the process.

    Args:
        repository: The repository.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.named: Callable[[], Collection[str]] = tuple
        self.max_age: float | None = None

    def read(self) -> BackupReading:
        """Return how things stand; a folder that cannot be read has no backups to show."""
        try:
            return reading(
                self.repository.backups(),
                self.repository.ledger.read(),
                kinds=self.named(),
                max_age=self.max_age,
                stored_bytes=self.repository.stored_bytes(),
                unreadable=len(self.repository.unreadable()),
                now=self.repository.clock.now().timestamp(),
            )
        except (OSError, BackupError):
            return BackupReading()


_observed: dict[tuple[str, Path], Observed] = {}
_lock = threading.Lock()


def observe(
    repository: Repository,
    named: Callable[[], Collection[str]],
    max_age: float | None,
) -> None:
    """Tell of a repository from now on, once however many managers work in it; the newest one's promise counts.

    Args:
        repository: The repository.
        named: Returns the parts that something is named for.
        max_age: Seconds that the newest backup may be old; None without a promise.
    """
    key = repository.name, repository.root.absolute()
    with _lock:
        known = _observed.get(key)
        if known is None:
            known = _observed[key] = Observed(repository)
            BACKUPS.series(repository.name).join(known, known.read)
        known.named = named
        known.max_age = max_age


def reading(
    backups: Collection[BackupMetadata],
    account: Account,
    *,
    kinds: Collection[str],
    max_age: float | None,
    stored_bytes: int,
    unreadable: int,
    now: float,
) -> BackupReading:
    """Return what there is to tell.

    Args:
        backups: All backups, the oldest first.
        account: What the repository remembers.
        kinds: The parts that something is named for.
        max_age: Seconds that the newest backup may be old; None if the account knows better.
        stored_bytes: What they take on the disk.
        unreadable: How many backups cannot be read.
        now: Unix time in seconds.
    """
    found = BackupReading()
    good = {kind: backup for backup in backups if backup.good for kind in backup.parts}
    for kind in KINDS:
        if kind in good:
            found.kinds[kind] = _kind(good[kind], kind, now)
        elif kind in kinds or kind in account.kinds:
            found.kinds[kind] = KindReading(0.0, now - (account.configured_at or now), 0, 0, 0.0)
    found.configured = account.configured_at
    found.last_attempt = account.last_attempt
    found.running_since = account.running_since
    found.last_verified = account.last_verified
    found.max_age = account.max_age if max_age is None else max_age
    found.stored_bytes = stored_bytes
    found.corrupt_files = sum(account.corrupt.values()) + unreadable
    statuses = [backup.status.value for backup in backups]
    found.count = [statuses.count(status) for status in catalog.BACKUP_STATUSES]
    found.runs = [account.runs.get(outcome, 0) for outcome in catalog.BACKUP_OUTCOMES]
    found.restores = [account.restores.get(outcome, 0) for outcome in catalog.BACKUP_OUTCOMES]
    return found


def _kind(backup: BackupMetadata, kind: str, now: float) -> KindReading:
    part, made = backup.parts[kind], backup.created.timestamp()
    return KindReading(made, max(0.0, now - made), part.size_bytes, part.files, part.seconds)
