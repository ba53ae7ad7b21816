"""Kinds of what is backed up: a database or a named file that has become a folder is missing, and the reverse.

Docker makes an empty folder where a file is missing that it shall mount.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peak_observe.backup_recovery.create.earlier_databases import EarlierDatabases
    from peak_observe.backup_recovery.create.sources import Found
    from peak_observe.backup_recovery.create.unchanged import Known, Place


class EarlierKinds:
    """What was there in earlier backups where something of another kind is now.

    Args:
        databases: What was a database in any of them.
        problem: Told path and reason of what is of another kind now.
    """

    def __init__(self, databases: EarlierDatabases | None, problem: Callable[[str, str], None]) -> None:
        self._databases = databases
        self._problem = problem

    def look(self, batch: Sequence[tuple[Place, Found]], known: Known) -> None:
        """Tell of databases that are folders or links now, and of named paths that are files or folders now."""
        for number in sorted({*self._asked(batch, known), *known.roots}):
            found = batch[number][1]
            before = "" if found.type == FILE or not self._databases else self._databases.find_other(found.path)
            if before and (now := _now(found)):
                self._problem(found.path, f"it was a database in {before}, and is {now} now")
            elif not before and number in known.roots:
                was, now = ("folder", "file") if found.type == FILE else ("file", "folder")
                self._problem(found.path, f"it was a {was} in {known.roots[number]}, and is a {now} now")

    def _asked(self, batch: Sequence[tuple[Place, Found]], known: Known) -> Sequence[int]:
        """Return what may have been a database: of an unchanged tree nothing, if its newest backup tells that."""
        if self._databases and known.teller and known.teller != self._databases.newest(batch[0][0].root):
            return [number for number, (_, found) in enumerate(batch) if found.type != FILE]
        return known.others


def _now(found: Found) -> str:
    """Return what is there instead of a database; empty for a link to one, or to nothing, which is told already."""
    if found.type == FOLDER:
        return "a folder"
    path = os.path.realpath(found.path)
    try:
        status = os.stat(path)
        is_database = stat.S_ISREG(status.st_mode) and sqlite.is_database(path, status)
    except OSError:
        return "" if not os.path.exists(path) else "a symbolic link to what cannot be read"
    return "" if is_database else "a symbolic link to no database"
