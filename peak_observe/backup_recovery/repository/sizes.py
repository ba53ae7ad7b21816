"""Sizes of backups on the disk, where files share their content by hard links."""

from __future__ import annotations

import os
import stat
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def walk(folder: Path, *, onerror: Callable[[OSError], object] | None) -> Iterator[os.stat_result]:
    """Yield the status of every file below a folder."""
    for where, _, names in os.walk(folder, onerror=onerror):
        for name in names:
            yield os.lstat(os.path.join(where, name))


def size_alone(folder: Path) -> int | None:
    """Return the bytes that go with a folder: of files with no name elsewhere; None if they cannot be seen."""
    names: Counter[int] = Counter()
    files: dict[int, os.stat_result] = {}
    try:
        for found in walk(folder, onerror=fail):
            if stat.S_ISREG(found.st_mode):
                names[found.st_ino] += 1
                files[found.st_ino] = found
    except OSError:
        return None
    return sum(found.st_size for inode, found in files.items() if names[inode] == found.st_nlink)


def fail(error: OSError) -> None:
    """Raise an error that `os.walk` reports."""
    raise error
