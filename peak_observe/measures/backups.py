"""Readings of backup repositories."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.measures.offsite import OffsiteReading


class KindReading:
    """Reading of one part: its newest good backup; all 0 while there is none.

    Times are Unix times in seconds; `age` is in seconds.
    """

    __slots__ = ("age", "duration", "files", "last_success", "size_bytes")

    def __init__(self, last_success: float, age: float, size_bytes: int, files: int, duration: float) -> None:
        self.last_success = last_success
        self.age = age
        self.size_bytes = size_bytes
        self.files = files
        self.duration = duration


class BackupReading:
    """Reading of a repository, or of all repositories of a name.

    `kinds` is by part; `count` follows `catalog.BACKUP_STATUSES`, `runs` and `restores` follow
    `catalog.BACKUP_OUTCOMES`. Times are Unix times in seconds, 0 for never; `configured` is None where nothing is
    there, `max_age` without a promise, `offsite` without a store away from here.
    """

    __slots__ = (
        "configured",
        "corrupt_files",
        "count",
        "kinds",
        "last_attempt",
        "last_verified",
        "max_age",
        "offsite",
        "restores",
        "running_since",
        "runs",
        "stored_bytes",
    )

    def __init__(self) -> None:
        self.kinds: dict[str, KindReading] = {}
        self.configured: float | None = None
        self.last_attempt = self.running_since = self.last_verified = 0.0
        self.max_age: float | None = None
        self.offsite: OffsiteReading | None = None
        self.stored_bytes = self.corrupt_files = 0
        self.count = [0] * len(catalog.BACKUP_STATUSES)
        self.runs = [0] * len(catalog.BACKUP_OUTCOMES)
        self.restores = [0] * len(catalog.BACKUP_OUTCOMES)

    def add(self, other: BackupReading) -> None:
        """Take in another repository of the same name; the one that is worse off shows."""
        for kind, reading in other.kinds.items():
            mine = self.kinds.get(kind)
            if mine is None or reading.age > mine.age:
                self.kinds[kind] = reading
        self.configured = min(filter(None, (self.configured, other.configured)), default=None)
        self.last_attempt = min(self.last_attempt, other.last_attempt)
        self.last_verified = min(self.last_verified, other.last_verified)
        self.running_since = max(self.running_since, other.running_since)
        promises = [age for age in (self.max_age, other.max_age) if age is not None]
        self.max_age = min(promises, default=None)
        if self.offsite is None:
            self.offsite = other.offsite
        elif other.offsite is not None:
            self.offsite.add(other.offsite)
        self.stored_bytes += other.stored_bytes
        self.corrupt_files += other.corrupt_files
        self.count, self.runs, self.restores = (
            [a + b for a, b in zip(mine, theirs, strict=True)]
            for mine, theirs in (
                (self.count, other.count),
                (self.runs, other.runs),
                (self.restores, other.restores),
            )
        )

    def since(self, _: BackupReading) -> tuple[bool, bool, bool]:
        """Return that everything may have changed: these are few, and the disk is read anyway."""
        return True, True, True

    def retire(self) -> None:
        """Keep everything: a repository stays when the program that wrote it has ended."""
