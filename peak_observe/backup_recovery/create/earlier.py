"""Files of earlier backups, looked up in the order of the walk, so that few of their entries are in memory."""

from __future__ import annotations

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
        manifest = repository / backup.backup_id / MANIFEST
        if copying.hashed(str(manifest)).blake3 != backup.manifest:
            raise ValueError(f"{manifest} is not what was written")
        self._file = ManifestFile(manifest)
        self._digest = backup.manifest
        head = self._file.head()
        self._bases = ("", backup.base)
        self._doubted_from = head.started_ns - sqlite.DOUBT_NS  # a change then may not show in the times
        self._roots = {(root.kind, root.source): root.stored for root in head.roots}
        self._own = f"{repository}/{backup.backup_id}/"
        self._starts: dict[str, int] | None = None  # found out when the walk first leaves the manifest's order
        self._end = 0
        self._folder = ""
        self._entries: Generator[Entry] | None = self._file.all_entries()
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
            if self._ahead is None:
                self._advance()  # it is the first that is asked for
            found = self._ahead  # where nothing was added and nothing removed, the manifest goes on as the walk does
            if found is None or found.stored != stored:
                found = self._sought(stored)
            if found is None:
                return None
            self._advance()
        except (OSError, ValueError):  # it is removed, or somebody changes it: everything else is read anew
            self._starts = {}
            self.close()
            return None
        return found if found.type == FILE and found.base in self._bases else None

    def is_untouched(self, entry: Entry, status: os.stat_result, path: str) -> bool:
        """Return whether a file's status proves that it is what an entry tells."""
        if (
            not 0 < entry.ctime_ns < self._doubted_from
            or status.st_ctime_ns != entry.ctime_ns
            or status.st_ino != entry.inode
            or status.st_mtime_ns != entry.modified_ns
            or status.st_size != (entry.size if entry.source_size is None else entry.source_size)
        ):
            return False
        return entry.source_size is None or sqlite.quiet(path)

    def copy(self, entry: Entry) -> str:
        """Return the path of the stored copy."""
        return (f"{self._repository}/{entry.base}/" if entry.base else self._own) + decode_name(entry.stored)

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

    def _sought(self, stored: str) -> Entry | None:
        """Return the entry of a file that is not the next one, if there is one; what comes before it is passed over."""
        folder = _folder_of(stored)
        while self._folder != folder and self._ahead is not None and self._ahead.type == FOLDER:
            self._folder = self._ahead.stored
            self._advance()
        if self._folder != folder and not self._goes_on_at(folder):
            return None
        while self._ahead is not None and self._ahead.stored != stored:
            # Files come before folders, so that behind the first folder there are no more of them.
            if self._ahead.type == FOLDER or not _is_before(self._ahead.stored, stored):
                return None
            self._advance()
        return self._ahead

    def _goes_on_at(self, folder: str) -> bool:
        """Go on with the first entry of a folder, or with a named file; False where there is none."""
        if self._starts is None:
            self._starts, self._end = self._file.starts(self._digest)
        start = self._starts.get(folder)
        if start is None:
            return False
        self.close()
        self._folder, self._entries = folder, self._file.entries(start, self._end)
        self._advance()
        return True

    def _advance(self) -> None:
        self._ahead = None if self._entries is None else next(self._entries, None)


def _folder_of(stored: str) -> str:
    """Return the folder of a file; a named one stands by itself."""
    folder = stored.rpartition("/")[0]
    return folder if "/" in folder else stored


def _is_before(one: str, other: str) -> bool:
    """Return whether the walk meets one place of a folder before another."""
    if "%" in one or "%" in other:
        return decode_name(one) < decode_name(other)
    return one < other
