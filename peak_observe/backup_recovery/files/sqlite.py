"""SQLite databases: copied through SQLite's own online backup, never by copying, and not replaced while in use.

POSIX locks have a trap: when a process closes any descriptor of a file, it loses all locks it has on it. A database
that this very process has open is therefore opened here by nobody but SQLite, which knows of the trap.
Source: https://www.sqlite.org/howtocorrupt.html, "Posix advisory locks canceled".
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import struct
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from peak_observe.backup_recovery.files import sqlite_logs
from peak_observe.backup_recovery.files.copying import CREATE, READ, writing
from peak_observe.support.posix import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator


HEADER = b"SQLite format 3\0"
SMALLEST_PAGE = 512
SIDES, is_log, quiet = sqlite_logs.SIDES, sqlite_logs.is_log, sqlite_logs.quiet
_NO_COLLATION = "no such collation sequence: "
PAGES = 4096
DOUBT_NS = 50_000_000  # a change this shortly before a look may share its time stamp with one after it
RESTARTS = 3
LONGEST = 480  # bytes of a path that SQLite opens with all that it puts behind it; beyond 512 it refuses
PATIENCE = 30.0  # seconds for a database that somebody else has locked
_LOCK_BYTES = (512, 0x4000_0000)  # length and start of the range in which SQLite sets its locks


def is_database(path: str, status: os.stat_result) -> bool:
    """Return whether a regular file is a SQLite database, by its header and a size that one can have.

    Raises:
        OSError: It cannot be read.
    """
    if status.st_size < SMALLEST_PAGE or status.st_size % SMALLEST_PAGE:
        return False
    return _beginning(path, status, len(HEADER)) == HEADER


def _beginning(path: str, status: os.stat_result, count: int) -> bytes:
    """Return the first bytes of a file, by a descriptor that this process has already, if it has one."""
    for descriptor in open_here(status):
        with suppress(OSError):  # one that is open for writing only
            return os.pread(descriptor, count, 0)
    descriptor = os.open(path, READ)
    try:
        return os.read(descriptor, count)
    finally:
        os.close(descriptor)


def is_text(path: str, status: os.stat_result) -> bool:
    """Return whether a file begins as somebody's text, which no database does.

    Raises:
        OSError: It cannot be read.
    """
    return sqlite_logs.is_text(_beginning(path, status, sqlite_logs.PART))


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error tells of the database itself, and not of a lock, the disk or a permission."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return type(error) is sqlite3.DatabaseError  # of `check`
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _fits(path: str) -> bool:
    return len(os.fsencode(os.path.abspath(path))) <= LONGEST


def is_own_side(path: str, side: str) -> bool:
    """Return whether what lies beside a database under the name of one of SQLite's files is that.

    Raises:
        OSError: The database cannot be read.
    """
    return sqlite_logs.is_own(path, side, wal_mode=is_in_wal_mode(path))


def is_in_wal_mode(path: str) -> bool:
    """Return whether a database has a write-ahead log while it is in use.

    Raises:
        OSError: It cannot be read.
    """
    return _beginning(path, os.stat(path), 20)[18:] == b"\2\2"


def take(path: str, target: str) -> None:
    """Write a consistent copy of a database, whoever writes to it meanwhile, and check it.

    Args:
        path: The database.
        target: The new file.

    Raises:
        OSError: It cannot be read or written.
        sqlite3.Error: It cannot be read, is locked for longer than half a minute, its copy fails `quick_check`, or a
            log beside it is damaged.
    """
    if damage := sqlite_logs.damage(path, wal_mode=is_in_wal_mode(path)):  # SQLite takes it for an empty one
        raise sqlite3.DatabaseError(damage)
    with _by_itself(target) as copy:
        if not _fits(path) or not _fits(copy):
            _take_by_short_names(path, copy)
            return
        before = _facts(path)
        _take(path, copy, before)
        if not before.in_use and (problem := _cut_off(path)):
            _wait(before)
            # Whoever commits meanwhile writes the header before the file grows, and that shows in the times by now.
            if _cut_off(path) and _facts(path) == before:
                raise sqlite3.DatabaseError(problem)


@contextmanager
def _by_itself(target: str) -> Iterator[str]:
    """Make a new file, and yield the path of one in a folder of its own, which takes its place in the end.

    Beside an empty database SQLite removes what has the name of a log, which may be somebody's file.
    """
    with writing(target):
        os.close(os.open(target, CREATE, 0o600))
        folder = tempfile.mkdtemp(prefix=".peak-", dir=os.path.dirname(target))
    copy = f"{folder}/copy"
    try:
        with writing(target):
            os.close(os.open(copy, CREATE, 0o600))  # SQLite itself would let others read it
        yield copy
        with writing(target):
            os.rename(copy, target)
    finally:
        with writing(target):  # what is left would be in the backup
            with suppress(FileNotFoundError):
                os.unlink(copy)
            os.rmdir(folder)


def _take(path: str, target: str, before: _Facts) -> None:
    if foreign := sqlite_logs.foreign(path, wal_mode=is_in_wal_mode(path)):
        _take_beside_others(path, target, foreign)
        return
    if not before.in_use and is_in_wal_mode(path):
        _wait(before)
    if not before.in_use and time.time_ns() - before.mtime_ns > DOUBT_NS:
        # Nobody has it open in WAL mode: an index without its log is what a crash leaves. Opened as immutable it gets
        # no new files beside it, and if it was written to meanwhile, it is taken again.
        if _taken_at_rest(path, target, before):
            return
        os.truncate(target, 0)
    try:
        _copy(path, target, "mode=ro")
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        # A crash left a journal that has to be rolled back, which SQLite does only where it may write.
        os.truncate(target, 0)
        _copy(path, target, "mode=rw")
    check(target)


def _take_beside_others(path: str, target: str, foreign: list[str]) -> None:
    """Take a database whose log has the name of somebody's own file, which SQLite would take for a log, and remove."""
    for _ in range(RESTARTS):
        before = _facts(path)
        if before.in_use:
            break
        _wait(before)
        if _taken_at_rest(path, target, before):
            return
        os.truncate(target, 0)
    name = os.path.basename(path) + foreign[0]
    if sqlite_logs.may_be_damaged_index(path, foreign[0]):
        raise LockedError(f"{name} beside it is damaged: remove it while nobody uses the database, and it is made anew")
    raise LockedError(f"it is in use, and {name} beside it is no file of SQLite's, which would spoil it: rename that")


