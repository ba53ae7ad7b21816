"""Permissions of a repository: only its owner reads what is in it, also what an older version let others read."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600
OWNER, OTHERS = stat.S_IRWXU, stat.S_IRWXG | stat.S_IRWXO
MOUNT_POINT = "lost+found"

_log = logger("peak_observe.backup")


@contextmanager
def owners_rights() -> Iterator[None]:
    """Let the owner of what is made meanwhile have all rights to it, whatever the umask of this process takes away."""
    umask = _umask()
    if not umask & OWNER:
        yield
        return
    os.umask(umask & ~OWNER)
    try:
        yield
    finally:
        os.umask(umask)


def _umask() -> int:
    """Return the umask, where that can be read; to set it and to set it back would show in files of other threads."""
    with suppress(OSError), open("/proc/self/status", "rb") as status:
        return next((int(line.split()[1], 8) for line in status if line.startswith(b"Umask:")), 0)
    return 0


def tighten(root: Path, ours: Collection[str], keep_below: Collection[str]) -> None:
    """Take the right to read from others, and say so in one line of the log.

    Args:
        root: The repository's folder, or a symbolic link to it, and none below is followed. It stays as it is if
            somebody keeps other things in it.
        ours: Names of the folders in it that belong to the repository.
        keep_below: Those of them whose files keep their modes.

    Raises:
        OSError: Something cannot be looked at.
    """
    place = os.path.realpath(root)
    alone = {*os.listdir(place)} - {*ours} <= {MOUNT_POINT}
    whole = [""] if alone and not os.lstat(place).st_mode & stat.S_ISVTX else []
    tightened = 0
    for name in (*whole, *ours):
        folder = f"{place}/{name}" if name else place
        with suppress(PermissionError):  # of another owner
            if _is_tightened(folder):
                tightened += 1 + (0 if name in ("", *keep_below) else _tighten_below(folder))
    if tightened:
        _log.info("%s: took the right to read %d files and folders from others", root, tightened)


def _is_tightened(folder: str) -> bool:
    """Take the right to read a folder from others, and return whether they had it and have it no more."""
    mode = os.lstat(folder).st_mode
    if not mode & OTHERS or stat.S_ISLNK(mode):
        return False
    os.chmod(folder, FOLDER_MODE)
    return not os.lstat(folder).st_mode & OTHERS  # a file system without modes would be told of at each run


def _tighten_below(folder: str) -> int:
    """Take the right to read what is in a folder from others, and return of how many files and folders."""
    count = 0
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = f"{where}/{name}"
            status = os.lstat(path)
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & (OTHERS | stat.S_ISUID | stat.S_ISGID):
                os.chmod(path, stat.S_IMODE(status.st_mode) & stat.S_IRWXU)
                count += 1
    return count
