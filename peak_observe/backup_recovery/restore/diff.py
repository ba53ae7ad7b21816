"""Differences between two backups, or between a backup and the present."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from peak_observe.backup_recovery.create.sources import Exclude, Found, find
from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.files.workers import each
from peak_observe.backup_recovery.repository.manifest import FOLDER, LINK, Entry, Manifest, Root, decode_name
from peak_observe.backup_recovery.restore.plan import is_time
from peak_observe.backup_recovery.restore.restore import manifest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from peak_observe.backup_recovery.repository.repository import Repository

T = TypeVar("T", Entry, Found)
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
    earlier = manifest_of(repository, repository.get(before), named)
    if after is not None:
        later = _entries(manifest_of(repository, repository.get(after), named))
        return _sorted(before, after, _entries(earlier), later, _is_like, unreadable={})
    own = repository.root.stat()
    roots = {(root.kind, root.source): root for root in (*named, *earlier.roots)}
    found, unreadable = _live(roots.values(), exclude, skip=[(own.st_dev, own.st_ino)])
    entries = _entries(earlier).items()
    known = {path: entry for path, entry in entries if path in found or not _is_below(path, unreadable)}
    return _sorted(before, None, known, found, _is_now, unreadable=unreadable)


def _sorted(
    before: str,
    after: str | None,
    earlier: dict[str, Entry],
    later: dict[str, T],
    alike: Callable[[Entry, T], bool | str],
    *,
    unreadable: dict[str, str],
) -> Difference:
    both = sorted(earlier.keys() & later.keys())
    alikes = each(lambda path: alike(earlier[path], later[path]), both, lambda path: earlier[path].size)
    told = dict(zip(both, alikes, strict=True))
    changed = tuple(path for path, unchanged in told.items() if unchanged is False)
    reasons = {**unreadable, **{path: why for path, why in told.items() if isinstance(why, str)}}
    added, removed = sorted(later.keys() - earlier.keys()), sorted(earlier.keys() - later.keys())
    same = [path for path, unchanged in told.items() if unchanged is True]
    times = tuple(path for path in same if not is_time(earlier[path].modified_ns, _modified_ns(later[path])))
    left = len(same), dict(sorted(reasons.items())), times
    return Difference(before, after, tuple(added), tuple(removed), changed, *left)


def _modified_ns(found: Entry | Found) -> int:
    return found.modified_ns if isinstance(found, Entry) else found.status.st_mtime_ns


def _entries(manifest: Manifest) -> dict[str, Entry]:
    sources = {root.stored: decode_name(root.source) for root in manifest.roots}
    found = {}
    for entry in manifest.entries:
        place = "/".join(entry.stored.split("/", 2)[:2])
        if entry.type != FOLDER and place in sources:  # the state lies below no path
            found[sources[place] + decode_name(entry.stored[len(place) :])] = entry
    return found


def _live(
    roots: Iterable[Root], exclude: Exclude, skip: Collection[tuple[int, int]]
) -> tuple[dict[str, Found], dict[str, str]]:
    """Return the files of now, and what cannot be read with the reason."""
    found: dict[str, Found] = {}
    unreadable: dict[str, str] = {}
    for root in roots:
        source = decode_name(root.source)
        problem = _Problems(source, unreadable)
        for item in find(source, "", exclude=exclude, skip=skip, problem=problem, left_out=_ignore):
            if item.type != FOLDER:
                found[source + item.stored] = item
    return found, unreadable


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


def _is_like(one: Entry, other: Entry) -> bool:
    return _facts(one) == _facts(other)


def _facts(entry: Entry) -> tuple[object, ...]:
    return (entry.type, entry.target) if entry.type == LINK else (entry.type, entry.size, entry.blake3, entry.mode)


def _is_now(entry: Entry, found: Found) -> bool | str:
    """Return whether a file is as it was; where it cannot be read, why, whatever else is known of it."""
    try:
        if LINK in (entry.type, found.type):
            return entry.type == found.type and os.readlink(found.path) == decode_name(entry.target)
        return _is_same(entry, found) or (_forbidden(found.path) and UNREADABLE.format(os.strerror(errno.EACCES)))
    except (FileNotFoundError, NotADirectoryError, copying.NotRegularError):  # it was there a moment ago
        return False
    except OSError as error:
        return UNREADABLE.format(error.strerror)


def _is_same(entry: Entry, found: Found) -> bool:
    status = found.status
    if stat.S_IMODE(status.st_mode) != entry.mode:
        return False
    if sqlite.is_database(found.path, status):
        return sqlite.quiet(found.path) and (_is_untouched(entry, status) or _is_copy(entry, found.path))
    return _is_untouched(entry, status) or (
        status.st_size == entry.size and copying.hashed(found.path).blake3 == entry.blake3
    )


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
    return not sqlite.busy(path) and copying.hashed(path).blake3 == entry.blake3
