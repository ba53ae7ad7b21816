"""Folders below a named one that are no part of a backup: caches, and other repositories of backups."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files.copying import opened
from peak_observe.backup_recovery.repository.names import OWN, holds_backups

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE_TAG = "CACHEDIR.TAG"
CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/


def without_cache(
    folder: str, entries: list[os.DirEntry[str]], left_out: Callable[[str, str], None]
) -> list[os.DirEntry[str]] | None:
    """Return what to take of a folder: of a cache its tag only, of a repository not even the folder."""
    mark = next((entry for entry in entries if entry.name == OWN and entry.is_dir(follow_symlinks=False)), None)
    if mark is not None:
        if holds_backups(folder):
            left_out(folder, "a repository of backups")
            return None
        entries.remove(mark)  # of a command that took the folder for one; a restore writes nothing there
    for entry in entries:
        if entry.name == CACHE_TAG and _is_cache_tag(entry.path):
            left_out(folder, f"a cache, as its {CACHE_TAG} says")
            return [entry]
    return entries


def _is_cache_tag(path: str) -> bool:
    try:
        descriptor, _ = opened(path)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(len(CACHE_SIGNATURE)) == CACHE_SIGNATURE
    except OSError:
        return False
