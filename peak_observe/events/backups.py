"""Events of backups."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from peak_observe.support.shown import record_repr


class BackupFinished(NamedTuple):
    """A backup ended, in success or failure.

    Args:
        repository: The name of the repository.
        backup_id: The backup; empty where none was begun.
        outcome: `success`, `partial`, `failed` or `interrupted`.
        at: When, in UTC.
        seconds: How long it took.
        files: How many files it holds.
        size_bytes: Their size together.
        message: The missing parts or the problem, in one line; empty if none.
    """

    repository: str
    backup_id: str
    outcome: str
    at: datetime
    seconds: float
    files: int = 0
    size_bytes: int = 0
    message: str = ""

    def __repr__(self) -> str:
        return record_repr(self)


class RestoreFinished(NamedTuple):
    """A restore ended, in success or failure; a failed one counts even if it changed nothing, a dry run does not.

    Args:
        repository: The name of the repository.
        backup_id: The backup.
        outcome: `success`, `partial` (files are restored, a state provider was not), `failed` or `interrupted`.
        at: When, in UTC.
        seconds: How long it took.
        files: How many files changed.
        message: The problem, in one line; empty if none.
    """

    repository: str
    backup_id: str
    outcome: str
    at: datetime
    seconds: float
    files: int = 0
    message: str = ""

    def __repr__(self) -> str:
        return record_repr(self)


class BackupVerified(NamedTuple):
    """All stored files of a backup were read and checked.

    Args:
        repository: The name of the repository.
        backup_id: The backup.
        ok: Whether everything is as it was stored.
        at: When, in UTC.
        seconds: How long it took.
        files: How many files were read.
        message: The problem, in one line; empty if none.
    """

    repository: str
    backup_id: str
    ok: bool
    at: datetime
    seconds: float
    files: int = 0
    message: str = ""

    def __repr__(self) -> str:
        return record_repr(self)
