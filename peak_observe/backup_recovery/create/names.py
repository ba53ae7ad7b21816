"""Names of one database: SQLite's log lies beside the one by which a program opened it, and beside no other.

A file that is mounted by itself, as into a container, has a name there that is none of its own, without its folder.
"""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files import sqlite, sqlite_logs
from peak_observe.backup_recovery.files.mounts import mounted_from_elsewhere
from peak_observe.backup_recovery.repository.names import OWN, holds_backups

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

_MOUNTED = (
    "is mounted by itself: if SQLite's log lies beside it in the folder that it comes from, what that holds is "
    "missing; mount that folder, or name it as well"
)


def name_in_use(path: str, roots: Iterable[str], problem: Callable[[str, str], None]) -> str:
    """Return the name by which a database is to be read: of several the one that has a log beside it.

    Args:
        path: The name that was found.
        roots: Where other names are looked for, besides the same folder.
        problem: Told path and reason where a log may be missing.

    Raises:
        OSError: It cannot be read.
    """
    status, mounts = os.lstat(path), mounted_from_elsewhere()
    if status.st_nlink == 1 and path not in mounts:
        return path
    names = _names(path, status, roots, mounts)
    logs = [name for name in names if any(sqlite.is_log(name + side) for side in sqlite.SIDES)]
    if len(logs) > 1:
        problem(path, f"is one database with SQLite's logs beside {len(logs)} of its names: only one of them is right")
    elif not logs and not _are_all(names, status, mounts) and (reason := _unseen(path, names, status, mounts)):
        problem(path, reason)
    # What is beside a name and no log may be a damaged one.
    return next(iter(logs or (name for name in names if not sqlite_logs.at_rest(name))), path)


def _unseen(path: str, names: list[str], status: os.stat_result, mounts: Collection[str]) -> str:
    """Return in words where a log may be that cannot be looked at; empty where there is none by all that is known.

    A half transaction of another mode than WAL cannot be told from the database, whose journal is missing. That only a
    crash leaves; whoever uses a file that is mounted by itself by that name has its journal there.
    """
    wal_mode = sqlite.is_in_wal_mode(path)
    if path in mounts:
        return _MOUNTED if wal_mode else ""
    known = f"has {status.st_nlink} names, of which {len(names)} can be looked at"
    if wal_mode:
        return f"{known}: what SQLite's log beside another one holds is missing; name that one as well"
    return f"{known}: with SQLite's journal beside another one it may be half a transaction; name that one as well"


def _are_all(names: Iterable[str], status: os.stat_result, mounts: Collection[str]) -> bool:
    """Return whether these are all names of a file; what was removed where it was mounted from had one."""
    return sum(name not in mounts for name in names) >= max(status.st_nlink, 1)


def _names(path: str, status: os.stat_result, roots: Iterable[str], mounts: Collection[str]) -> list[str]:
    """Return the names of a file that can be found, itself first."""
    found = {path: None}
    folder = os.path.dirname(path)
    for name in chain(_in(folder, status.st_ino), *(_below(os.path.realpath(root), status.st_ino) for root in roots)):
        if _are_all(found, status, mounts):
            break
        if name not in found and _is_same(name, status):
            found[name] = None
    return list(found)


def _below(root: str, inode: int) -> Iterator[str]:
    folders = [root]
    while folders:
        folder = folders.pop()
        below: list[str] = []
        yield from _in(folder, inode, below)
        if not (any(name.endswith(f"/{OWN}") for name in below) and holds_backups(folder)):
            folders += below


def _in(folder: str, inode: int, below: list[str] | None = None) -> Iterator[str]:
    """Yield what in a folder has a number, and add its folders to `below`."""
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError:  # a named file, or one that may not be listed, of which the walk tells
        return
    for entry in entries:
        if entry.inode() == inode:
            yield entry.path
        if below is not None and entry.is_dir(follow_symlinks=False):
            below.append(entry.path)


def _is_same(name: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(name), status)
    except OSError:
        return False
