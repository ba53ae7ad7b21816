"""Single steps of a restore, each of which can be made again after a crash."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from peak_observe.backup_recovery.restore.plan import look


def keep(target: str, old: str) -> None:
    """Give what is at `target` a second name; where links cannot be made, move it there."""
    if there(old):
        return
    try:
        os.link(target, old, follow_symlinks=False)
    except FileNotFoundError:
        return  # it went away meanwhile
    except OSError:
        move(target, old)


def move(path: str, to: str) -> None:
    """Rename what is there, if anything is."""
    with suppress(FileNotFoundError):
        os.rename(path, to)


def unlink(path: str) -> None:
    """Remove what is there, if anything is."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def there(path: str) -> bool:
    """Return whether anything is there; what cannot be seen is not nothing."""
    return look(path) is not None


def is_folder(path: str) -> bool:
    """Return whether a folder is there, or a link to one."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
