"""Unchanged files of a backup: found in earlier backups, and linked to the copies there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.files.file_systems import is_in_memory
from peak_observe.backup_recovery.files.safe_read import check_is_of_file
from peak_observe.backup_recovery.files.xattrs import ACL, without_mask, xattrs
from peak_observe.backup_recovery.repository.manifest import FILE, Entry, encode_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from peak_observe.backup_recovery.create.earlier import EarlierFiles
    from peak_observe.backup_recovery.create.sources import Found
    from peak_observe.backup_recovery.repository.manifest import Root

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


class Known(NamedTuple):
    """What earlier backups tell of some files, each by its number.

    Args:
        entries: The entries of files that need not be read, None for all else.
        sources: The copies to link to, empty for all else and for what stays where it is.
        more: What else is known.
        roots: The good backup in which a named path was a folder and is a file now, or the reverse.
        others: Links and folders that may have been files.
        teller: The one backup that tells all of this, as it has the same names; empty if there is none.
    """

    entries: list[Entry | None]
    sources: list[str]
    more: dict[int, EarlierFacts]
    roots: dict[int, str]
    others: list[int]
    teller: str = ""


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

    def known(self, batch: Sequence[tuple[Place, Found]]) -> Known:
        """Return what earlier backups tell of files."""
        stored = [encode_name(found.stored) for _, found in batch]
        place = batch[0][0]
        if batch[-1][0] is place and [before for _, before in place.earlier] == [""]:
            ((earlier, _),) = place.earlier
            entries = earlier.find_all(stored)
            if entries is not None:
                return self._known_of_one(earlier, entries, batch, stored)
        known = Known([None] * len(batch), [""] * len(batch), {}, {}, [])
        for number, ((place, found), name) in enumerate(zip(batch, stored, strict=True)):
            before = [(one, there + name[place.cut :] if there else name) for one, there in place.earlier]
            is_root = name == place.root.stored
            if found.type == FILE:
                tellers = [(one, one.find(there)) for one, there in before]
                self._tell(known, number, found, name, tellers)
                others = [one for one, entry in tellers if entry is None and is_root and one.was_folder(place.root)]
            elif passed := [one for one, there in before if one.goes_on_with(there, found.type)]:
                if len(passed) == len(before) or passed[-1].good:
                    continue  # what came in between, and was in no good backup, is nothing to go back to
                known.others.append(number)
                others = [one for one, there in before if is_root and one not in passed and one.find(there) is not None]
            else:
                known.others.append(number)
                others = [one for one, there in before if is_root and one.find(there) is not None]
            for one in others:
                if one.good:
                    known.roots[number] = one.backup_id
        return known

    def _known_of_one(
        self,
        earlier: EarlierFiles,
        entries: list[Entry | None],
        batch: Sequence[tuple[Place, Found]],
        stored: list[str],
    ) -> Known:
        """Return what one backup tells of the same names: most files are linked once more, with the same entry."""
        found, root = [item for _, item in batch], batch[0][0].root
        devices = {item.status.st_dev: item for item in found if item.type == FILE}.values()
        if self._incremental or self._doubted or any(map(self._is_in_memory, devices)):
            again: list[Entry | None] = [None] * len(found)
        else:
            again = [
                entry
                if is_untouched
                and entry is not None
                and entry.taken == LINKED
                and entry.source_size is None
                and not (entry.base or entry.hardlink or entry.xattrs)
                else None
                for entry, is_untouched in zip(
                    entries, earlier.are_untouched(entries, [item.status for item in found]), strict=True
                )
            ]
        folder = earlier.folder
        sources = [folder + item.stored if entry else "" for item, entry in zip(found, again, strict=True)]
        known = Known(again, sources, {}, {}, [], earlier.backup_id)
        for number in [number for number, entry in enumerate(again) if entry is None]:
            if found[number].type == FILE:
                self._tell(known, number, found[number], stored[number], [(earlier, entries[number])])
            elif entries[number] is not None:
                known.others.append(number)
            is_other = (found[number].type == FILE) == (entries[number] is None)
            if is_other and stored[number] == root.stored and earlier.good:
                known.roots[number] = earlier.backup_id
        return known

    def _tell(
        self, known: Known, number: int, found: Found, stored: str, tellers: list[tuple[EarlierFiles, Entry | None]]
    ) -> None:
        """Tell of one file what each of some backups knows."""
        entry, source, database, plain, other = None, "", "", "", None
        for earlier, before in tellers:
            if before is None:
                continue
            if entry is not None:
                other = before, earlier
            elif earlier.is_untouched(before, found.status, found.path) and self._is_telling(before, found):
                entry, source = self._unchanged(before, earlier, stored, found)
            elif before.source_size is None:
                plain = plain or earlier.backup_id
            if before.source_size is not None:
                database = database or earlier.backup_id
        known.entries[number], known.sources[number] = entry, source
        if database or plain or other:
            known.more[number] = EarlierFacts(database, plain, other)

    def _is_telling(self, entry: Entry, found: Found) -> bool:
        """Return whether a status that did not change tells of the content, or the content itself is the same."""
        return not self._is_in_memory(found) or _is_same(entry, found.path)

    def _is_in_memory(self, found: Found) -> bool:
        device = found.status.st_dev
        if device not in self._in_memory:
            self._in_memory[device] = is_in_memory(found.path)
        return self._in_memory[device]

    def link_to_other(self, found: Found, more: EarlierFacts | None) -> Entry | None:
        """Link to the copy of another earlier backup, where that of the first could not be linked to."""
        if more is None or more.other is None:
            return None
        known, earlier = more.other
        if not (earlier.is_untouched(known, found.status, found.path) and self._is_telling(known, found)):
            return None
        entry, source = self._unchanged(known, earlier, encode_name(found.stored), found)
        return entry if not source or link(source, self._folder + found.stored) else None

    def _unchanged(self, entry: Entry, earlier: EarlierFiles, stored: str, found: Found) -> tuple[Entry | None, str]:
        """Return the entry of an unchanged file, and the copy to link to, if it does not stay where it is."""
        if self._doubted and not earlier.is_sound(entry):
            return None, ""
        stays = self._incremental and entry.stored == stored
        source = "" if stays else earlier.copy(entry)
        # With the time of its last change the mode, the owner and the rest are those of then.
        base = (entry.base or earlier.backup_id) if stays else ""
        entry = replace(entry, mode=_mode(entry, found)) if entry.xattrs else entry
        if entry.taken == LINKED and entry.stored == stored and entry.base == base and not entry.hardlink:
            return entry, source
        return replace(entry, stored=stored, taken=LINKED, base=base, hardlink=""), source


def _mode(entry: Entry, found: Found) -> int:
    """Return the permissions of a file with attributes; earlier versions took the mask of an ACL for the group's."""
    shows = entry.mode == stat.S_IMODE(found.status.st_mode) and entry.mode & stat.S_IRWXG
    return without_mask(found.path, entry.mode) if shows and ACL in xattrs(found.path) else entry.mode


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
    except OSError as error:
        check_is_of_file(error)
        return False  # too many links, another file system, none that has links, or the copy is gone
    return True
