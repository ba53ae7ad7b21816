"""Staging of restored files: each is copied and checked, and has owner, mode and time before it takes its place."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files.copying import CHUNK, CREATE, READ, write_all, writing
from peak_observe.backup_recovery.files.safe_read import check_is_of_file
from peak_observe.backup_recovery.files.workers import Meter, ahead, each
from peak_observe.backup_recovery.repository.manifest import FILE, Entry, decode_name
from peak_observe.backup_recovery.restore.layout import PRIVATE
from peak_observe.backup_recovery.restore.ownership import UNKNOWN, Owner, give
from peak_observe.backup_recovery.restore.plan import NEW, SAME, Action, changes, file_of, first_names, is_copied

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from peak_observe.backup_recovery.files.workers import Progress
    from peak_observe.backup_recovery.repository.stored_files import StoredFiles
    from peak_observe.backup_recovery.restore.layout import Layout
    from peak_observe.backup_recovery.restore.ownership import Ownership


class Staging:
    """The new files of a restore on their way; `linked` has the inode numbers of those with several names.

    Args:
        actions: What the restore does.
        layout: The folders that are missing.
        new: Returns where the new file of a path is made that changes by itself; of a missing folder, the new folder.
        stored: Where the content comes from.
        owners: Who gets what.
        tell: Called with a `Progress`.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        layout: Layout,
        new: Callable[[str], str],
        *,
        stored: StoredFiles,
        owners: Ownership,
        tell: Callable[[Progress], object] | None,
    ) -> None:
        self._actions = actions
        self._layout = layout
        self._new = new
        self._stored = stored
        self._owners = owners
        self.linked: set[int] = set()
        self._contents: Generator[bytes] = ahead(stored.read, ())
        self._changed = list(changes(actions))
        size = sum(action.entry.size for action in self._changed)
        self._meter = Meter(tell, "restore", len(self._changed), size)

    def run(self) -> None:
        """Make all new files and folders.

        Raises:
            ValueError: Something stored is not what was stored.
            OSError: Something cannot be written.
        """
        for folder in sorted(self._layout.folders):
            mode, _ = self._layout.access(folder)
            os.mkdir(self._place(folder), 0o777 if mode is None else PRIVATE)
        names = first_names(self._actions)
        firsts = [action for action in self._changed if is_copied(action, names) or action.in_place]
        self._contents = ahead(self._stored.read, (action.entry for action in firsts if _is_small(action.entry)))
        with closing(self._contents):
            each(self._make, firsts, lambda action: action.entry.size)
        for action in self._changed:
            if not is_copied(action, names) and not action.in_place:
                self._link(names, action)
        for folder in sorted(self._layout.folders, reverse=True):
            self._dress(folder)

    def _place(self, target: str) -> str:
        """Return where something is made that belongs to a path."""
        top = (
            self._layout.top(target) if target in self._layout.folders else self._layout.top(target.rpartition("/")[0])
        )
        return self._new(top) + target[len(top) :] if top else self._new(target)

    def _make(self, action: Action) -> None:
        entry, new = action.entry, self._place(action.target)
        owner = self._owner(action)
        if entry.type == FILE:
            self._file(entry, new, owner)
        else:
            problem = self._stored.check(entry)
            if problem:
                raise ValueError(problem)
            os.symlink(decode_name(entry.target), new)
            give(new, owner)
            os.utime(new, ns=(entry.modified_ns, entry.modified_ns), follow_symlinks=False)
        self._meter.file()

    def _owner(self, action: Action) -> Owner:
        owner = self._owners.of(action.entry)
        if owner.uid != UNKNOWN or action.change == NEW:
            return owner
        status = os.lstat(action.target)
        return Owner(status.st_uid, status.st_gid, exact=False)

    def _file(self, entry: Entry, new: str, owner: Owner) -> None:
        if _is_small(entry):
            sink = self._small(entry, new)
        else:
            self._stored.copy(entry, new, self._meter.bytes)
            os.chmod(new, 0o600)
            sink = os.open(new, READ)
        try:
            given = give(sink, owner)
            os.fchmod(sink, owner.permissions(entry.mode, right=given))
            os.utime(sink, ns=(entry.modified_ns, entry.modified_ns))
        finally:
            os.close(sink)

    def _small(self, entry: Entry, new: str) -> int:
        """Write a small file in as few calls as it can be done, and return its descriptor."""
        content = next(self._contents, None)
        if content is None:  # one more name of a file, which could not be a link
            content = self._stored.read(entry)
        sink = os.open(new, READ) if self._stored.moved(entry, new) else _written(content, new)
        self._meter.bytes(entry.size)
        return sink

    def _link(self, names: dict[str, Action], action: Action) -> None:
        first, place = names[file_of(action.entry)], self._place(action.target)
        source = first.target if first.change == SAME else self._place(first.target)
        try:
            os.link(source, place, follow_symlinks=False)
        except OSError as error:  # another file system, or one without links
            check_is_of_file(error)
            self._make(action)
            names[file_of(action.entry)] = action  # the next names may be beside this one
        else:
            self.linked.add(os.lstat(place).st_ino)
            self._meter.bytes(action.entry.size)
            self._meter.file()

    def _dress(self, folder: str) -> None:
        mode, action = self._layout.access(folder)
        path = self._place(folder)
        owner = self._owners.of(action.entry) if action is not None else None
        given = owner is not None and give(path, owner)
        if mode is not None:
            os.chmod(path, owner.permissions(mode, right=given) if owner is not None else mode)
        if self._layout.folders[folder] is not None and action is not None:
            os.utime(path, ns=(action.entry.modified_ns, action.entry.modified_ns))


def _written(content: bytes, path: str) -> int:
    sink = os.open(path, CREATE, 0o600)
    try:
        with writing(path):
            write_all(sink, memoryview(content))
    except BaseException:
        os.close(sink)
        raise
    return sink


def _is_small(entry: Entry) -> bool:
    """Return whether a file is read ahead as a whole; `each` makes these in their order, and in one thread."""
    return entry.type == FILE and entry.size <= CHUNK and not entry.sparse
