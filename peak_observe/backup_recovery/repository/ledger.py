"""What a repository remembers beyond its backups: how runs ended, what was promised, what was proven.

It is kept on the disk, so that a metric does not forget with the process, and a crash leaves the old text or the new.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from peak_observe import catalog
from peak_observe.backup_recovery.files.safe_read import content, decoded
from peak_observe.backup_recovery.repository.locking import briefly_locked
from peak_observe.support.atomic_files import replace_durably

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUCCESS, PARTIAL, FAILED, INTERRUPTED = catalog.BACKUP_OUTCOMES


def _none_yet() -> dict[str, int]:
    return dict.fromkeys(catalog.BACKUP_OUTCOMES, 0)


class Account(msgspec.Struct, frozen=True):
    """The account of one repository; times are Unix times in seconds, 0 for never.

    Args:
        configured_at: When it was first used.
        max_age: Seconds that its newest backup may be old, as its owner promised; None without a promise.
        kinds: The parts that its owner has named something for.
        runs: How often a backup ended how.
        restores: How often a restore ended how.
        last_attempt: When the last backup was begun.
        running_since: When the one under way was begun.
        last_verified: When all bytes of a backup were last found to be right.
        corrupt: Backups with files that are not what they were, and how many.
        stored_bytes: What all backups take on the disk, a file that several share counted once; None if not known.
        sequence: The number of the newest backup.
    """

    configured_at: float = 0.0
    max_age: float | None = None
    kinds: list[str] = []
    runs: dict[str, int] = msgspec.field(default_factory=_none_yet)
    restores: dict[str, int] = msgspec.field(default_factory=_none_yet)
    last_attempt: float = 0.0
    running_since: float = 0.0
    last_verified: float = 0.0
    corrupt: dict[str, int] = {}
    stored_bytes: int | None = None
    sequence: int = 0

    def configured(self, now: float, max_age: float | None) -> Account:
        """Return the account with what its owner promises now; without a promise the earlier one stands."""
        promised = self.max_age if max_age is None else max_age
        return msgspec.structs.replace(self, configured_at=self.configured_at or now, max_age=promised)

    def counted(self, outcome: str, *, restores: bool = False) -> Account:
        """Return the account with one more run, or restore, that ended so."""
        counts = self.restores if restores else self.runs
        changed = {**counts, outcome: counts.get(outcome, 0) + 1}
        return msgspec.structs.replace(self, **{"restores" if restores else "runs": changed})


_DECODER = msgspec.json.Decoder(Account)


def _unreadable(path: Path, error: Exception) -> None:
    logging.getLogger("peak_observe.backup").warning("%s is not readable: %s", path, error)


class Ledger:
    """The account on the disk.

    Args:
        folder: Where it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "account.json"
        self._lock = folder / "account.lock"
        self._seen: tuple[tuple[int, int, int], Account] | None = None

    def read(self) -> Account:
        """Return the account; one that cannot be read counts as new, which is logged."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._seen is None or self._seen[0] != stamp:
                self._seen = stamp, self.load()
        except FileNotFoundError:
            return Account()
        except OSError as error:
            _unreadable(self._path, error)
            return Account()
        return self._seen[1]

    def load(self) -> Account:
        """Return the account as it is on the disk now; a text that makes no sense counts as new, which is logged.

        Raises:
            OSError: It cannot be read, which must not pass for a new one where somebody builds on it.
        """
        try:
            return decoded(content(self._path), _DECODER)
        except FileNotFoundError:
            return Account()
        except ValueError as error:
            _unreadable(self._path, error)
            return Account()

    def clear(self) -> None:
        """Remove the texts that a crash has left on their way; with the writer's lock held.

        Raises:
            OSError: That cannot be done.
        """
        with briefly_locked(self._lock):
            for path in self._path.parent.glob(".*.tmp"):
                path.unlink()

    def update(self, change: Callable[[Account], Account]) -> Account:
        """Replace the account by what `change` makes of it; processes take turns.

        Raises:
            OSError: It cannot be read or written.
        """
        with briefly_locked(self._lock):
            # Read anew: two changes by others within one tick of the clock may look like none.
            before = self.load()
            after = change(before)
            if after != before or not self._path.exists():
                replace_durably(self._path, msgspec.json.encode(after))
        return after
