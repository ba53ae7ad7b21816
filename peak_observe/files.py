"""Writing a file so that a reader finds the old text or the new one, and never a part."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
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
    missing = [folder for folder in path.parents if not folder.exists()] if durable else []
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        for entry in (path, *missing):
            _sync_folder(entry.parent)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk too, where the system lets us open a folder."""
    with suppress(PermissionError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