def _wait(before: _Facts) -> None:
    """Wait until a change would show in the times of a database; not for long, where clocks differ."""
    time.sleep(min(1, max(0, (before.mtime_ns + DOUBT_NS + 1 - time.time_ns()) / 1e9)))


def _cut_off(path: str) -> str:
    """Return what is missing at the end of a database, in words; empty if nothing is.

    SQLite reads zeros there, with which the copy may pass `quick_check`.
    Source: https://www.sqlite.org/fileformat2.html, "In-header database size".
    """
    status = os.stat(path)
    header = _beginning(path, status, 100)
    pages, (size,) = int.from_bytes(header[28:32], "big"), struct.unpack(">H", header[16:18].rjust(2, b"\0"))
    length = pages * (65_536 if size == 1 else size)
    # Only where both counters agree the version that wrote last has kept the number of pages.
    if header[24:28] == header[92:96] and status.st_size < length:
        return f"it has {status.st_size} bytes, and its header tells of {length}"
    return ""


def _take_by_short_names(path: str, target: str) -> None:
    """Take a database whose path SQLite cannot open, so that nobody else has it open by that path either."""
    with tempfile.TemporaryDirectory(prefix="peak-observe-") as folder:
        short, copy = f"{folder}/database", f"{folder}/copy"
        if _fits(path):
            take(path, copy)
        else:
            _copy_at_rest(path, short)
            take(short, copy)
        with writing(target):
            shutil.copyfile(copy, target)


def _copy_at_rest(path: str, short: str) -> None:
    """Copy a database with its logs.

    Raises:
        LockedError: Somebody writes to it.
    """
    for _ in range(RESTARTS):
        before = _facts(path)
        for side in ("", *before.sides):
            shutil.copyfile(path + side, short + side)
        if _facts(path) == before:
            return
    raise LockedError(f"it is written to, and its path is longer than the {LONGEST} bytes that SQLite can open")


def _taken_at_rest(path: str, target: str, before: _Facts) -> bool:
    try:
        _copy(path, target, "immutable=1")
        check(target)
    except sqlite3.Error:
        if _facts(path) == before:
            raise
    return _facts(path) == before


