"""Sources of a backup: named paths, exclude patterns, and the walk over files, links and folders below them."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_left
from contextlib import suppress
from fnmatch import translate
from itertools import islice, takewhile
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from peak_observe.backup_recovery.create.skipped import without_cache
from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.files.helper_names import HELPERS, JOURNALS, is_helper, is_journal
from peak_observe.backup_recovery.files.helper_names import MARK as REPOSITORY_MARK
from peak_observe.backup_recovery.files.safe_read import check_is_of_file
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, LINK, Root, encode_name
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

ON_ITS_WAY = "a restore has it on its way, or a crash has left it of one"
EMPTIED = "everything in it is excluded, or in caches and repositories of backups"
EMPTY = "there is no file in it"
_FORMAT = stat.S_IFMT(0o777_777)
_TYPES = {stat.S_IFREG: FILE, stat.S_IFDIR: FOLDER, stat.S_IFLNK: LINK}


class Found(msgspec.Struct, frozen=True, gc=False):
    """One file, symbolic link or folder below a named path.

    Args:
        path: Where it is.
        stored: Where it goes, relative to the backup's folder; both as the system's names.
        type: `file`, `link` or `folder`.
        status: What the system says of it.
    """

    path: str
    stored: str
    type: str
    status: os.stat_result


class Exclude:
    """Patterns of files and folders, as for what is left out.

    A pattern without a slash is matched against names at any depth, one with a slash against the path below the named
    one; a slash at the end makes it match folders only. `*`, `?` and `[…]` are those of the shell, and `*` crosses
    slashes.

    Args:
        patterns: The patterns.
        option: What they are given as, for the message.

    Raises:
        ValueError: They are not strings.
    """

    def __init__(self, patterns: Iterable[str] = (), *, option: str = "exclude") -> None:
        self.patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        if not all(isinstance(pattern, str) and pattern.strip("/") for pattern in self.patterns):
            raise ValueError(f"{option} must be patterns like '*.log' or 'cache/', not {shown(patterns)}")
        names = [pattern for pattern in self.patterns if "/" not in pattern.rstrip("/")]
        paths = [pattern.lstrip("/") for pattern in self.patterns if "/" in pattern.rstrip("/")]
        self._names = _either(name for name in names if not name.endswith("/")), _either(map(_folder, names))
        self._paths = _either(path for path in paths if not path.endswith("/")), _either(map(_folder, paths))

    def __call__(self, path: str, *, folder: bool) -> bool:
        """Return whether something at `path`, relative to the named one, is left out."""
        name = path.rpartition("/")[2]
        return any(
            bool(pattern.fullmatch(text))
            for text, patterns in ((name, self._names), (path, self._paths))
            for pattern in patterns[: 2 if folder else 1]
        )


def _folder(pattern: str) -> str:
    return pattern.rstrip("/") if pattern.endswith("/") else ""


def _either(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns if pattern) or r"(?!)")


def checked_path(path: Path | str) -> Path | str:
    """Return a path; an empty text, as an unset variable leaves it, would mean the working directory.

    Raises:
        TypeError: It is neither a text nor a path.
        ValueError: It is none.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"it has to be a path, not {shown(path)}")
    if not str(path) or "\0" in str(path):
        raise ValueError(f"it has to be a path, not {shown(str(path))}")
    return path


class NamedPaths:
    """Named paths of one part of a backup, in the order in which they were added.

    Args:
        kind: Which part.
        named: The paths; the list is kept, so that code that changes it is heard.
    """

    def __init__(self, kind: str, named: list[Path]) -> None:
        self.kind = kind
        self.named = named
        self._written: dict[Path, str] = {}

    def add(self, path: Path | str, *, written: str | None = None) -> None:
        """Name a path; twice is once.

        Args:
            path: The path.
            written: How somebody wrote it, where that is not the path itself, as in a file in whose folder it begins.

        Raises:
            ValueError: It is none.
        """
        checked_path(path)
        if Path(path) not in self.named:
            self.named.append(Path(path))
        if written is not None:
            self._written[Path(path)] = written

    def roots(self) -> list[Root]:
        """Return the paths as roots of a backup; those of one name get different places."""
        roots: dict[str, Root] = {}
        for path in self.named:
            source = os.path.abspath(path)
            if any(root.source == encode_name(source) for root in roots.values()):
                continue
            stored = self._free(source, roots)
            roots[stored] = Root(
                self.kind, encode_name(self._written.get(path) or str(path)), encode_name(source), stored
            )
        return list(roots.values())

    def _free(self, source: str, taken: Collection[str]) -> str:
        name = encode_name(source.rpartition("/")[2]) or "root"
        stored, number = f"{self.kind}/{name}", 1
        while stored in taken:
            number += 1
            stored = f"{self.kind}/{name}.{number}"
        return stored


