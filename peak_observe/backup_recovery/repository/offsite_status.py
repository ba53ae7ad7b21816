"""Status of each off-site store as its host sees it, kept beside the repository, so that metrics outlive the process.

Each store has a file of its own: the success of one must not hide the failure of another.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from peak_observe import catalog
from peak_observe.backup_recovery.files.safe_read import content, decoded
from peak_observe.backup_recovery.repository.locking import briefly_locked
from peak_observe.backup_recovery.repository.metadata import SKEW
from peak_observe.backup_recovery.repository.permissions import owners_rights
from peak_observe.measures.offsite import OffsiteReading
from peak_observe.support.atomic_files import replace_durably
from peak_observe.support.loggers import logger

SUCCESS, FAILED = catalog.OFFSITE_OUTCOMES


class Damage(msgspec.Struct, frozen=True):
    """Damage of one backup in a store.

    Args:
        count: What is wrong: its objects, its manifest, its record.
        every_byte: Whether the private key has found it.
        objects: The objects of it that were found so, as messages name them.
    """

    count: int
    every_byte: bool = False
    objects: list[str] = []


class Status(msgspec.Struct, frozen=True):
    """Status of a store; times are Unix times in seconds, 0 for never.

    Args:
        configured_at: When it was first used.
        max_age: Seconds that the newest backup in it may be old; None without a promise.
        last_backup: When the newest good backup that is in it was made.
        last_push: When a push last succeeded.
        last_attempt: When one was last begun.
        pushes: How often a push ended how.
        sent_bytes: Bytes that pushes have sent, in all.
        reused_bytes: Bytes of content that were stored already, in all.
        objects: Objects in it.
        stored_bytes: Their bytes.
        missing: Objects that a backup needs and that are missing, have another size or are damaged, and backups whose
            record cannot be read.
        damaged: The backups of which that is, by the record's name; an older program has kept their sum only.
        last_verified: When every backup that was looked at was last found to be right.
        last_drill: When the newest backup was last restored from the store alone.
        error: Why the last push failed; empty if it did not.
        url: The address, without secrets, for whoever looks which file is of which store.
    """

    configured_at: float = 0.0
    max_age: float | None = None
    last_backup: float = 0.0
    last_push: float = 0.0
    last_attempt: float = 0.0
    pushes: dict[str, int] = {}
    sent_bytes: int = 0
    reused_bytes: int = 0
    objects: int = 0
    stored_bytes: int = 0
    missing: int = 0
    damaged: dict[str, Damage] = {}
    last_verified: float = 0.0
    last_drill: float = 0.0
    error: str = ""
    url: str = ""

    def pushed(self, outcome: str, **facts: float | str) -> Status:
        """Return the status after a push that ended so."""
        pushes = {**self.pushes, outcome: self.pushes.get(outcome, 0) + 1}
        return msgspec.structs.replace(self, pushes=pushes, **facts)

    def with_damage(self, damaged: dict[str, Damage], *, whole: bool = False) -> Status:
        """Return the status with the backups that are damaged now.

        Args:
            damaged: Them by name, and others of which nothing is wrong.
            whole: Whether that is all, so that what an older program has counted without a name counts no more.
        """
        unnamed = 0 if whole else max(0, self.missing - sum(item.count for item in self.damaged.values()))
        found = {name: item for name, item in damaged.items() if item.count}
        missing = unnamed + sum(item.count for item in found.values())
        return msgspec.structs.replace(self, damaged=found, missing=missing)

    def newest(self, made: float, now: float) -> float:
        """Return when the newest good backup in it was made, with one more; one of the future tells nothing."""
        return made if self.last_backup > now + SKEW else max(self.last_backup, made)

    def reading(self, now: float) -> OffsiteReading:
        """Return what metrics tell of it, at a Unix time in seconds."""
        found = OffsiteReading()
        for name in ("last_attempt", "last_backup", "last_drill", "last_push", "last_verified"):
            setattr(found, name, getattr(self, name))
        for name in ("max_age", "objects", "reused_bytes", "sent_bytes", "stored_bytes"):
            setattr(found, name, getattr(self, name))
        found.configured, found.damaged, found.failing = self.configured_at, self.missing, bool(self.error)
        known = self.last_backup if self.last_backup <= now + SKEW else 0.0
        found.age = max(0.0, now - (known or self.configured_at))
        found.pushes = [self.pushes.get(outcome, 0) for outcome in catalog.OFFSITE_OUTCOMES]
        return found


_DECODER = msgspec.json.Decoder(Status)


def reading_of_stores(folder: Path, now: float) -> OffsiteReading | None:
    """Return what metrics tell of all stores whose status is in a folder: of each thing, the store that is worst off.

    Args:
        folder: Where they are kept.
        now: Unix time in seconds.
    """
    found: OffsiteReading | None = None
    for path in sorted(folder.glob("offsite*.json")):
        if (status := _read(path)) is not None:
            reading = status.reading(now)
            if found is None:
                found = reading
            else:
                found.add(reading)
    return found


def _read(path: Path) -> Status | None:
    """Return a status; None where there is none, or what is there makes no sense, which is logged."""
    try:
        return decoded(content(path), _DECODER)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger("peak_observe.backup").warning("%s is not readable: %s", path, error)
        return None


class StatusFile:
    """Status of one store on the disk, changed under a lock by one rename.

    Args:
        folder: Where it is kept.
        number: What tells the store from others, and is no secret.
    """

    def __init__(self, folder: Path, number: str) -> None:
        self.path = folder / f"offsite-{number}.json"
        self._common = folder / "offsite.json"  # of an older program, which kept one for all stores
        self._lock = folder / "offsite.lock"

    def read(self) -> Status | None:
        """Return the status; None where the store was never used, or what is there makes no sense, which is logged."""
        return _read(self.path if self.path.exists() else self._common)

    def damaged(self) -> set[tuple[str, str]]:
        """Return host and name of each backup of which it is known that it is damaged."""
        status = self.read()
        names = [name.rpartition("/") for name in (status.damaged if status else ())]
        return {(above.rpartition("/")[2], backup_id) for above, _, backup_id in names}

    @owners_rights()
    def update(self, change: Callable[[Status], Status]) -> None:
        """Replace the status by what `change` makes of it; processes take turns.

        That of an older program goes to the store that comes first: any other one begins with nothing to its credit.

        Raises:
            OSError: It cannot be written.
        """
        self.path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with briefly_locked(self._lock):
            if not self.path.exists():
                with suppress(FileNotFoundError):
                    self._common.rename(self.path)
            before = self.read() or Status()
            after = change(before)
            if after != before or not self.path.exists():
                replace_durably(self.path, msgspec.json.encode(after), private=True, handed=True)
