"""Atomic writing of files: a reader finds the old text or the new one, never a part."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write `text` to `path` by one rename, making the folders above it; several threads and processes may do so.

    Args:
        path: The file.
        text: What it shall hold.
        durable: Whether to return only when a power cut cannot take it away any more.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    if path.is_dir():  # a rename would call it busy
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    missing = [folder for folder in path.parents if not folder.exists()] if durable else []
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, text.encode(), durable=durable)
    if durable:
        for entry in (path, *missing):
            sync_folder(entry.parent)


def replace_durably(path: Path, content: bytes) -> None:
    """Write `content` to `path` by one rename, in a folder that exists; when this returns it outlives a power cut.

    Raises:
        OSError: The file cannot be written.
    """
    _replace(path, content, durable=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder outlive a power cut; one that may not be opened is left to the system.

    Raises:
        OSError: The disk reports an error.
    """
    try:
        folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _replace(path: Path, content: bytes, *, durable: bool) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
