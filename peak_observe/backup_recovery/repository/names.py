"""Names in the folder of a repository, which tell it from any other folder."""

from __future__ import annotations

import os

from peak_observe.backup_recovery.files.helper_names import MARK as OWN
from peak_observe.backup_recovery.repository.leftovers import PREFIXES

__all__ = ["MANIFEST", "METADATA", "OWN", "holds_backups", "is_backup", "is_plain", "own_names", "stamp"]

METADATA, MANIFEST = "metadata.json", "manifest.json"


def is_backup(folder: str) -> bool:
    """Return whether what is in a folder is that of a backup."""
    return os.path.lexists(f"{folder}/{METADATA}") or os.path.lexists(f"{folder}/{MANIFEST}")


def own_names(root: str) -> tuple[list[str], list[str]]:
    """Return the names of all that belongs to a repository, and of its backups.

    Raises:
        OSError: The folder cannot be listed.
    """
    names = os.listdir(root)
    backups = [name for name in names if is_backup(f"{root}/{name}")]
    return [name for name in names if name == OWN or name.startswith(PREFIXES) or name in backups], backups


def is_plain(root: str) -> bool:
    """Return whether a folder is somebody's and no repository: what looks like one is left out of backups."""
    try:
        return not os.path.lexists(f"{root}/{OWN}") and not own_names(root)[0]
    except OSError:
        return False


def holds_backups(root: str) -> bool:
    """Return whether a folder with a repository's own one in it holds a backup, one on its way, or nothing else."""
    try:
        names = [name for name in os.listdir(root) if name != OWN]
    except OSError:
        return True
    # Programs call a file of theirs `metadata.json` too.
    backups = (name for name in names if name.startswith("backup_") and is_backup(f"{root}/{name}"))
    return not names or any(name.startswith(PREFIXES) for name in names) or any(backups)


def stamp(path: str) -> int:
    """Return when a file was changed; 0 for one that is not there."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
