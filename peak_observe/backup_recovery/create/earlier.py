"""Files of earlier backups, looked up in the order of the walk, so that few of their entries are in memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from contextlib import closing
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, Entry, decode_name
from peak_observe.backup_recovery.repository.manifest_file import ManifestFile
from peak_observe.backup_recovery.repository.repository import MANIFEST

if TYPE_CHECKING:
    import os
    from collections.abc import Generator
    from pathlib import Path

    from peak_observe.backup_recovery.repository.manifest import Root
    from peak_observe.backup_recovery.repository.metadata import BackupMetadata


class EarlierFiles:
    """Files of one earlier backup, looked up by path.

    Args:
        repository: The repository's folder.
        backup: The backup.

    Raises:
        OSError: Its manifest cannot be read.
        ValueError: Its manifest is not what was written.
    """

    def __init__(self, repository: Path, backup: BackupMetadata) -> None:
        self.backup_id = backup.backup_id
        self._repository = repository
        self._file = ManifestFile(repository / backup.backup_id / MANIFEST)
        head = self._file.head()
        self._bases = ("", backup.base)
        self._surely = range(1, head.started_ns - sqlite.DOUBT_NS)
        self._roots = {(root.kind, root.source): root.stored for root in head.roots}
        self._starts, end = self._file.starts(backup.manifest)
        self._places = array("q", (*self._starts.values(), end))
        self._folder = ""
        self._entries: Generator[Entry] | None = None
        self._ahead: Entry | None = None

    def place_of(self, root: Root) -> str | None:
        """Return where a named path lies in the backup's folder; None where it does not have it."""
        return self._roots.get((root.kind, root.source))

    def find(self, stored: str) -> Entry | None:
        """Return the entry of a file, which may only be asked for in the order of the walk.

        Args:
            stored: Where it lies in the backup's folder.
        """
        try:
            found = self._below(stored) if stored.count("/") > 1 else self._named(stored)
        except (OSError, ValueError):  # it is removed, or somebody changes it: everything else is read anew
            self._starts.clear()
            self.close()
            return None
        return found if found is not None and found.type == FILE and found.base in self._bases else None

    def is_untouched(self, entry: Entry, status: os.stat_result, path: str) -> bool:
        """Return whether a file's status proves that it is what an entry tells."""
        size = entry.size if entry.source_size is None else entry.source_size
        facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if facts != (size, entry.modified_ns, entry.ctime_ns, entry.inode) or entry.ctime_ns not in self._surely:
            return False
        return entry.source_size is None or sqlite.quiet(path)

    def copy(self, entry: Entry) -> str:
        """Return the path of the stored copy."""
        return f"{self._repository}/{entry.base or self.backup_id}/{decode_name(entry.stored)}"

    def is_sound(self, entry: Entry) -> bool:
        """Return whether the stored copy is what was stored."""
        try:
            return copying.hashed(self.copy(entry)).blake3 == entry.blake3
        except OSError:
            return False

    def close(self) -> None:
        """Close the manifest; it is opened again when somebody asks for a file of another folder."""
        if self._entries is not None:
            self._entries.close()
        self._entries = self._ahead = None

    def _named(self, stored: str) -> Entry | None:
        start = self._starts.get(stored)
        if start is None:
            return None
        with closing(self._file.entries(start, self._end(start))) as entries:
            return next(entries, None)

    def _end(self, start: int) -> int:
        behind = bisect_right(self._places, start)
        return self._places[behind] if behind < len(self._places) else start  # of an empty folder at the very end

    def _below(self, stored: str) -> Entry | None:
        folder = stored.rpartition("/")[0]
        if folder != self._folder:
            start = self._starts.get(folder)
            self.close()
            self._folder = folder
            self._entries = None if start is None else self._file.entries(start, self._end(start))
            self._advance()
        while self._ahead is not None and self._ahead.stored != stored:
            if not _is_before(self._ahead.stored, stored):
                return None
            self._advance()
        return self._ahead

    def _advance(self) -> None:
        self._ahead = None if self._entries is None else next(self._entries, None)
        if self._ahead is not None and self._ahead.type == FOLDER:  # files come before folders
            self.close()  # the folder stays: it has no more, and need not be looked through again


def _is_before(one: str, other: str) -> bool:
    """Return whether the walk meets one place of a folder before another."""
    if "%" in one or "%" in other:
        return decode_name(one) < decode_name(other)
    return one < other