def find(
    path: str,
    stored: str,
    *,
    exclude: Exclude,
    skip: Collection[tuple[int, int]],
    problem: Callable[[str, str], None],
    left_out: Callable[[str, str], None] | None = None,
) -> Iterator[Found]:
    """Yield what is at a named path, a folder before what is in it; symbolic links below it are not followed.

    Args:
        path: The named path. If it is a symbolic link itself, what it points to is meant.
        stored: Where it goes.
        exclude: What is left out.
        skip: Device and inode of folders that are left out without a word, as the repository itself.
        problem: Told path and reason of what cannot be taken.
        left_out: Told path and reason of caches and of repositories below the named path, whose content is left out;
            without it, they are taken.
    """
    named = _named(path, stored, problem)
    if named is not None and (named.status.st_dev, named.status.st_ino) in skip:
        problem(path, "is the repository itself, which cannot be in its own backups: name what is in it")
        return
    if named is not None and is_helper(named.path.rpartition("/")[2]):
        problem(path, f"is no file of its own: {ON_ITS_WAY}")
        return
    if named is None or named.type is FILE:
        yield from () if named is None else _file(named, problem)
        return
    folders, seen = [named], _Seen()
    tell = left_out or _say_nothing
    while folders:
        folder = folders.pop()
        if (folder.status.st_dev, folder.status.st_ino) in skip:
            continue
        listed, logs = _listed(folder.path, problem, tell)
        is_below = left_out is not None and folder is not named
        entries = without_cache(folder.path, listed, tell) if is_below else listed
        below = folder.path[len(named.path) + 1 :]
        wanted = _without_excluded(entries or [], below, exclude)
        seen.see(listed, wanted, is_whole=entries is listed)
        if entries is None:
            continue
        yield folder
        for log in logs:  # which tells of its database also where it is excluded itself
            if log in entries and sqlite.is_log(log.path):
                _tell_of_database(log, below, exclude, problem)
        yield from _taken(wanted, folder, problem, folders=folders)
    if not seen.something:
        tell(path, EMPTIED if seen.left_out else EMPTY)


class _Seen:
    """Whether a walk takes any file, and whether it leaves anything out."""

    def __init__(self) -> None:
        self.something = self.left_out = False

    def see(self, listed: list[os.DirEntry[str]], wanted: list[os.DirEntry[str]], *, is_whole: bool) -> None:
        """Look at a folder; of a cache, which is not taken as a whole, the tag is no file of anybody's."""
        self.left_out = self.left_out or len(wanted) < len(listed)
        if is_whole and not self.something:
            self.something = not all(entry.is_dir(follow_symlinks=False) for entry in wanted)


def _named(path: str, stored: str, problem: Callable[[str, str], None]) -> Found | None:
    try:
        real = os.path.realpath(path, strict=True)
        status = os.lstat(real)
    except OSError as error:
        check_is_of_file(error)
        problem(path, _reason(path, error))
        return None
    kind = _TYPES.get(status.st_mode & _FORMAT)
    if kind is None or kind is LINK:  # of which another one was made meanwhile
        problem(path, _special(status))
        return None
    return Found(real, stored, kind, status)


def _file(named: Found, problem: Callable[[str, str], None]) -> Iterator[Found]:
    """Yield a named file, and tell if a log of SQLite beside it says that it is a damaged database."""
    folder, _, name = named.path.rpartition("/")
    if _is_side(folder, name, {name.removesuffix(side) for side in sqlite.SIDES}):
        problem(named.path, "is SQLite's own, and the backup of the database beside it holds what is in it: name that")
        return
    for side in sqlite.SIDES:
        if sqlite.is_log(named.path + side):
            _tell_of_log(named.path, side, problem)
    yield named


