"""Differences between two backups, or between a backup and the present."""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.create.sources import Exclude, find
from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.files.workers import each
from peak_observe.backup_recovery.files.xattrs import has_rights
from peak_observe.backup_recovery.repository.manifest import (
    FOLDER,
    LINK,
    STATE_FILE,
    Entry,
    Manifest,
    Root,
    decode_name,
)
from peak_observe.backup_recovery.restore.contents import Contents
from peak_observe.backup_recovery.restore.plan import is_time
from peak_observe.backup_recovery.restore.restore import entries_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from peak_observe.backup_recovery.repository.metadata import BackupMetadata
    from peak_observe.backup_recovery.repository.repository import Repository

BATCH = 1024  # files that are compared together
READS = 3  # times that a file is read which changes meanwhile
UNREADABLE = "cannot be read: {}"


class Difference(NamedTuple):
    """Changes by the path of the file that was backed up; a symbolic link counts as a file.

    Args:
        before: The earlier backup.
        after: The later one; None for the files of now.
        added: Files that are in the later one only.
        removed: Files that are in the earlier one only.
        changed: Files whose content, mode or target differs.
        same: How many are the same in both.
        unreadable: Files and folders of now that cannot be read, and why; they, and what is in them, are in no other
            field.
        times: Files that are the same but for the time of their last change, which a restore brings back too.
    """

    before: str
    after: str | None
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    same: int
    unreadable: dict[str, str]
    times: tuple[str, ...] = ()


def between(
    repository: Repository,
    before: str,
    after: str | None,
    *,
    named: Collection[Root],
    exclude: Exclude,
) -> Difference:
    """Return what changed from one backup to another, or to now.

    Args:
        repository: Where the backups are.
        before: The earlier backup.
        after: The later one; None for the files of now.
        named: The paths that are named now, which count beside those of the backup.
        exclude: What is left out of the files of now.

    Raises:
        BackupNotFoundError: There is no such backup.
        BackupCorruptError: What it says of itself is not what was written.
    """
    if after is not None:
        return _Comparison(before, after).backups(
            _entries(repository, before, named), _entries(repository, after, named)
        )
    own = repository.root.stat()
    backup = repository.get(before)
    head, entries = entries_of(repository, backup, named)
    roots = {(root.kind, root.source): root for root in (*named, *head.roots)}
    live = _Live(roots.values(), exclude, skip=[(own.st_dev, own.st_ino)])
    return _Comparison(before, None).now(_by_path(repository, backup, head, entries), live)


def _entries(repository: Repository, backup_id: str, named: Collection[Root]) -> Iterator[tuple[str, Entry]]:
    backup = repository.get(backup_id)
    yield from _by_path(repository, backup, *entries_of(repository, backup, named))


def _by_path(
    repository: Repository, backup: BackupMetadata, head: Manifest, entries: Iterable[Entry]
) -> Iterator[tuple[str, Entry]]:
    """Yield the files and links of a backup by the path where they lived; the state lies below none."""
    with repository.reading(backup):
        for item in Contents(head.roots, entries):
            if item.entry.type != FOLDER and item.stored != STATE_FILE:
                yield item.path, item.entry


class _Comparison:
    """Comparison of a backup, of which one path after the other is read, as there may be very many."""

    def __init__(self, before: str, after: str | None) -> None:
        self._names = before, after
        self._changed: set[str] = set()
        self._removed: set[str] = set()
        self._times: set[str] = set()
        self._same = 0

    def backups(self, earlier: Iterable[tuple[str, Entry]], later: Iterable[tuple[str, Entry]]) -> Difference:
        known: dict[str, tuple[bytes, int] | None] = {path: _facts(entry) for path, entry in earlier}
        added = set()
        for path, entry in later:
            if path not in known:
                added.add(path)
            elif facts := known[path]:
                content, modified_ns = _facts(entry)
                self._count(path, _Now(facts[0] == content, is_time(facts[1], modified_ns)))
                known[path] = None  # where it is named twice it counts once
        self._removed.update(path for path, facts in known.items() if facts)
        return self._found(added, {})

    def now(self, earlier: Iterable[tuple[str, Entry]], live: _Live) -> Difference:
        reasons = dict(live.unreadable)
        left = iter(earlier)
        while batch := list(islice(left, BATCH)):
            # A path that is named twice counts once.
            there = {path: _Pair(entry, live.files[path]) for path, entry in batch if live.files.get(path)}
            told = each(_look, list(there.values()), lambda pair: pair.entry.size)
            for path, same in zip(there, told, strict=True):
                live.files[path] = ""
                if isinstance(same, str):
                    reasons[path] = same
                else:
                    self._count(path, same)
            gone = (path for path, _ in batch if path not in live.files)
            self._removed.update(path for path in gone if not _is_below(path, live.unreadable))
        return self._found((path for path, real in live.files.items() if real), reasons)

    def _count(self, path: str, found: _Now) -> None:
        if not found.same:
            self._changed.add(path)
            return
        self._same += 1
        if not found.timely:
            self._times.add(path)

    def _found(self, added: Iterable[str], unreadable: dict[str, str]) -> Difference:
        found = (tuple(sorted(paths)) for paths in (added, self._removed, self._changed, self._times))
        new, gone, changed, times = found
        return Difference(*self._names, new, gone, changed, self._same, dict(sorted(unreadable.items())), times)


