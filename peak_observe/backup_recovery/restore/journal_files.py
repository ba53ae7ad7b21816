"""Files of journals that a crash has left: those of this user count, and one of anybody else is only told of.

Whoever can write a journal decides what is written over by whoever carries it out. So it counts only if it belongs to
this user and nobody else may write it; that is asked of the opened file, as a name may be given to another one.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.files.copying import opened
from peak_observe.backup_recovery.files.helper_names import BESIDE, PREFIX
from peak_observe.backup_recovery.files.owners import user_name
from peak_observe.backup_recovery.restore.journal import Journal
from peak_observe.backup_recovery.restore.ways_out import recovers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

OTHERS = 0o022
"""Rights of others to write."""


class ForeignJournalError(OSError):
    """Error of a journal that somebody else has written, or may have."""


class Stranger(NamedTuple):
    """Journal that is not this user's to carry out.

    Args:
        path: Its file.
        problem: Whose it is, and what to do.
        journal: What it says, if that can be read; nobody knows whether it is true.
        beside: Whether it lies beside files, and not in the repository.
    """

    path: Path
    problem: str
    journal: Journal | None
    beside: bool

    def touches(self, paths: Collection[str] | None) -> bool:
        """Return whether it may change something at these paths, below one, or above one; None for any."""
        if paths is None or (self.journal is None and not self.beside):
            return True
        if self.journal is not None:
            return self.journal.touches(paths)
        # One that cannot be read is probably of the files that it lies among.
        return any(f"{self.path}".startswith(f"{path.rstrip('/')}/") for path in paths)


class JournalFile(NamedTuple):
    """Journal of this user's own.

    Args:
        path: Its file.
        journal: What it says.
        bound: Whether others decide on what is in its folder, so that it may reach the files that are named only.
    """

    path: Path
    journal: Journal
    bound: bool


def find(folder: Path, prefix: str, strangers: list[Stranger] | None) -> Iterator[JournalFile]:
    """Yield this user's own journals in a folder, and remove what was begun of one.

    Args:
        folder: The folder; nothing is in one that is not there.
        prefix: The beginning of their names.
        strangers: Gets those of others: in a repository all, beside files those of root and of the folder's owner.

    Raises:
        ForeignJournalError: There is one of somebody else in the repository, and nobody asks for it.
        ValueError: A journal cannot be read.
        OSError: The same.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.startswith((prefix, f".{BESIDE}")))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        path = folder / name
        if name.endswith(".tmp") and name.startswith("."):
            if is_own(path.lstat()):
                path.unlink(missing_ok=True)  # nothing had been touched when the crash came
        elif name.endswith(".json") and name.startswith(prefix):
            found = _read(path, prefix)
            if isinstance(found, JournalFile):
                yield found
            elif prefix == PREFIX and strangers is None:
                raise ForeignJournalError(errno.EPERM, found.problem, str(path))
            elif strangers is not None and (prefix == PREFIX or _is_of_owner(path)):
                strangers.append(found)


def is_own(status: os.stat_result) -> bool:
    """Return whether a file is this user's, and nobody else may write it."""
    return status.st_uid == os.geteuid() and not status.st_mode & OTHERS


def _read(path: Path, prefix: str) -> JournalFile | Stranger:
    beside = prefix == BESIDE
    try:
        descriptor, status = opened(str(path))
    except OSError:
        status = path.lstat()
        if status.st_uid == os.geteuid() and not beside:
            raise
        return Stranger(path, _problem(path, status), None, beside)
    with os.fdopen(descriptor, "rb") as file:
        text = file.read()
    if is_own(status):
        bound = beside or not is_kept(path.parent)
        try:
            return JournalFile(path, Journal.from_json(text), bound)
        except ValueError as error:
            mend = "look at the files that it names, then remove it"
            raise ValueError(f"{path} is no journal of a restore: {error}; {mend}") from None
    try:
        return Stranger(path, _problem(path, status), Journal.from_json(text), beside)
    except ValueError:
        return Stranger(path, _problem(path, status), None, beside)


def is_kept(folder: Path) -> bool:
    """Return whether only this user and root can give a name in a folder to a file."""
    status = folder.stat()
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & OTHERS


def _is_of_owner(path: Path) -> bool:
    """Return whether root or the owner of its folder has left a journal; anybody may leave one in /tmp."""
    return path.lstat().st_uid in (0, path.parent.stat().st_uid)


def _problem(path: Path, status: os.stat_result) -> str:
    mend = "or look at the files that it names, and remove it"
    if status.st_uid == os.geteuid():
        what = f"others may write {path}, a journal of a restore"
        return f"{what}: if it is yours, run `chmod 600 {quote(str(path))}`, {mend}"
    owner = user_name(status.st_uid) or f"number {status.st_uid}"
    what = f"{path} is a journal of a restore of the user {owner}, and nobody else carries it out"
    again = "the same restore again" if path.name.startswith(BESIDE) else f"`{recovers(path)}`"
    return f"{what}: run {again} as that user, {mend}"
