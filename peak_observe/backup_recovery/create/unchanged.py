"""Unchanged files of a backup: found in earlier backups, and linked to the copies there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.files.file_systems import is_in_memory
from peak_observe.backup_recovery.repository.manifest import encode_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from peak_observe.backup_recovery.create.earlier import EarlierFiles
    from peak_observe.backup_recovery.create.sources import Found
    from peak_observe.backup_recovery.repository.manifest import Entry, Root

LINKED = "linked"


class Place(NamedTuple):
    """A named path in this backup and in earlier ones.

    Args:
        root: The path.
        cut: Characters of its place in this backup, behind which that of a file below it goes on.
        earlier: The backups that have it, the newest first, each with its place there; empty if it is the same.
    """

    root: Root
    cut: int
    earlier: list[tuple[EarlierFiles, str]]


class EarlierFacts(NamedTuple):
    """What earlier backups tell of a file besides whether it changed.

    Args:
        database: The newest of them in which it was a database; empty if it was none.
        plain: The newest of them in which it was no database, but had other content than now; empty if there is none.
        other: The entry of one more that holds it, and that backup's files.
    """

    database: str
    plain: str
    other: tuple[Entry, EarlierFiles] | None


class UnchangedFiles:
    """Files of earlier backups that need not be read again.

    Args:
        folder: The staging folder.
        earlier: Earlier backups by part and source of a named path, the newest first.
        incremental: Whether a file that did not change stays where it is instead of being linked.
        doubted: Whether a backup here is corrupt: others may hold the same file, so what is linked is read first.
    """

    def __init__(
        self,
        folder: Path,
        earlier: Mapping[tuple[str, str], Sequence[EarlierFiles]],
        *,
        incremental: bool,
        doubted: bool,
    ) -> None:
        self._folder = f"{folder}/"
        self._earlier = earlier
        self._incremental = incremental
        self._doubted = doubted
        self._in_memory: dict[int, bool] = {}  # by device

    def place_of(self, root: Root) -> Place:
        """Return a named path in this backup and in earlier ones."""
        earlier = ((one, one.place_of(root)) for one in self._earlier.get((root.kind, root.source), ()))
        held = [(one, "" if place == root.stored else place) for one, place in earlier if place is not None]
        return Place(root, len(root.stored), held)

    def known(self, place: Place, found: Found) -> tuple[Entry | None, str, EarlierFacts | None]:
        """Return the entry of a file that need not be read, with the copy to link to, and what else is known of it."""
        entry, source, database, plain, other = None, "", "", "", None
        stored = encode_name(found.stored)
        for earlier, before in place.earlier:
            known = earlier.find(before + stored[place.cut :] if before else stored)
            if known is None:
                continue
            if entry is not None:
                other = known, earlier
            elif earlier.is_untouched(known, found.status, found.path) and self._is_telling(known, found):
                entry, source = self._unchanged(known, earlier, stored)
            elif known.source_size is None:
                plain = plain or earlier.backup_id
            if known.source_size is not None:
                database = database or earlier.backup_id
        more = EarlierFacts(database, plain, other) if database or plain or other else None
        return entry, source, more

    def _is_telling(self, entry: Entry, found: Found) -> bool:
        """Return whether a status that did not change tells of the content, or the content itself is the same."""
        device = found.status.st_dev
        if device not in self._in_memory:
            self._in_memory[device] = is_in_memory(found.path)
        return not self._in_memory[device] or _is_same(entry, found.path)

    def link_to_other(self, found: Found, more: EarlierFacts | None) -> Entry | None:
        """Link to the copy of another earlier backup, where that of the first could not be linked to."""
        if more is None or more.other is None:
            return None
        known, earlier = more.other
        if not (earlier.is_untouched(known, found.status, found.path) and self._is_telling(known, found)):
            return None
        entry, source = self._unchanged(known, earlier, encode_name(found.stored))
        return entry if not source or link(source, self._folder + found.stored) else None

    def _unchanged(self, entry: Entry, earlier: EarlierFiles, stored: str) -> tuple[Entry | None, str]:
        """Return the entry of an unchanged file, and the copy to link to, if it does not stay where it is."""
        if self._doubted and not earlier.is_sound(entry):
            return None, ""
        stays = self._incremental and entry.stored == stored
        source = "" if stays else earlier.copy(entry)
        # With the time of its last change the mode, the owner and the rest are those of then.
        base = (entry.base or earlier.backup_id) if stays else ""
        if entry.taken == LINKED and entry.stored == stored and entry.base == base and not entry.hardlink:
            return entry, source
        return replace(entry, stored=stored, taken=LINKED, base=base, hardlink=""), source


def _is_same(entry: Entry, path: str) -> bool:
    """Return whether a file has the content of an entry; what is stored of a database is not what its file holds."""
    try:
        return entry.source_size is None and copying.hashed(path).blake3 == entry.blake3
    except OSError:
        return False


def link(path: str, target: str) -> bool:
    """Make one more name of a file, and return whether that can be done."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:
        return False  # too many links, another file system, none that has links, or the copy is gone
    return True
