"""Manifest of a folder of copies that has none: a backup of the original code base, or of one part by itself."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.create.sources import Exclude, find
from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.repository.manifest import (
    FILE,
    FOLDER,
    LINK,
    STATE_FILE,
    VERSION,
    Entry,
    Manifest,
    Root,
    decode_name,
    encode_name,
)
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA
from peak_observe.backup_recovery.restore.ownership import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from peak_observe.backup_recovery.create.sources import Found


def manifest(folder: Path, named: Iterable[Root]) -> Manifest:
    """Return what is in a backup of the original code base; the hashes are those of this moment.

    Args:
        folder: The backup's folder.
        named: What is named now: copies are known by the last part of their name only.

    Raises:
        OSError: A copy cannot be read, which its `errno` tells from a copy that is damaged.
    """
    known = list(named)
    roots: list[Root] = []
    entries: list[Entry] = []
    for kind in (CONFIG, DATA):
        wanted = [root for root in known if root.kind == kind]
        found, below = part(folder / kind, kind, wanted)
        roots += found
        entries += below
    if (folder / STATE_FILE).is_file():
        entries += _entries(str(folder / STATE_FILE), STATE_FILE)
    return Manifest(VERSION, folder.name, 0, roots, entries)


def part(folder: Path, kind: str, named: Iterable[Root]) -> tuple[list[Root], list[Entry]]:
    """Return the roots and entries of a folder that holds the copies of one part."""
    by_place = {root.stored: root for root in named}
    roots: list[Root] = []
    entries: list[Entry] = []
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        stored = f"{kind}/{encode_name(name)}"
        roots.append(by_place.get(stored) or Root(kind, encode_name(name), f"/{encode_name(name)}", stored))
        entries += _entries(str(folder / name), f"{kind}/{name}")
    return roots, entries


def _entries(path: str, stored: str) -> Iterator[Entry]:
    if os.path.islink(path):
        return  # copies of named paths are never links: this one leads somewhere else
    for found in find(path, stored, exclude=Exclude(), skip=(), problem=_raise):
        yield _entry(found)


def _entry(found: Found) -> Entry:
    status, place = found.status, encode_name(found.stored)
    mode, times = stat.S_IMODE(status.st_mode), status.st_mtime_ns
    if found.type == FOLDER:
        return Entry(place, FOLDER, mode=mode, mtime_ns=times, uid=UNKNOWN, gid=UNKNOWN)
    if found.type == LINK:
        target = encode_name(os.readlink(found.path))
        return Entry(place, LINK, target=target, mtime_ns=times, uid=UNKNOWN, gid=UNKNOWN)
    copy = copying.hashed(found.path)
    size = copy.size if sqlite.is_database(found.path, status) else None
    return Entry(
        place,
        FILE,
        copy.size,
        copy.blake3,
        mode,
        times,
        uid=UNKNOWN,  # the copies belong to whoever made them
        gid=UNKNOWN,
        source_size=size,
        sparse=copy.sparse,
    )


def _raise(path: str, reason: str) -> None:
    if reason.startswith("cannot be "):
        _look(path)  # the error itself, and not its text, tells the want of a right from damage
    if not reason.startswith("a symbolic link"):
        raise OSError(None, f"{decode_name(path)} {reason}")


def _look(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        os.listdir(path)