def check(path: str) -> None:
    """Check the structure of a database that nobody writes to.

    Raises:
        sqlite3.Error: `quick_check` found something, or it is no database.
    """
    if not _fits(path):
        with tempfile.TemporaryDirectory(prefix="peak-observe-") as folder:
            check(shutil.copyfile(path, f"{folder}/database"))
        return
    with closing(_connect(path, "immutable=1")) as database:
        found = [" ".join(str(row[0]).split()) for row in _quick_check(database)]
    if found != ["ok"]:
        raise sqlite3.DatabaseError(f"quick_check: {'; '.join(found)}")


def _quick_check(database: sqlite3.Connection) -> list[tuple[object]]:
    """Run `quick_check`, which compares no texts, but needs something by the name of each collation to begin."""
    known = set[str]()
    while True:
        try:
            return database.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.OperationalError as error:
            name = str(error).removeprefix(_NO_COLLATION)
            if name == str(error) or name in known:
                raise
            known.add(name)
            database.create_collation(name, lambda *_: 0)


def busy(path: str) -> str:
    """Return why a database must not be replaced now; empty if nobody uses it."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return ""
    if any(open_here(status)):
        return "this process has it open: close it first"
    try:
        descriptor, lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), fcntl.LOCK_EX
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        descriptor, lock = os.open(path, READ), fcntl.LOCK_SH  # that it may not be written does not make it busy
    try:
        fcntl.lockf(descriptor, lock | fcntl.LOCK_NB, *_LOCK_BYTES)
    except (BlockingIOError, PermissionError):
        return "another process has it open: stop that first"
    finally:
        os.close(descriptor)
    return ""


class LockedError(sqlite3.OperationalError):
    """Error of a database that somebody else has kept locked for too long."""


class _Restarted(Exception):  # noqa: N818 - a message between two functions, no error
    """Signal that somebody wrote to the database so often that copying page by page does not come to an end."""


def _copy(path: str, target: str, how: str) -> None:
    with closing(_connect(path, how)) as source:
        try:
            _backup(source, target, PAGES)
        except _Restarted:
            os.truncate(target, 0)
            _backup(source, target, -1)


def _backup(source: sqlite3.Connection, target: str, pages: int) -> None:
    """Copy in steps, so that a writer in rollback mode gets its turn between them."""
    deadline = time.monotonic() + PATIENCE
    left, restarts = float("inf"), 0

    def watch(status: int, remaining: int, total: int) -> None:
        nonlocal left, restarts, deadline
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            if time.monotonic() > deadline:
                raise LockedError(f"database is locked for more than {PATIENCE:g} s")
            return
        deadline = time.monotonic() + PATIENCE
        restarts += remaining >= left
        left = remaining or total
        if restarts > RESTARTS:
            raise _Restarted

    # The copy is hashed, checked and synced by those who called; a half one is thrown away.
    with closing(sqlite3.connect(target, isolation_level=None)) as sink:
        sink.execute("PRAGMA synchronous=OFF")
        sink.execute("PRAGMA journal_mode=OFF")
        source.backup(sink, pages=pages, progress=watch, sleep=0.01)


def _connect(path: str, how: str) -> sqlite3.Connection:
    raw = os.fsencode(Path(path).absolute())
    return sqlite3.connect(f"file:{quote(raw)}?{how}", uri=True, timeout=0.1)


def open_here(status: os.stat_result) -> Iterator[int]:
    """Yield the descriptors by which this process has a file open (Linux): to close another one costs it its locks."""
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return
    for name in descriptors:
        try:
            found = os.fstat(int(name))
        except OSError:
            continue  # the one that listed them
        if (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino):
            yield int(name)


class _Facts(NamedTuple):
    """Facts that change when a database is written to; two `os.stat_result` are equal within one second."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    sides: list[str]

    @property
    def in_use(self) -> bool:
        """Whether there is a log, so that it is not all in its own file."""
        return bool(set(self.sides) - {sqlite_logs.SHM})


def _facts(path: str) -> _Facts:
    status = os.stat(path)
    return _Facts(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, _sides(path))


def _sides(path: str) -> list[str]:
    """Return what SQLite has beside a database, without what somebody else keeps there."""
    found = [side for side in SIDES if os.path.lexists(path + side)]
    foreign = sqlite_logs.foreign(path, wal_mode=is_in_wal_mode(path)) if found else []
    return [side for side in found if side not in foreign]
