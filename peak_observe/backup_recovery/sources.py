"""What is named for a backup, and what is found there."""

from __future__ import annotations

import os
import re
import stat
from fnmatch import translate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery import sqlite
from peak_observe.backup_recovery.manifest import FILE, FOLDER, LINK, Root, encode_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

Tell = "Callable[[str, str], None]"


class Found(NamedTuple):
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
    """Patterns of what is left out.

    A pattern without a slash is matched against names at any depth, one with a slash against the path below the named
    one; a slash at the end makes it match folders only. `*`, `?` and `[…]` are those of the shell, and `*` crosses
    slashes.

    Args:
        patterns: The patterns.

    Raises:
        ValueError: They are not strings.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        if not all(isinstance(pattern, str) and pattern.strip("/") for pattern in self.patterns):
            raise ValueError(f"exclude must be patterns like '*.log' or 'cache/', not {patterns!r}")
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


class Paths:
    """The paths named for one part of a backup, in the order in which they were named.

    Args:
        kind: Which part.
        named: The paths; the list is kept, so that code that changes it is heard.
    """

    def __init__(self, kind: str, named: list[Path]) -> None:
        self.kind = kind
        self.named = named

    def add(self, path: Path | str) -> None:
        """Name a path; twice is once."""
        if Path(path) not in self.named:
            self.named.append(Path(path))

    def roots(self) -> list[Root]:
        """Return the paths as roots of a backup; those of one name get different places."""
        roots: dict[str, Root] = {}
        for path in self.named:
            source = os.path.abspath(path)
            if any(root.source == encode_name(source) for root in roots.values()):
                continue
            stored = self._free(source, roots)
            roots[stored] = Root(self.kind, encode_name(str(path)), encode_name(source), stored)
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
) -> Iterator[Found]:
    """Yield what is at a named path, a folder before what is in it; symbolic links below it are not followed.

    Args:
        path: The named path. If it is a symbolic link itself, what it points to is meant.
        stored: Where it goes.
        exclude: What is left out.
        skip: Device and inode of folders that are left out without a word, as the repository itself.
        problem: Told path and reason of what cannot be taken.
    """
    try:
        real = os.path.realpath(path, strict=True)
        status = os.lstat(real)
    except OSError as error:
        problem(path, _reason(path, error))
        return
    if stat.S_ISREG(status.st_mode):
        yield Found(real, stored, FILE, status)
    elif stat.S_ISDIR(status.st_mode):
        yield from _folder_and_below(Found(real, stored, FOLDER, status), exclude, skip, problem)
    else:
        problem(path, _special(status))


def _folder_and_below(
    root: Found,
    exclude: Exclude,
    skip: Collection[tuple[int, int]],
    problem: Callable[[str, str], None],
) -> Iterator[Found]:
    left = [root]
    while left:
        folder = left.pop()
        if (folder.status.st_dev, folder.status.st_ino) in skip:
            continue
        yield folder
        try:
            with os.scandir(folder.path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            problem(folder.path, f"cannot be listed: {error.strerror}")
            continue
        sides = _sides(folder.path, {entry.name for entry in entries})
        below = len(root.path) + 1
        for entry in entries:
            if entry.name in sides or exclude(entry.path[below:], folder=entry.is_dir(follow_symlinks=False)):
                continue
            found = _found(entry, folder, problem)
            if found is None:
                continue
            if found.type == FOLDER:
                left.append(found)
            else:
                yield found


def _found(entry: os.DirEntry[str], folder: Found, problem: Callable[[str, str], None]) -> Found | None:
    stored = f"{folder.stored}/{entry.name}"
    try:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            if not os.path.exists(entry.path):
                problem(entry.path, "a symbolic link that points to nothing")
            return Found(entry.path, stored, LINK, status)
    except OSError as error:
        problem(entry.path, _reason(entry.path, error))
        return None
    if stat.S_ISDIR(status.st_mode):
        return Found(entry.path, stored, FOLDER, status)
    if stat.S_ISREG(status.st_mode):
        return Found(entry.path, stored, FILE, status)
    problem(entry.path, _special(status))
    return None


def _sides(folder: str, names: Collection[str]) -> set[str]:
    """Return the names of what SQLite keeps beside databases in a folder; the online backup holds what is in it."""
    return {
        name
        for name in names
        for side in sqlite.SIDES
        if name.endswith(side) and (base := name.removesuffix(side)) in names and _is_database(f"{folder}/{base}")
    }


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
