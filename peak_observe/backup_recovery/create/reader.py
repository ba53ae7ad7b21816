"""Reader of one source file into a backup: hashed and written in one pass, a database by SQLite's online backup."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery.create.names import name_in_use
from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.files.copying import WriteError, stored_mode
from peak_observe.backup_recovery.files.safe_read import check_is_of_file
from peak_observe.backup_recovery.files.xattrs import ACL, without_mask, xattrs
from peak_observe.backup_recovery.repository.manifest import FILE, LINK, Entry, encode_name, times

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.backup_recovery.create.sources import Found

READS = 3  # how often a file that changes while it is read is read
COPIED, SQLITE, TORN = "copied", "sqlite", "torn"
UNSTORABLE = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EFBIG)
"""Errors of a file system that cannot hold this one file, whatever else it can hold."""


class Job(NamedTuple):
    """Job of reading one file.

    Args:
        found: The file.
        grows: Whether what it held at the beginning is a good copy, also while it is appended to.
        database: The earlier backup in which it was a database; empty if there is none.
    """

    found: Found
    grows: bool
    database: str


class FileReader:
    """Reader of source files; several threads may use it.

    Args:
        folder: The staging folder.
        problem: Told path and reason of what cannot be taken.
        tell: Called with the bytes done since the last call.
    """

    def __init__(self, folder: Path, problem: Callable[[str, str], None], tell: Callable[[int], object]) -> None:
        self.new_bytes = 0
        self.roots: list[str] = []
        self._folder = folder
        self._problem = problem
        self._tell = tell
        self._lock = threading.Lock()

    def read(self, job: Job) -> Entry | None:
        """Take a file, and return its entry; None if it cannot be read, which is then a problem.

        Raises:
            OSError: The repository cannot be written.
        """
        try:
            entry = self._read(job)
        except WriteError as error:
            if error.errno not in UNSTORABLE:
                raise
            self.unread(job.found, error)
            entry = None
        except (OSError, sqlite3.Error) as error:
            check_is_of_file(error)
            self.unread(job.found, error)
            entry = None
        return entry

    def unread(self, found: Found, error: Exception) -> None:
        """Name what cannot be taken and why, and remove what there is of its copy."""
        if found.type == FILE and getattr(error, "errno", None) != errno.ENAMETOOLONG:
            Path(self._folder, found.stored).unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            self._problem(found.path, f"SQLite: {error}")
        elif isinstance(error, FileNotFoundError):
            self._problem(found.path, "was removed while the backup was made")
        elif isinstance(error, OSError) and error.errno in UNSTORABLE:
            self._problem(found.path, f"cannot be stored in the repository: {error.strerror}")
        else:
            self._problem(found.path, f"cannot be read: {getattr(error, 'strerror', None) or error}")

    def _read(self, job: Job) -> Entry:
        found, target = job.found, f"{self._folder}/{job.found.stored}"
        if job.database or sqlite.is_database(found.path, found.status):
            return self._database(job, target)
        copy = copying.copied_prefix if job.grows else copying.copied
        for attempt in range(1, READS + 1):
            copied = copy(found.path, target, self._tell)
            if copied.head == sqlite.HEADER or (not copied.stable and attempt < READS):
                with copying.writing(target):
                    os.unlink(target)
            if copied.head == sqlite.HEADER:  # of a size that no whole one has
                return self._database(job, target)
            if copied.stable:
                break
        if not copied.stable:
            hint = "; it grew: if nothing but that ever happens to it, name it in append_only" if copied.grew else ""
            self._problem(found.path, f"changed while it was read, {READS} times{hint}")
        return self._copied(found, copied, COPIED if copied.stable else TORN)

    def _copied(self, found: Found, copied: copying.Copied, taken: str) -> Entry:
        self._added(copied.size)
        return entry_of(
            replace(found, status=copied.before),
            type=FILE,
            size=copied.size,
            blake3=copied.blake3,
            taken=taken,
            ctime_ns=copied.before.st_ctime_ns if taken == COPIED else 0,
            sparse=copied.sparse,
        )

    def _database(self, job: Job, target: str) -> Entry:
        found = job.found
        path = name_in_use(found.path, self.roots, self._problem)
        quiet = sqlite.quiet(path)
        try:
            if job.database and found.status.st_size < sqlite.SMALLEST_PAGE:
                raise sqlite3.DatabaseError(f"it has {found.status.st_size or 'no'} bytes")  # one, to SQLite, is none
            sqlite.take(path, target)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise WriteError(errno.ENOSPC, "no space left for the copy of a database", target) from error
            if job.database and sqlite.is_damage(error):
                raise sqlite3.DatabaseError(f"{error}; it was a good database in {job.database}") from error
            raise
        with copying.writing(target):
            os.chmod(target, stored_mode(found.status.st_mode))
            os.utime(target, ns=(found.status.st_atime_ns, found.status.st_mtime_ns))
            copy = copying.hashed(target)
        self._tell(found.status.st_size)
        self._added(copy.size)
        return entry_of(
            found,
            type=FILE,
            size=copy.size,
            blake3=copy.blake3,
            taken=SQLITE,
            # What sits in a log beside it changes the database without a trace on its own file.
            ctime_ns=found.status.st_ctime_ns if quiet and sqlite.quiet(path) else 0,
            source_size=found.status.st_size,
        )

    def _added(self, count: int) -> None:
        with self._lock:
            self.new_bytes += count


def entry_of(found: Found, **facts: Any) -> Entry:
    """Return the entry of what was found, with facts that its status does not tell."""
    status = found.status
    mode = stat.S_IMODE(status.st_mode)
    facts |= times(status.st_mtime_ns)
    if found.type != LINK and (names := xattrs(found.path)):
        facts["xattrs"] = True
        mode = without_mask(found.path, mode) if ACL in names else mode
    return Entry(
        encode_name(found.stored),
        mode=mode,
        uid=status.st_uid,
        gid=status.st_gid,
        inode=status.st_ino if found.type == FILE else 0,
        **facts,
    )
