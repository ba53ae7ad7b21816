"""Names of one file in a restore: to write it in place changes all of them, also those that nobody asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files.mounts import mount_points
from peak_observe.backup_recovery.repository.manifest import FOLDER
from peak_observe.backup_recovery.restore.plan import BLOCKED, NEW, SAME, Action, Refusal, look

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_MEND = "give each name a file of its own, or restore into another folder"


def written_through(actions: Sequence[Action]) -> Iterator[Refusal]:
    """Yield the files that are written in place, and have more names that would be wrong then.

    Args:
        actions: What the restore does.
    """
    if not any(action.in_place for action in actions):
        return
    files: dict[tuple[int, int], list[Action]] = {
        (status.st_dev, status.st_ino): [] for action in actions if action.in_place and (status := look(action.target))
    }
    for action in actions:
        if action.entry.type != FOLDER and action.change != NEW and (status := look(action.target)):
            files.get((status.st_dev, status.st_ino), []).append(action)
    mounts = mount_points()
    for names in files.values():
        stay = [action for action in names if action.in_place or action.change == SAME]
        other = next((action for action in stay if _facts(action) != _facts(stay[0])), None)
        if other is not None:
            both = f"{stay[0].target} and {other.target} are one file now, which cannot be replaced where it is"
            yield Refusal(BLOCKED, f"{both}, and are not in the backup: {_MEND}")
        elif stay and (more := os.lstat(stay[0].target).st_nlink - _count(names, mounts)) > 0:
            what = f"{stay[0].target} cannot be replaced where it is, and names of its file that are not restored"
            yield Refusal(BLOCKED, f"{what} would change with it ({more}): {_MEND}")


def _facts(action: Action) -> tuple[object, ...]:
    """Return what names of one file have in common, but for the time, which does no harm."""
    entry = action.entry
    return entry.blake3, entry.mode, entry.uid, entry.gid


def _count(names: Sequence[Action], mounts: Collection[str]) -> int:
    """Return how many names these are; a folder may be mounted twice, and what a file is mounted from has one too."""
    found = set()
    for action in names:
        folder, _, name = action.target.rpartition("/")
        status = os.stat(folder or "/")
        found.add(() if action.target in mounts else (status.st_dev, status.st_ino, name))
    return len(found)
