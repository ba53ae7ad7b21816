"""Logs that SQLite keeps beside a database: which files are such logs, and which of them are damaged.

SQLite takes a log that it cannot read for an empty one, without a word: what was committed last is then lost, or half a
transaction stays. Its locks are on the database and on the `-shm`, none on a log, so that to open one costs no lock.
Source: https://www.sqlite.org/fileformat2.html, sections 3 and 4.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from typing import NamedTuple

from peak_observe.backup_recovery.files.copying import READ

SIDES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database; it belongs to that very file and to no other version of it."""
WAL, SHM, JOURNAL = "-wal", "-shm", "-journal"
LOOKS = 3  # how often a log that seems to be damaged is looked at, as somebody may write it at this moment
PART = 4096  # bytes by which a text is known
PAUSE = 0.05  # seconds between two looks

_WAL_MAGIC, _JOURNAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"), b"\xd9\xd5\x05\xf9"
_JOURNAL_BEGINNING = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_INDEX_BEGINNINGS = tuple((3_007_000).to_bytes(4, order) for order in ("little", "big"))
_WAL_VERSION, _WAL_HEADER, _FRAME_HEADER, _JOURNAL_HEADER = 3_007_000, 32, 24, 28
_SMALLEST_PAGE, _SMALLEST_SECTOR, _LARGEST = 512, 32, 65_536
_UNCOUNTED = 0xFFFF_FFFF  # records, where their number follows from the length

_WAL_DAMAGE = "its write-ahead log is damaged, and with it what was committed last"
_JOURNAL_DAMAGE = "its rollback journal is damaged, by which a transaction that was cut off would be taken back"


def is_log(path: str) -> bool:
    """Return whether a file is a write-ahead log or a rollback journal that holds something."""
    return _beginning(path, len(_JOURNAL_MAGIC)) in (*_WAL_MAGIC, _JOURNAL_MAGIC)


def _may_be_log(beginning: bytes) -> bool:
    """Return whether a file may be a log by its beginning, read at once, as its owner may write it meanwhile."""
    # Without a magic number is a journal that is finished, or of a transaction that has not touched the database yet.
    return not any(beginning) or beginning[: len(_JOURNAL_MAGIC)] in (*_WAL_MAGIC, _JOURNAL_MAGIC)


def is_own(path: str, side: str, *, wal_mode: bool) -> bool:
    """Return whether what has the name of one of SQLite's files beside a database is that, and nobody's own file.

    Args:
        path: The database.
        side: Which of `SIDES`.
        wal_mode: Whether the database is in WAL mode.
    """
    if not _is_regular(path + side):
        return False
    if side == SHM:
        return (wal_mode or _is_regular(path + WAL)) and _may_be_index(path + SHM)
    return _may_be_log(_beginning(path + side, len(_JOURNAL_BEGINNING)))


def _may_be_index(path: str) -> bool:
    """Return whether a file may be the index of a write-ahead log, which SQLite makes of zeros or of 3 bytes."""
    beginning = _beginning(path, len(_INDEX_BEGINNINGS[0]))
    return not any(beginning) or any(known.startswith(beginning) for known in _INDEX_BEGINNINGS)


def may_be_damaged_index(path: str, side: str) -> bool:
    """Return whether the foreign file beside a database may be SQLite's own index of the log, and damaged."""
    return side == SHM and _is_regular(path + SHM) and not is_text(_beginning(path + SHM, PART))


def foreign(path: str, *, wal_mode: bool) -> list[str]:
    """Return which names of a database's logs are taken by files of somebody else: texts, folders and links.

    Args:
        path: The database.
        wal_mode: Whether it is in WAL mode, in which alone SQLite writes an index of its log.
    """
    found = [side for side in (WAL, JOURNAL) if _is_foreign(path, side)]
    if wal_mode and os.path.lexists(path + SHM) and not is_own(path, SHM, wal_mode=True):
        found.append(SHM)
    return found


def _is_foreign(path: str, side: str) -> bool:
    """Return whether a name is taken by somebody's own file; a log may come and go at any moment."""
    try:
        status = os.lstat(path + side)
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode):
        return not is_log(os.path.realpath(path + side))  # SQLite follows a link to a log
    return not _may_be_log(_beginning(path + side, len(_JOURNAL_BEGINNING)))


def quiet(path: str) -> bool:
    """Return whether all of a database is in its own file: SQLite would read nothing from a log beside it."""
    return not any(_is_read(path, side) for side in (WAL, JOURNAL))


def at_rest(path: str) -> bool:
    """Return whether all of a database is in its own file, and nothing beside it may be a damaged log."""
    return quiet(path) and not damage(path, wal_mode=True)


def _is_read(path: str, side: str) -> bool:
    """Return whether SQLite may read something from a log, as from one that only others may read."""
    if not _size(path + side) or _is_foreign(path, side):
        return False
    # A journal is hot by its first byte alone: without it the transaction is finished, or has not touched the database.
    return side == WAL or _beginning(os.path.realpath(path + side), 1) != b"\0"


def damage(path: str, *, wal_mode: bool) -> str:
    """Return what is damaged of the logs beside a database; empty if nothing is.

    A log may be written while it is read: what is damaged is so at two looks between which nothing changed.

    Args:
        path: The database.
        wal_mode: Whether it is in WAL mode.
    """
    before = _looked_at(path, wal_mode=wal_mode)
    for _ in range(LOOKS):
        if before is None:
            return ""
        time.sleep(PAUSE)
        found = _looked_at(path, wal_mode=wal_mode)
        if found == before:
            return found.what
        before = found
    return ""  # somebody writes it all the time


