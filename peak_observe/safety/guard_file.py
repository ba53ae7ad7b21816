"""File in which a guard keeps what it has counted: shared by processes, kept across restarts, written by rename."""

from __future__ import annotations

import json
import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from peak_observe.measures import forks
from peak_observe.safety.switch_file import PATIENCE, locked
from peak_observe.support.atomic_files import replace_text
from peak_observe.support.timed_lock import TimedLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST = 4_000_000
"""Bytes of a file that is read."""


class GuardFileError(Exception):
    """The file cannot be read, written or locked; the message says which."""


class GuardFileCorruptError(GuardFileError):
    """What the file holds is lost."""


class GuardFile:
    """Counts of a guard, as JSON.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = TimedLock(PATIENCE)
        forks.renew(self)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = TimedLock(PATIENCE)

    @contextmanager
    def changed(self) -> Iterator[dict[str, Any]]:
        """Yield what is kept, alone among all threads and processes, and keep what was made of it.

        Raises:
            GuardFileError: It cannot be read, written or locked.
        """
        try:
            with self._lock, locked(self.path.with_name(f".{self.path.name}.lock")) as alone:
                if not alone:
                    why = "another process holds its lock, or the folder cannot be written"
                    raise GuardFileError(f"{self.path} cannot be locked: {why}")
                kept = self.read()
                yield kept
                self._write(kept)
        except queue.Empty:
            raise GuardFileError(f"{self.path} is locked by another thread") from None

    def read(self) -> dict[str, Any]:
        """Return what is kept; nothing where there is no file yet.

        Raises:
            GuardFileError: It cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                found = json.loads(file.read(LONGEST))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise GuardFileError(f"{self.path} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise GuardFileCorruptError(f"{self.path} cannot be read: {error}") from None
        if not isinstance(found, dict):
            raise GuardFileCorruptError(f"{self.path} does not hold what a guard keeps")
        return found

    def forget(self) -> None:
        """Take a file away that cannot be read."""
        self.path.unlink(missing_ok=True)

    def _write(self, kept: dict[str, Any]) -> None:
        try:
            replace_text(self.path, json.dumps(kept))
        except OSError as error:
            raise GuardFileError(f"{self.path} cannot be written: {error.strerror}") from None
