"""Layout of a restore on the disk: missing folders, steps of files, and folders that change owner or permissions."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from peak_observe.backup_recovery.files.file_systems import is_plain
from peak_observe.backup_recovery.files.xattrs import has_rights
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, encode_name
from peak_observe.backup_recovery.restore.attributes import attribute
from peak_observe.backup_recovery.restore.file_steps import is_folder
from peak_observe.backup_recovery.restore.journal import Access, Step
from peak_observe.backup_recovery.restore.path_checks import nearest_folder
from peak_observe.backup_recovery.restore.plan import (
    BLOCKED,
    NEW,
    REPLACED,
    SAME,
    Action,
    Refusal,
    changes,
    first_names,
    is_copied,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from peak_observe.backup_recovery.restore.ownership import Ownership

PRIVATE = 0o700
LONGEST = os.pathconf("/", "PC_PATH_MAX") - 1 if hasattr(os, "pathconf") else 259
"""Bytes of a path that the system can open."""
DUMPS = ".dumps"
"""Ends the name of a folder beside the backups, with what commands have written; no backup knows the folder itself."""
_HELPER = len(".peak-01234567-.new~")
"""Characters of the name of a file on its way, but for the number of its step."""


class Layout:
    """The folders that are missing: each topmost one is made as a whole and appears by one rename.

    Args:
        actions: What the restore does.
        private: A folder below which folders that the backup does not know are for their owner only.
    """

    def __init__(self, actions: Sequence[Action], private: str | None) -> None:
        self._tops: dict[str, str] = {}
        self._private = private
        known: dict[str, Action] = {}
        self._holds: dict[str, Action] = {}
        for action in actions:
            if action.entry.type != FOLDER and action.change != SAME:
                above = action.target.rpartition("/")[0]
                if self.top(above):
                    self._holds.setdefault(above, action)
            elif action.change == NEW:
                self.top(action.target)
                known[action.target] = action
        self.folders = {folder: known.get(folder) for folder, top in self._tops.items() if top}
        for folder, action in known.items():
            self._holds.setdefault(folder.rpartition("/")[0], action)

    def top(self, folder: str) -> str:
        """Return the topmost missing folder that a folder is or lies below; empty if it is there."""
        found = self._tops.get(folder)
        if found is not None:
            return found
        missing, above = [], folder
        while above and above not in self._tops and not is_folder(above):
            missing.append(above)
            above = above.rpartition("/")[0]
        top = self._tops.setdefault(above, "")
        for path in reversed(missing):
            top = self._tops[path] = top or path
        return top

    def tops(self) -> list[str]:
        """Return the topmost missing folders."""
        return sorted({top for top in self._tops.values() if top})

    def access(self, folder: str) -> tuple[int | None, Action | None]:
        """Return the mode of a missing folder, None for the usual one, and whose owner it gets.

        What holds a single file that was named needs the owner of that file, who could write beside it before.
        """
        action = self.folders[folder]
        if action is not None:
            return action.entry.mode, action
        private = self._private is not None and f"{folder}/".startswith(f"{self._private}/")
        private |= folder.endswith(DUMPS)
        return PRIVATE if private else None, self._holds.get(folder)


def step_of(action: Action, folders: Sequence[Path]) -> Step:
    """Return the step of a file; what is written in place is prepared beside it, or else where a journal can be."""
    target = encode_name(action.target)
    if not action.in_place:
        return Step(target)
    places = [Path(parent(action.target) or "/"), *folders]
    usable = [str(place.absolute()) for place in places if os.access(place, os.W_OK | os.X_OK)]
    return Step(target, at=encode_name(usable[0] if usable else str(places[0])))


def unrecorded(actions: Iterable[Action], folders: Sequence[Path]) -> Iterator[Refusal]:
    """Yield that no folder takes the journal, without which nothing changes.

    What is written in place is kept in the same folders, so that it is refused with that.

    Args:
        actions: What the restore does.
        folders: Where the journal can be.
    """
    if all(action.change == SAME and not action.retime for action in actions):
        return
    known = dict.fromkeys(map(str, folders))
    if not any(map(takes_journal, folders)):
        where, mend = " or ".join(known), "a restore needs one folder that this user may write"
        yield Refusal(BLOCKED, f"the journal of the restore cannot be written to {where}: {mend}")


def takes_journal(folder: Path) -> bool:
    """Return whether a journal can be written to a folder."""
    return os.access(nearest_folder(str(folder)), os.W_OK | os.X_OK) and not attribute(str(folder))


def without_room(actions: Sequence[Action]) -> Iterator[Refusal]:
    """Yield the disks that surely have no room for the new files, which lie beside the old ones until all are there."""
    nearest, names = cache(nearest_folder), first_names(actions)
    needed: Counter[Path] = Counter()
    for action in changes(actions):
        entry = action.entry
        if entry.type == FILE and not (entry.sparse or action.in_place) and is_copied(action, names):
            needed[nearest(parent(action.target) or "/")] += entry.size
    disks: dict[int, Path] = {}
    together: Counter[Path] = Counter()
    for folder, size in needed.items():
        together[disks.setdefault(folder.stat().st_dev, folder)] += size
    for folder, size in together.items():
        status = os.statvfs(folder)
        free = status.f_bfree * status.f_frsize
        if status.f_blocks and size > free and is_plain(str(folder)):  # a tmpfs without a limit has no blocks
            what = f"No space left on device for {size:,} bytes in {folder}, where {free:,} are free"
            yield Refusal(BLOCKED, f"{what}: make room there")


def too_long(actions: Sequence[Action]) -> Iterator[Refusal]:
    """Yield the paths that leave no room for the name of the file that is made beside them."""
    room = LONGEST - _HELPER - len(str(4 * len(actions)))
    long = [action for action in actions if len(os.fsencode(action.target)) > room]
    layout = Layout(long, None)
    places = [action.target for action in changes(long)] + [folder for folder, of in layout.folders.items() if of]
    for target in places:
        top = layout.top(target if target in layout.folders else parent(target))
        # Below a missing folder all of it has its name while it is on its way.
        inside = target[len(top) :] if top else ""
        if len(os.fsencode(f"{parent(top or target)}/{inside}")) > room or len(os.fsencode(target)) > LONGEST:
            yield Refusal(BLOCKED, f"{target}: this path is too long for a file on its way beside it")


def access_of(actions: Iterable[Action], owners: Ownership) -> Iterator[Access]:
    """Yield the folders that are there and get another owner or other permissions."""
    for action in actions:
        if action.entry.type == FOLDER and action.change == REPLACED:
            now, owner = os.lstat(action.target), owners.of(action.entry)
            uid, gid = (now.st_uid if owner.uid < 0 else owner.uid), (now.st_gid if owner.gid < 0 else owner.gid)
            mode = owner.permissions(action.entry.mode, right=owner.exact)
            if has_rights(action.target, now, mode, acl=action.entry.xattrs):
                mode = now.st_mode & 0o7777  # another one would be another mask of its ACL
            yield Access(encode_name(action.target), uid, gid, mode, now.st_uid, now.st_gid, now.st_mode & 0o7777)


def made(step: Step, new: str, linked: Iterable[int]) -> Step:
    """Return a step with what tells its new file or folder from one of somebody else's."""
    now = os.lstat(new)
    if not step.tree:
        return replace(step, inode=now.st_ino, mtime_ns=now.st_mtime_ns)
    # To set a time to what it is changes the status last, after that of all that is in the folder.
    os.utime(new, ns=(now.st_atime_ns, now.st_mtime_ns))
    return replace(step, inode=now.st_ino, mtime_ns=os.lstat(new).st_ctime_ns, linked=tuple(sorted(linked)))


def parent(path: str) -> str:
    """Return the folder of a path; empty for what is in the root folder."""
    return path.rpartition("/")[0]