def _taken(
    entries: Iterable[os.DirEntry[str]], folder: Found, problem: Callable[[str, str], None], *, folders: list[Found]
) -> Iterator[Found]:
    """Yield the files and links of a listing that can be taken; add its folders to `folders`."""
    place = f"{folder.stored}/"
    for entry in entries:
        path = entry.path
        try:
            status = os.lstat(path)  # unlike `stat` of an entry, which would keep it as long as the folder's listing
        except OSError as error:
            check_is_of_file(error)
            problem(path, _reason(path, error))
            continue
        kind = _TYPES.get(status.st_mode & _FORMAT)
        if kind is FILE:
            yield Found(path, place + entry.name, kind, status)
        elif kind is FOLDER:
            folders.append(Found(path, place + entry.name, kind, status))
        elif kind is LINK:
            if not os.path.exists(path):
                problem(path, "a symbolic link that points to nothing")
            yield Found(path, place + entry.name, kind, status)
        else:
            problem(path, _special(status))


def _tell_of_database(log: os.DirEntry[str], below: str, exclude: Exclude, problem: Callable[[str, str], None]) -> None:
    (side,) = (side for side in sqlite.SIDES if log.name.endswith(side))
    if not exclude(f"{below}/{log.name.removesuffix(side)}".lstrip("/"), folder=False):
        _tell_of_log(log.path.removesuffix(side), side, problem)


def _tell_of_log(path: str, side: str, problem: Callable[[str, str], None]) -> None:
    """Tell of a file that has a log of SQLite beside it and is no database, as one that is damaged or encrypted."""
    if os.path.isfile(path) and not _is_database(path):
        problem(path, f"has SQLite's {side} beside it and is no database: it is damaged, or encrypted and in use")


def _without_excluded(entries: list[os.DirEntry[str]], below: str, exclude: Exclude) -> list[os.DirEntry[str]]:
    if not exclude.patterns:
        return entries
    return [
        entry
        for entry in entries
        if not exclude(f"{below}/{entry.name}".lstrip("/"), folder=entry.is_dir(follow_symlinks=False))
    ]


def _listed(
    folder: str, problem: Callable[[str, str], None], left_out: Callable[[str, str], None]
) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Return what is in a folder by name, without what a restore has on its way, and what is named as SQLite's logs.

    What SQLite keeps beside databases is left out as well: the online backup holds that.
    """
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=attrgetter("name"))
    except OSError as error:
        check_is_of_file(error)
        problem(folder, f"cannot be listed: {error.strerror}")
        return [], []
    entries = _without_helpers(folder, entries, left_out)
    sides = [entry for entry in entries if entry.name.endswith(sqlite.SIDES)]
    if not sides:
        return entries, []
    names = {entry.name for entry in entries}
    own = {entry.name for entry in sides if _is_side(folder, entry.name, names)}
    return [entry for entry in entries if entry.name not in own], [entry for entry in sides if entry.name not in own]


def _without_helpers(
    folder: str, entries: list[os.DirEntry[str]], left_out: Callable[[str, str], None]
) -> list[os.DirEntry[str]]:
    """Return entries, which are in the order of their names, without those that a restore has on its way."""
    own = folder.endswith(f"/{REPOSITORY_MARK}")
    beginnings, is_left_out = (JOURNALS, is_journal) if own else (HELPERS, is_helper)
    found = [entry for name in beginnings for entry in _beginning(entries, name) if is_left_out(entry.name)]
    for entry in found:
        left_out(entry.path, ON_ITS_WAY)
    return [entry for entry in entries if entry not in found] if found else entries


def _beginning(entries: list[os.DirEntry[str]], name: str) -> Iterator[os.DirEntry[str]]:
    """Return the entries whose names begin so: to find where takes few looks, whatever their number."""
    at = bisect_left(entries, name, key=attrgetter("name"))
    return takewhile(lambda entry: entry.name.startswith(name), islice(entries, at, None))


def _say_nothing(_: str, __: str) -> None:
    """Say nothing."""


def _is_side(folder: str, name: str, names: Collection[str]) -> bool:
    for side in sqlite.SIDES:
        base = name.removesuffix(side)
        if base != name and base in names and _is_database(path := f"{folder}/{base}"):
            with suppress(OSError):  # it is gone, and this is stored as any other file
                return sqlite.is_own_side(path, side)
    return False


def _is_database(path: str) -> bool:
    try:
        return sqlite.is_database(path, os.lstat(path))
    except OSError:
        return False


def _reason(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "a symbolic link that points to nothing" if os.path.islink(path) else "is missing"
    return f"cannot be read: {error.strerror}"


def _special(status: os.stat_result) -> str:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a device", stat.S_IFCHR: "a device"}
    return f"is {kinds.get(stat.S_IFMT(status.st_mode), 'no file')}, which no backup can hold"
