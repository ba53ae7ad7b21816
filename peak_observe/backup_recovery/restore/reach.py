"""What a journal names has to be within reach before a restore is brought to its end: a disk may not be mounted."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.repository.manifest import decode_name
from peak_observe.backup_recovery.repository.repository import DRILL
from peak_observe.backup_recovery.restore.file_steps import is_folder
from peak_observe.backup_recovery.restore.plan import look, there

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peak_observe.backup_recovery.restore.journal import Journal, Step

FOLDER_GONE = "this folder is not there: mount its disk, or put it back"
FILE_GONE = "neither the file that was to take this place is there nor the one that it was to become: mount its disk"


def check_folders(journal: Journal) -> None:
    """Look whether the folders are there in which files change, and those that change themselves.

    Raises:
        FileNotFoundError: One is not.
        OSError: That cannot be seen.
    """
    made = {
        decode_name(folder.target) for folder in journal.folders
    }  # by an earlier version, whose undo removes them again
    for folder in dict.fromkeys(_folders(journal)):
        if folder not in made and not _is_drill(folder) and not is_folder(folder):
            raise FileNotFoundError(errno.ENOENT, FOLDER_GONE, folder)


def check_files(steps: Sequence[Step], news: Sequence[str], olds: Sequence[str]) -> None:
    """Look whether each new file waits beside its place or has taken it.

    Args:
        steps: The paths that change, all of whose new files were on the disk.
        news: Where the new file of each one is before it takes its place.
        olds: Where the old one is afterwards.

    Raises:
        FileNotFoundError: One is in neither place.
        OSError: That cannot be seen.
    """
    for step, new, old in zip(steps, news, olds, strict=True):
        if not step.inode or step.goes or _is_drill(step.folder):
            continue
        if not there(new) and not _is_done(step, old):
            raise FileNotFoundError(errno.ENOENT, FILE_GONE, decode_name(step.target))


def _folders(journal: Journal) -> Iterator[str]:
    yield from (step.folder or "/" for step in journal.steps)
    yield from (decode_name(step.at) for step in journal.steps if step.at)
    yield from (decode_name(access.target) for access in journal.access)


def is_of_drill(journal: Journal) -> bool:
    """Return whether a restore is that of a drill, which changes no file of anybody."""
    return all(_is_drill(decode_name(target)) for target in journal.targets())


def _is_drill(folder: str) -> bool:
    """Return whether a folder is that of a drill, which whoever works next in the repository may have removed."""
    return any(part.startswith(DRILL) for part in folder.split("/"))


def _is_done(step: Step, old: str) -> bool:
    """Return whether the new file took its place, also where a program has put another one there since."""
    now, before = look(decode_name(step.target)), look(old)
    if now is not None and now.st_ino == step.inode:
        return True
    return before is not None and (now is None or not os.path.samestat(now, before))
