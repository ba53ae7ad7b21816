"""Metadata of a backup: type, status, parts and problems, as in its `metadata.json`."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from peak_observe.backup_recovery.files.safe_read import NewerFormatError, decoded
from peak_observe.errors import NEWER

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG, STATE, DATA = "config", "state", "data"
KINDS = (CONFIG, STATE, DATA)
"""The parts a backup may have; also the label `kind` of its metrics."""
SKEW = 300.0
"""Seconds that the clock by which a backup was made may be ahead; the time of one of a later future tells nothing."""
COMMAND = "%command:"
"""Stands between the path of a command's output and what tells the command from others of its name; no path has it."""


def telling(sources: Iterable[str]) -> set[str]:
    """Return sources without the path of an output where it is known which command wrote it."""
    found = set(sources)
    return found - {source.partition(COMMAND)[0] for source in found if COMMAND in source}


class BackupType(Enum):
    """Type of a backup: what it holds."""

    FULL = "full"
    CONFIG = "config"
    STATE = "state"
    DATA = "data"
    INCREMENTAL = "incremental"


class BackupStatus(Enum):
    """Status of a backup: how its run ended."""

    SUCCESS = "success"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    PARTIAL = "partial"


class Problem(msgspec.Struct, frozen=True):
    """Problem with something named: it is not in the backup, or not as it should be.

    Args:
        what: The path or the state provider.
        reason: Why, in words.
    """

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


class Part(msgspec.Struct, frozen=True):
    """Part of a backup: files of one kind.

    Args:
        files: How many files.
        size_bytes: Their size together, as they were at their source.
        seconds: How long taking it lasted.
    """

    files: int = 0
    size_bytes: int = 0
    seconds: float = 0.0


class BackupMetadata(msgspec.Struct, frozen=True):
    """Metadata of one backup.

    Args:
        backup_id: Its name, also that of its folder.
        backup_type: The parts that it holds.
        created_at: When it was begun, in ISO form, aware and in UTC.
        status: How it ended.
        size_bytes: Size of all files together, as they were at their source.
        files_count: How many files it holds.
        description: The description by its maker.
        tags: For finding it again.
        error_message: Why it failed, or what of it is missing; empty if it succeeded.
        parts: Files and bytes of each kind it holds.
        problems: Named files that could not be taken, with the reasons.
        sequence: Its number in the repository, which orders backups whatever the clock said; 0 where there is none.
        duration: Seconds it took.
        base: The backup that holds what did not change, for an incremental one.
        manifest: BLAKE3 hash of its `manifest.json`; empty if it has none.
        sources: The paths that were named for each part, absolute and as in the manifest, and what tells commands and
            state providers apart; unset in older backups.
        left_out: Parts that something is named for and that were not wanted, in words; unset in older backups.
        empty: Named paths of which it holds no file; unset where it holds one of each, or does not tell.
        checksum: BLAKE3 hash of this text, with this field empty; nothing checks a text of the original code base.
    """

    backup_id: str
    backup_type: BackupType
    created_at: str
    status: BackupStatus
    size_bytes: int = 0
    files_count: int = 0
    description: str = ""
    tags: list[str] = []
    error_message: str = ""
    parts: dict[str, Part] = {}
    problems: list[Problem] = []
    sequence: int = 0
    duration: float = 0.0
    base: str = ""
    manifest: str = ""
    sources: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET  # unset, it is not in the text, nor its checksum
    left_out: list[Problem] | msgspec.UnsetType = msgspec.UNSET
    empty: list[str] | msgspec.UnsetType = msgspec.UNSET
    checksum: str = ""

    @property
    def created(self) -> datetime:
        """Time when it was begun, aware; one without a zone is UTC, as the original code base wrote it."""
        found = datetime.fromisoformat(self.created_at)
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    @property
    def good(self) -> bool:
        """Whether it succeeded: everything named is in it."""
        return self.status is BackupStatus.SUCCESS

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Sort key of backups, the oldest first."""
        return self.sequence, self.created, self.backup_id

    def sources_of(self, kind: str) -> list[str]:
        """Return what was named for a part; nothing where that is not known."""
        return [] if self.sources is msgspec.UNSET else self.sources.get(kind, [])

    def has_files(self, kind: str, source: str) -> bool:
        """Return whether it holds a file of what was named for a part; if it does not tell, it may."""
        part = self.parts.get(kind)
        return (part is None or part.files > 0) and source not in (self.empty or ())

    def holds(self, place: str) -> bool:
        """Return whether a path that was named is in it, or one below that; if it does not tell, it may be."""
        sources = {source for kind in (CONFIG, DATA) for source in self.sources_of(kind)}
        return not sources or any(source == place or source.startswith(f"{place}/") for source in sources)

    def parts_named_for(self) -> set[str]:
        """Return the parts that something was named for when it was made, in it or left out."""
        return {*self.parts, *(problem.what for problem in self.left_out or ())}

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, enums as their values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def to_json(self) -> bytes:
        """Return the text of `metadata.json`, with its checksum."""
        plain = msgspec.structs.replace(self, checksum="")
        checksum = blake3(msgspec.json.encode(plain)).hexdigest()
        return _text(msgspec.structs.replace(plain, checksum=checksum))

    @classmethod
    def from_json(cls, text: bytes) -> BackupMetadata:
        """Return what a `metadata.json` tells, also one that the original code base wrote.

        Raises:
            ValueError: It is no such text, or not what was written; the message says what is wrong and where.
        """
        found: BackupMetadata = decoded(text, _DECODER)
        # To write it again is the whole check: it finds a changed byte also where it would not change the meaning.
        # Only the original code base wrote neither a checksum nor a number.
        if (found.checksum or found.sequence) and found.to_json() != text:
            raise _newer(text) or ValueError("it is not what was written")
        try:
            found.created.astimezone(UTC)  # a time that cannot be read is found here, not when somebody sorts
        except OverflowError:
            raise ValueError(f"created_at {found.created_at!r} is out of range") from None
        return found


def _newer(text: bytes) -> NewerFormatError | None:
    """Return the error of a text that is sound and has more than this version knows; None if it is another one."""
    found = decoded(text, _ANY)
    unknown = sorted(found.keys() - set(BackupMetadata.__struct_fields__))
    checksum = blake3(msgspec.json.encode({**found, "checksum": ""})).hexdigest()
    if not unknown or found.get("checksum") != checksum:
        return None
    return NewerFormatError(f"{NEWER}, with {', '.join(map(repr, unknown))}")


def _text(found: BackupMetadata) -> bytes:
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


_DECODER = msgspec.json.Decoder(BackupMetadata)
_ANY = msgspec.json.Decoder(dict[str, Any])
