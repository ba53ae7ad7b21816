"""What a restore would do, found out without touching anything."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.files.workers import each
from peak_observe.backup_recovery.repository.manifest import (
    FILE,
    FOLDER,
    LINK,
    STATE_FILE,
    Entry,
    Manifest,
    Root,
    decode_name,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

NEW, REPLACED, SAME = "new", "replaced", "same"


class RestorePlan(NamedTuple):
    """What a restore changes, by path.

    Args:
        backup_id: The backup.
        new: Files that are not there now.
        replaced: Files that are there, and differ.
        same: Files that are there as they are in the backup.
        extra: Files in restored folders that are not in the backup; they stay.
    """

    backup_id: str
    new: tuple[str, ...]
    replaced: tuple[str, ...]
    same: tuple[str, ...]
    extra: tuple[str, ...]

    def __str__(self) -> str:
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in ("new", "replaced", "same", "extra"))
        return f"{self.backup_id}: {counts}"


class Action(NamedTuple):
    """One entry of the backup and the path it belongs to.

    Args:
        entry: The entry.
        target: The path.
        change: `new`, `replaced` or `same`.
        sides: Files beside a database that belong to its old content and have to go with it.
    """

    entry: Entry
    target: str
    change: str
    sides: tuple[str, ...] = ()


class Places:
    """Where the entries of a backup belong.

    Args:
        manifest: The backup.
        named: The roots that are named now, whose paths may be written.
        inside: A folder that gets everything instead, laid out as in the backup.
    """

    def __init__(self, manifest: Manifest, named: Iterable[Root], inside: str | None) -> None:
        self.unnamed: list[Root] = []
        self._targets: dict[str, str] = {}
        known = list(named)
        for root in manifest.roots:
            if inside is not None:
                self._targets[root.stored] = f"{inside}/{decode_name(root.stored)}"
                continue
            # A path is found again by its name as well, so that a project's folder may have moved.
            match = [item for item in known if item.kind == root.kind and root.source == item.source] or [
                item for item in known if item.kind == root.kind and root.named == item.named
            ]
            if match:
                self._targets[root.stored] = os.path.realpath(decode_name(match[0].source))
            else:
                self.unnamed.append(root)
        if inside is not None:
            self._targets[STATE_FILE] = f"{inside}/{STATE_FILE}"

    def of(self, entry: Entry) -> str | None:
        """Return the path of an entry; None if nothing that is named now holds it."""
        if entry.stored == STATE_FILE:
            return self._targets.get(STATE_FILE)
        place = "/".join(entry.stored.split("/", 2)[:2])
        target = self._targets.get(place)
        return None if target is None else target + decode_name(entry.stored[len(place) :])

    def roots(self, kinds: Collection[str]) -> Iterator[str]:
        """Yield the paths of all roots of these kinds."""
        for stored, target in self._targets.items():
            if stored.partition("/")[0] in kinds:
                yield target


def actions(entries: Iterable[Entry], places: Places, problems: list[str]) -> list[Action]:
    """Return what to do with each entry, in their order.

    Args:
        entries: The entries; the first of several that belong to one path wins.
        places: Where they belong.
        problems: What stands against restoring is added, a line a path.
    """
    wanted: dict[str, Entry] = {}
    for entry in entries:
        target = places.of(entry)
        if target is not None:
            wanted.setdefault(target, entry)
    problems += _led_astray(wanted)
    found = each(lambda item: _action(item[1], item[0]), list(wanted.items()), lambda item: item[1].size)
    problems += [action for action in found if isinstance(action, str)]
    return [action for action in found if isinstance(action, Action)]


def extra(roots: Iterable[str], targets: Collection[str], sides: Collection[str]) -> list[str]:
    """Return the files below restored folders that no entry belongs to."""
    found = []
    for root in roots:
        for where, folders, files in os.walk(root):
            links = [name for name in folders if os.path.islink(f"{where}/{name}")]
            paths = [f"{where}/{name}" for name in (*files, *links)]
            found += [path for path in paths if path not in targets and path not in sides]
    return sorted(found)


def _led_astray(wanted: dict[str, Entry]) -> Iterator[str]:
    """Yield the paths on whose way something else than a folder stands; what is there is not followed."""
    checked: set[str] = set()
    for target, entry in wanted.items():
        if entry.type != FOLDER or target in checked:
            continue
        checked.add(target)
        status = look(target)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            yield f"{target} is {_kind(status)} now and a folder in the backup: move it away"


def _action(entry: Entry, target: str) -> Action | str:
    status = look(target)
    if status is None:
        return Action(entry, target, NEW, _sides(entry, target))
    if entry.type == FOLDER:
        return Action(entry, target, SAME if stat.S_ISDIR(status.st_mode) else NEW)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return f"{target} is {_kind(status)} now and a {entry.type} in the backup: move it away"
    if _is_same(entry, target, status):
        return Action(entry, target, SAME)
    if stat.S_ISREG(status.st_mode) and sqlite.is_database(target, status):
        reason = sqlite.busy(target)
        if reason:
            return f"{target}: {reason}"
    return Action(entry, target, REPLACED, _sides(entry, target))


def _is_same(entry: Entry, target: str, status: os.stat_result) -> bool:
    if entry.type == LINK:
        return stat.S_ISLNK(status.st_mode) and os.readlink(target) == decode_name(entry.target)
    if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != entry.mode or status.st_size != entry.size:
        return False
    if sqlite.is_database(target, status) and (sqlite.busy(target) or not sqlite.quiet(target)):
        return False  # what its log holds is not in its file, and to open it here could cost it its locks
    return copying.hashed(target).blake3 == entry.blake3


def _sides(entry: Entry, target: str) -> tuple[str, ...]:
    if entry.type != FILE:
        return ()
    beside = tuple(target + side for side in sqlite.SIDES)
    return tuple(path for path in beside if entry.source_size is not None and look(path))


def look(path: str) -> os.stat_result | None:
    """Return the status of what is at a path, None if nothing is; what cannot be seen is not nothing.

    Raises:
        OSError: It cannot be seen.
    """
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _kind(status: os.stat_result) -> str:
    if stat.S_ISDIR(status.st_mode):
        return "a folder"
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link"
    return "a file" if stat.S_ISREG(status.st_mode) else "no regular file"