class _Damage(NamedTuple):
    """What is damaged, and facts that change when somebody writes it."""

    what: str
    where: int
    beginning: bytes
    inode: int


def _looked_at(path: str, *, wal_mode: bool) -> _Damage | None:
    for side, what, look in ((WAL, _WAL_DAMAGE, _wal_damage), (JOURNAL, _JOURNAL_DAMAGE, _journal_damage)):
        try:
            descriptor = os.open(path + side, READ)
        except OSError:
            continue
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                continue
            beginning = os.pread(descriptor, PART, 0)
            if is_text(beginning) and not (wal_mode and side == WAL):
                continue
            where = look(descriptor, beginning, status.st_size)
        except OSError:
            continue
        finally:
            os.close(descriptor)
        if where is not None:
            return _Damage(what, where, beginning[:_WAL_HEADER], status.st_ino)
    return None


def _wal_damage(log: int, beginning: bytes, size: int) -> int | None:
    """Return the first frame of a write-ahead log that is damaged, 0 for its header; None if all is well.

    A last frame that is half written is what a crash leaves, frames of other salts what a checkpoint leaves, and frames
    behind the last commit what a transaction leaves that was taken back: only what was committed can be lost.
    """
    if len(beginning) < _WAL_HEADER:
        return 0
    magic, version, page, _, *salts, first, second = struct.unpack(">8I", beginning[:_WAL_HEADER])
    order = ">" if magic & 1 else "<"
    sums = _checksum(beginning[:24], order, (0, 0))
    if beginning[:4] not in _WAL_MAGIC or version != _WAL_VERSION or sums != (first, second) or not _is_page(page):
        return 0
    length = _FRAME_HEADER + page
    for number, place in enumerate(range(_WAL_HEADER, size - length + 1, length), 1):
        frame = os.pread(log, length, place)
        if len(frame) < length:
            return None  # it was cut meanwhile
        _, _, *own, first, second = struct.unpack_from(">6I", frame)
        sums = _checksum(frame[_FRAME_HEADER:], order, _checksum(frame[:8], order, sums))
        if own != salts or sums != (first, second):
            return number if _has_commit(log, range(place + length, size - length + 1, length), salts) else None
    return None


def _has_commit(log: int, places: range, salts: list[int]) -> bool:
    """Return whether one of some frames ends a transaction of these salts."""
    for place in places:
        header = os.pread(log, _FRAME_HEADER, place)
        if len(header) < _FRAME_HEADER:
            return False
        _, commit, *own, _, _ = struct.unpack(">6I", header)
        if commit and own == salts:
            return True
    return False


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFF_FFFF
        second = (second + other + first) & 0xFFFF_FFFF
    return first, second


def _journal_damage(log: int, beginning: bytes, size: int) -> int | None:
    """Return where a rollback journal is damaged; None if all is well, as without a magic number.

    Records that its header counts were on the disk before the database was written to: they have to be there.
    """
    if not any(beginning[: len(_JOURNAL_BEGINNING)]):
        return None
    if len(beginning) < _JOURNAL_HEADER or not beginning.startswith(_JOURNAL_BEGINNING):
        return 0
    sector, page = struct.unpack_from(">II", beginning, 20)
    if not _is_page(page) or not _is_power(sector, _SMALLEST_SECTOR, _LARGEST):
        return 0
    place = 0
    while place < size:
        header = os.pread(log, _JOURNAL_HEADER, place)
        if len(header) < _JOURNAL_HEADER or not header.startswith(_JOURNAL_BEGINNING):
            return None
        count, start = struct.unpack_from(">II", header, 8)
        place += sector
        counted, length = count != _UNCOUNTED, page + 8
        end = place + count * length if counted else size
        wrong = _wrong_record(log, range(place, end, length), start, counted=counted)
        if wrong is not None or not count:
            return wrong
        place = end
        place += -place % sector
    return None


def _wrong_record(log: int, places: range, start: int, *, counted: bool) -> int | None:
    """Return where a record is damaged that its header counts, or behind which there is a sound one."""
    for place in places:
        if not _is_sound(os.pread(log, places.step, place), places.step, start):
            behind = os.pread(log, places.step, place + places.step)
            return place if counted or _is_sound(behind, places.step, start) else None
    return None


def _is_sound(record: bytes, length: int, start: int) -> bool:
    content = record[4:-4]
    total = start + sum(content[len(content) - 200 : 0 : -200])
    return len(record) == length and total & 0xFFFF_FFFF == int.from_bytes(record[-4:], "big")


def _is_page(size: int) -> bool:
    return _is_power(size, _SMALLEST_PAGE, _LARGEST)


def _is_power(number: int, smallest: int, largest: int) -> bool:
    return smallest <= number <= largest and not number & (number - 1)


def is_text(beginning: bytes) -> bool:
    """Return whether a file is somebody's text: no log is one, whatever happened to it."""
    try:
        return b"\0" not in beginning and bool(beginning.decode(errors="strict"))
    except UnicodeDecodeError as error:
        return b"\0" not in beginning and len(beginning) - error.start < len("€".encode())  # a sign that is cut off


def _beginning(path: str, count: int) -> bytes:
    try:
        descriptor = os.open(path, READ)
    except OSError:
        return b""
    try:
        return os.read(descriptor, count)
    except OSError:  # a folder
        return b""
    finally:
        os.close(descriptor)


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
