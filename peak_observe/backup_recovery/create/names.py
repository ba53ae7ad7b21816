"""Names of one database: SQLite's log lies beside the one by which a program opened it, and beside no other."""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files import sqlite, sqlite_logs
from peak_observe.backup_recovery.repository.repository import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def name_in_use(path: str, roots: Iterable[str], problem: Callable[[str, str], None]) -> str:
    """Return the name by which a database with several names is to be read: the one that has a log beside it.

    Args:
        path: The name that was found.
        roots: Where other names are looked for, besides the same folder.
        problem: Told path and reason where a log may be missing.

    Raises:
        OSError: It cannot be read.
    """
    status = os.lstat(path)
    names = _names(path, status, roots)
    logs = [name for name in names if any(sqlite.is_log(name + side) for side in sqlite.SIDES)]
    if len(logs) > 1:
        problem(path, f"is one database with SQLite's logs beside {len(logs)} of its names: only one of them is right")
    elif not logs and len(names) < status.st_nlink and sqlite.is_in_wal_mode(path):
        names_known = f"has {status.st_nlink} names, of which {len(names)} can be looked at"
        problem(path, f"{names_known}: what SQLite's log beside another one holds is missing; name that one as well")
    # What is beside a name and no log may be a damaged one.
    return next(iter(logs or (name for name in names if not sqlite_logs.at_rest(name))), path)


def _names(path: str, status: os.stat_result, roots: Iterable[str]) -> list[str]:
    """Return the names of a file that can be found, itself first."""
    found = {path: None}
    folder = os.path.dirname(path)
    for name in chain(_in(folder, status.st_ino), *(_below(os.path.realpath(root), status.st_ino) for root in roots)):
        if len(found) >= status.st_nlink:
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
        if not any(name.endswith(f"/{OWN}") for name in below):  # a repository of backups
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
