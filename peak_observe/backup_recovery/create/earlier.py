"""Files of earlier backups, looked up in the order of the walk, so that few of their entries are in memory."""

from __future__ import annotations

import os
from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files import copying, sqlite, sqlite_logs
from peak_observe.backup_recovery.files.mounts import mount_points
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, Entry, decode_name
from peak_observe.backup_recovery.repository.manifest_file import ManifestFile
from peak_observe.backup_recovery.repository.repository import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
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
        self.backup_id, self.good = backup.backup_id, backup.good
        self._repository = repository
        manifest = repository / backup.backup_id / MANIFEST
        if copying.hashed(str(manifest)).blake3 != backup.manifest:
            raise ValueError(f"{manifest} is not what was written")
        self._file = ManifestFile(manifest)
        self._digest = backup.manifest
        self._mounts = mount_points()
        head = self._file.head()
        self._bases = ("", backup.base)
        self._doubted_from = head.started_ns - sqlite.DOUBT_NS  # a change then may not show in the times
        self._roots = {(root.kind, root.source): root.stored for root in head.roots}
        self.folder = f"{repository}/{backup.backup_id}/"
        self._starts: dict[str, int] | None = None  # found out when the walk first leaves the manifest's order
        self._end = 0
        self._folder = ""
        self._blocks = self._file.entries()
        self._entries: Iterator[Entry] = chain.from_iterable(self._blocks)
        self._put_back = deque[Entry]()  # what was come to too early

    def place_of(self, root: Root) -> str | None:
        """Return where a named path lies in the backup's folder; None where it does not have it."""
        return self._roots.get((root.kind, root.source))

    def find(self, stored: str) -> Entry | None:
        """Return the entry of a file, which may only be asked for in the order of the walk.

        Args:
            stored: Where it lies in the backup's folder.
        """
        try:
            # Where nothing was added and nothing removed, the manifest goes on as the walk does.
            found = self._next()
            if found is None or found.stored != stored:
                found = self._sought(stored, found)
            elif found.type == FOLDER:
                self._folder = stored
        except (OSError, ValueError):
            self._give_up()
            return None
        return found if found is not None and found.type == FILE and found.base in self._bases else None

    def goes_on_with(self, stored: str, kind: str) -> bool:
        """Return whether a link or folder comes next, of that place and type; it is passed over then."""
        try:
            found = self._next()
        except (OSError, ValueError):
            self._give_up()
            return False
        if found is None or (found.stored, found.type) != (stored, kind):
            self._put_back.extendleft([found] if found else [])
            return False
        if kind == FOLDER:
            self._folder = stored
        return True

    def was_folder(self, root: Root) -> bool:
        """Return whether a named path was a folder, of which `find` has just found no file."""
        return self._folder == self.place_of(root)

    def find_all(self, stored: list[str]) -> list[Entry | None] | None:
        """Return what `find` would of each place, if all of them follow each other in the manifest; None if not.

        Where nothing was added and nothing removed, it takes a fifth of the time. After None each can be looked up.

        Args:
            stored: Where files, links and folders lie in the backup's folder, in the order of the walk.
        """
        try:
            ahead = [*self._put_back, *islice(self._entries, max(0, len(stored) - len(self._put_back)))]
        except (OSError, ValueError):
            self._give_up()
            return None
        found = ahead[: len(stored)]
        if [entry.stored for entry in found] != stored:
            self._put_back = deque(ahead)
            return None
        self._put_back = deque(ahead[len(stored) :])
        last = found[-1]
        self._folder = last.stored if last.type == FOLDER else _folder_of(last.stored)
        return [entry if entry.type == FILE and entry.base in self._bases else None for entry in found]

    def is_untouched(self, entry: Entry, status: os.stat_result, path: str) -> bool:
        """Return whether a file's status proves that it is what an entry tells."""
        (untouched,) = self.are_untouched([entry], [status])
        # A log of a database that is mounted by itself lies in another folder.
        return untouched and (entry.source_size is None or (path not in self._mounts and sqlite_logs.at_rest(path)))

    def are_untouched(self, entries: Collection[Entry | None], statuses: Collection[os.stat_result]) -> list[bool]:
        """Return of each file whether its status is that of an entry; only of a database that is not enough."""
        doubted_from = self._doubted_from
        return [
            entry is not None
            and 0 < entry.ctime_ns < doubted_from
            and status.st_ctime_ns == entry.ctime_ns
            and status.st_ino == entry.inode
            and status.st_mtime_ns == (entry.mtime_ns if entry.mtime_s is None else entry.modified_ns)
            and status.st_size == (entry.size if entry.source_size is None else entry.source_size)
            for entry, status in zip(entries, statuses, strict=True)
        ]

    def copy(self, entry: Entry) -> str:
        """Return the path of the stored copy."""
        return (f"{self._repository}/{entry.base}/" if entry.base else self.folder) + decode_name(entry.stored)

    def is_sound(self, entry: Entry) -> bool:
        """Return whether the stored copy is what was stored."""
        try:
            return copying.hashed(self.copy(entry)).blake3 == entry.blake3
        except OSError:
            return False

    def close(self) -> None:
        """Close the manifest; it is opened again when somebody asks for a file of another folder."""
        self._blocks.close()
        self._entries = iter(())
        self._put_back.clear()

    def _give_up(self) -> None:
        """Read everything else anew: the manifest is removed, or somebody changes it."""
        self._starts = {}
        self.close()

    def _next(self) -> Entry | None:
        return self._put_back.popleft() if self._put_back else next(self._entries, None)

    def _sought(self, stored: str, ahead: Entry | None) -> Entry | None:
        """Return the entry of a file that is not the next one, if there is one; what comes before it is passed over."""
        folder = _folder_of(stored)
        while self._folder != folder and ahead is not None and ahead.type == FOLDER:
            self._folder, ahead = ahead.stored, self._next()
        if self._folder != folder:
            if not self._goes_on_at(folder):
                self._put_back.extendleft([ahead] if ahead else [])
                return None
            ahead = self._next()
        # Files come before folders, so that behind the first folder there are no more of them.
        while ahead is not None and ahead.type != FOLDER and _is_before(ahead.stored, stored):
            ahead = self._next()
        if ahead is not None and ahead.stored == stored:
            return ahead
        self._put_back.extendleft([ahead] if ahead else [])
        return None

    def _goes_on_at(self, folder: str) -> bool:
        """Go on with the first entry of a folder, or with a named file; False where there is none."""
        if self._starts is None:
            self._starts, self._end = self._file.starts(self._digest)
        start = self._starts.get(folder)
        if start is None:
            return False
        self.close()
        self._folder, self._blocks = folder, self._file.entries_between(start, self._end)
        self._entries = chain.from_iterable(self._blocks)
        return True


def _folder_of(stored: str) -> str:
    """Return the folder of a file; a named one stands by itself."""
    folder = stored.rpartition("/")[0]
    return folder if "/" in folder else stored


def _is_before(one: str, other: str) -> bool:
    """Return whether the walk meets one place of a folder before another."""
    if "%" in one or "%" in other:
        return decode_name(one) < decode_name(other)
    return one < other
