"""Plain copies of files: what was staged moves into its folder, and no symbolic link in there leads out of it."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, Entry, decode_name
from peak_observe.backup_recovery.repository.permissions import FOLDER_MODE
from peak_observe.support import posix

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PERMISSIONS = 0o777
_OPEN = os.O_RDONLY | posix.DIRECTORY | posix.CLOEXEC


def move(entries: Iterable[Entry], work: Path, folder: Path) -> None:
    """Move what was staged into a folder, each file by one rename; what is of another type there goes.

    Whoever may write into a folder of the copy can put a symbolic link there at any moment, and a source may let
    everybody. So each folder is opened in the one above it, and what is in it is named from there.

    Args:
        entries: What was staged, a folder before what is in it.
        work: Where it was staged. It lies in the folder, and is removed afterwards with what goes.
        folder: The folder, which may be a symbolic link itself.

    Raises:
        OSError: Something cannot be written.
    """
    for path, group in groupby(entries, lambda entry: decode_name(entry.stored).partition("/")[2].rpartition("/")[0]):
        place = f"{folder}/{path}".rstrip("/")
        try:
            above = _opened(folder, path)
            try:
                for entry in group:
                    place = f"{folder}/{decode_name(entry.stored).partition('/')[2]}"
                    _move(entry, work, above)
            finally:
                os.close(above)
        except OSError as error:
            error.filename, error.filename2 = place, None  # by itself it has the last name only
            raise


def _opened(folder: Path, path: str) -> int:
    """Open a folder below another one, and follow no symbolic link on the way."""
    opened = os.open(folder, _OPEN)
    for name in path.split("/") if path else ():
        above = opened
        try:
            opened = os.open(name, _OPEN | posix.NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    return opened


def _move(entry: Entry, work: Path, above: int) -> None:
    staged = f"{work}/{decode_name(entry.stored)}"
    name = os.path.basename(staged)
    if entry.type == FILE:
        # Nothing else keeps the mode here. Whoever may run a copy must not get the rights of who made it.
        os.chmod(staged, entry.mode & PERMISSIONS)
    old = f"{work}/{secrets.token_hex(8)}"
    is_wrong = _is_folder(name, above) is (entry.type != FOLDER)
    if is_wrong:
        os.rename(name, old, src_dir_fd=above)
    try:
        if entry.type == FOLDER:
            _make(name, (entry.mode & PERMISSIONS) | FOLDER_MODE, above)
        else:
            os.replace(staged, name, dst_dir_fd=above)
    except BaseException:
        if is_wrong:
            with suppress(OSError):
                os.rename(old, name, dst_dir_fd=above)
        raise


def _is_folder(name: str, above: int) -> bool | None:
    """Return whether what is there is a folder, which a symbolic link is not; None if nothing is."""
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=above).st_mode)
    except FileNotFoundError:
        return None


def _make(name: str, mode: int, above: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, FOLDER_MODE, dir_fd=above)
    descriptor = os.open(name, _OPEN | posix.NOFOLLOW, dir_fd=above)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