class _Pair(NamedTuple):
    """Entry of a path that is there now, and the path that it really is, if a symbolic link was named."""

    entry: Entry
    real: str


class _Now(NamedTuple):
    """Whether a file is the same as it was, and whether the time of its last change is."""

    same: bool
    timely: bool = True


class _Live:
    """Files and links of now: `files` has where each path really is, and `unreadable` why something cannot be read."""

    def __init__(self, roots: Iterable[Root], exclude: Exclude, skip: Collection[tuple[int, int]]) -> None:
        self.files: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        for root in roots:
            source = decode_name(root.source)
            problem = _Problems(source, self.unreadable)
            for item in find(source, "", exclude=exclude, skip=skip, problem=problem, left_out=_ignore):
                if item.type != FOLDER:
                    path = source + item.stored
                    self.files[path] = path if item.path == path else item.path  # one text, where they are the same


class _Problems:
    """Keeps what cannot be read below a named path; what is gone, or no file, is not there.

    Args:
        source: The named path.
        unreadable: Gets each path as it is named, though the path may lead through symbolic links, and the reason.
    """

    def __init__(self, source: str, unreadable: dict[str, str]) -> None:
        self._source = source
        self._real = os.path.realpath(source).rstrip("/")
        self._unreadable = unreadable

    def __call__(self, path: str, reason: str) -> None:
        if reason.startswith("cannot be "):
            inside = f"{path}/".startswith(f"{self._real}/")
            self._unreadable[self._source + path[len(self._real) :] if inside else path] = reason


def _ignore(_: str, __: str) -> None:
    """Treat what is left out as not there."""


def _is_below(path: str, folders: Collection[str]) -> bool:
    """Return whether a path is one of these, or in one of them."""
    while path not in folders:
        above = path.rpartition("/")[0]
        if above == path:
            return False
        path = above
    return True


def _facts(entry: Entry) -> tuple[bytes, int]:
    """Return what makes two files the same, in little room, and the time of the last change."""
    if entry.type == LINK:
        return b"link" + entry.target.encode(errors="surrogatepass"), entry.modified_ns
    return b"file" + bytes.fromhex(entry.blake3) + entry.mode.to_bytes(2), entry.modified_ns


def _look(pair: _Pair) -> _Now | str:
    """Return whether a file is as it was; where it cannot be read, why, whatever else is known of it."""
    entry, path = pair.entry, pair.real
    try:
        status = os.lstat(path)
        timely = is_time(entry.modified_ns, status.st_mtime_ns)
        if (entry.type == LINK) != stat.S_ISLNK(status.st_mode):
            return _Now(same=False)
        if entry.type == LINK:
            return _Now(os.readlink(path) == decode_name(entry.target), timely)
        same = _is_same(entry, path, status)
        if not same and _forbidden(path):
            return UNREADABLE.format(os.strerror(errno.EACCES))
        return _Now(same, timely)
    except (FileNotFoundError, NotADirectoryError, copying.NotRegularError):  # it was there a moment ago
        return _Now(same=False)
    except OSError as error:
        return UNREADABLE.format(error.strerror)


def _is_same(entry: Entry, path: str, status: os.stat_result) -> bool:
    if not has_rights(path, status, entry.mode, acl=entry.xattrs) or not stat.S_ISREG(status.st_mode):
        return False
    if sqlite.is_database(path, status):
        return sqlite.quiet(path) and (_is_untouched(entry, status) or _is_copy(entry, path))
    # A file that the kernel makes up, as in /proc, has content and says 0 bytes.
    return _is_untouched(entry, status) or (status.st_size in (entry.size, 0) and _hash(path) == entry.blake3)


def _hash(path: str) -> str:
    """Return the hash of a file, of one that changes meanwhile that of the last time it was read."""
    for _ in range(READS):
        found = copying.hashed(path)
        if found.stable:
            break
    return found.blake3


def _forbidden(path: str) -> bool:
    """Return whether a file may not be read; to open one that is in use could cost it its locks."""
    own = os.access in os.supports_effective_ids
    return os.path.lexists(path) and not os.access(path, os.R_OK, effective_ids=own)


def _is_untouched(entry: Entry, status: os.stat_result) -> bool:
    size = entry.size if entry.source_size is None else entry.source_size
    known = (size, entry.modified_ns, entry.ctime_ns, entry.inode)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) == known


def _is_copy(entry: Entry, path: str) -> bool:
    """Return whether a database is the copy that SQLite made; to open one that is in use could cost it its locks."""
    return not sqlite.busy(path) and _hash(path) == entry.blake3
