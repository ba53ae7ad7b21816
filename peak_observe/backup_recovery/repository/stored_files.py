"""The files of a backup as they lie in the repository: where they are, and whether they are what they were."""

from __future__ import annotations

import os
import stat
from operator import attrgetter
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.files.copying import WriteError
from peak_observe.backup_recovery.files.workers import Meter, Progress, each
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, LINK, Entry, Manifest, decode_name
from peak_observe.backup_recovery.repository.metadata import KINDS
from peak_observe.backup_recovery.repository.repository import MANIFEST, METADATA

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path


class Stored:
    """The files of one backup in a repository.

    Args:
        root: The repository's folder.
        manifest: What is in the backup.
        flat: Whether `root` is itself the folder of the only part there is.
    """

    def __init__(self, root: Path, manifest: Manifest, *, flat: bool = False) -> None:
        self._root = root
        self._manifest = manifest
        self._flat = flat
        self._real: set[Path] = set()

    def path(self, entry: Entry) -> str:
        """Return where an entry lies.

        Raises:
            OSError: A folder on the way is a symbolic link, so that it would lie somewhere else.
        """
        stored = decode_name(entry.stored)
        if self._flat:
            found = self._root / stored.partition("/")[2]
        else:
            found = self._root / (entry.base or self._manifest.backup_id) / stored
        for parent in found.parents:
            if parent == self._root or parent in self._real:
                break
            if not stat.S_ISDIR(os.lstat(parent).st_mode):
                raise OSError(None, "the folder it was in is none any more")
            self._real.add(parent)
        return str(found)

    def copy(self, entry: Entry, target: str, tell: Callable[[int], object] | None = None) -> None:
        """Write the file of an entry to a new place.

        Raises:
            WriteError: That cannot be done.
            ValueError: What is stored is not what was stored; the new file has to be removed.
        """
        try:
            found = copying.copied(self.path(entry), target, tell, sparse=entry.sparse)
        except WriteError:
            raise
        except OSError as error:
            raise ValueError(f"{entry.stored}: {_reason(error)}") from None
        if (found.size, found.blake3) != (entry.size, entry.blake3):
            raise ValueError(f"{entry.stored}: {_difference(entry, found)}")

    def check(self, entry: Entry, tell: Callable[[int], object] | None = None) -> str:
        """Read the file of an entry, and return what is wrong with it; empty if nothing is."""
        try:
            path = self.path(entry)
            if entry.type == FILE:
                found = copying.hashed(path, tell)
                difference = (found.size, found.blake3) != (entry.size, entry.blake3)
                return f"{entry.stored}: {_difference(entry, found)}" if difference else ""
            return "" if _is_there(entry, path) else f"{entry.stored}: is not the {entry.type} it was"
        except OSError as error:
            return f"{entry.stored}: {_reason(error)}"

    def check_all(self, entries: Collection[Entry], tell: Callable[[Progress], object] | None = None) -> list[str]:
        """Read the files of entries, and return what is wrong, a line a file."""
        files = [entry for entry in entries if entry.type == FILE]
        meter = Meter(tell, "verify", len(files), sum(entry.size for entry in files))

        def check(entry: Entry) -> str:
            found = self.check(entry, meter.bytes)
            if entry.type == FILE:
                meter.file()
            return found

        return [problem for problem in each(check, list(entries), attrgetter("size")) if problem]

    def strangers(self) -> Iterable[str]:
        """Yield what lies in the backup's folder and is not in its manifest."""
        folder = self._root / self._manifest.backup_id
        named = {decode_name(entry.stored) for entry in self._manifest.entries if not entry.base}
        named |= {METADATA, MANIFEST, *KINDS}
        for where, folders, files in os.walk(folder):
            below = os.path.relpath(where, folder)
            for name in (*folders, *files):
                path = name if below == "." else f"{below}/{name}"
                # An incremental backup has the folders on the way to what it holds.
                if path not in named:
                    yield f"{path}: is not in the manifest"


def _is_there(entry: Entry, path: str) -> bool:
    if entry.type == LINK:
        return os.path.islink(path) and os.readlink(path) == decode_name(entry.target)
    return entry.type == FOLDER and stat.S_ISDIR(os.lstat(path).st_mode)


def _difference(entry: Entry, found: copying.Copied) -> str:
    if found.size != entry.size:
        return f"has {found.size} bytes instead of {entry.size}"
    return "its content has changed"


def _reason(error: OSError) -> str:
    return "is missing" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
