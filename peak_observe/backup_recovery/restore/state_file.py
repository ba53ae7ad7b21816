"""File beside a restore that the state of the program is written to, for its owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peak_observe.backup_recovery.files.mounts import mount_points
from peak_observe.backup_recovery.files.safe_read import check_is_of_file, content
from peak_observe.backup_recovery.repository.manifest import FOLDER, STATE_FILE
from peak_observe.backup_recovery.restore.layout import LONGEST
from peak_observe.backup_recovery.restore.ownership import give, is_root
from peak_observe.backup_recovery.restore.path_checks import dead_end, kind_of, lost_link, unwritable
from peak_observe.backup_recovery.restore.plan import NEW, REPLACED, SAME, Refusal, RestorePlan, look, sticks
from peak_observe.backup_recovery.restore.unchangeable import bound_by_attribute
from peak_observe.backup_recovery.state.snapshot import encode
from peak_observe.errors import BackupError
from peak_observe.support.atomic_files import replace_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from peak_observe.backup_recovery.repository.manifest import Entry
    from peak_observe.backup_recovery.restore.ownership import Owner
    from peak_observe.backup_recovery.restore.plan import Action

STATE_PLACE = "state_file"
MODE = 0o600
_HELPER = 34
"""Characters that the name of the file on its way may have more: dots, a process, a thread, and an ending."""
_WRITE, _PASS = 0o300, 0o100
"""Rights of an owner who makes a file in a folder, and of one who goes through it."""


class StateFile:
    """The file, and what stands against writing it.

    Args:
        path: The file; a symbolic link is followed to what it leads to.
        owner: Whose it becomes.
    """

    def __init__(self, path: Path, owner: Owner) -> None:
        self._given = path
        self._owner = owner
        self.path = os.path.realpath(path)
        self._text = ""
        self._change = SAME

    def _refusal(self, problem: str) -> Refusal:
        return Refusal(STATE_PLACE, f"the state cannot go to {self._given}: {problem}")

    def problems(self, wanted: Mapping[str, Entry]) -> Iterator[Refusal]:
        """Yield what stands against a state in this place, whatever is in the file now.

        Args:
            wanted: What is restored, by path.
        """
        problem = lost_link(self._given) or self._in_the_way(wanted) or self._there()
        if problem:
            yield self._refusal(problem)

    def unwritable(self, actions: Iterable[Action]) -> Refusal | None:
        """Return why this user cannot write it when all files are restored; None if he can, or nothing is written.

        It is written last: folders have the permissions of the backup by then.

        Args:
            actions: What the restore does.
        """
        if self._change == SAME:
            return None
        folders = {action.target: action for action in actions if action.entry.type == FOLDER}
        problem = self._protected() or self._closed(folders)
        return self._refusal(problem) if problem else None

    def _protected(self) -> str:
        """Return what keeps the file that is there, or the folder that it is in, from being changed."""
        folder, status = os.path.dirname(self.path), look(self.path)
        if status is not None and sticks(folder, status):
            return "it is somebody else's, in a folder whose sticky bit keeps it"
        return bound_by_attribute(self.path) or bound_by_attribute(folder)

    def _closed(self, folders: Mapping[str, Action]) -> str:
        """Return which folder this user cannot write into, or get through, after the restore."""
        lowest = folder = os.path.dirname(self.path)
        while lowest not in folders and not os.path.isdir(lowest):
            lowest = os.path.dirname(lowest)
        while folder != "/" and not is_root():
            action, needed = folders.get(folder), _WRITE if folder == lowest else _PASS
            if action is not None and action.change != SAME and action.entry.mode & needed != needed:
                return f"its owner may not write in {folder} as the backup has it (mode {action.entry.mode:04o})"
            folder = os.path.dirname(folder)
        return "" if lowest in folders and folders[lowest].change != SAME else unwritable(lowest)

    def _in_the_way(self, wanted: Mapping[str, Entry]) -> str:
        """Return what the backup has there, or on the way there."""
        entry = wanted.get(self.path)
        if entry is not None and entry.stored != STATE_FILE:
            return f"a {entry.type} of the backup goes there"
        if any(target.startswith(f"{self.path}/") for target in wanted):
            return "files of the backup go below it"
        above = self.path
        while above := above.rpartition("/")[0]:
            if above in wanted and wanted[above].type != FOLDER:
                return f"{above} becomes a {wanted[above].type} of the backup"
        return ""

    def _there(self) -> str:
        """Return what is there now, or on the way there."""
        try:
            status = look(self.path)
            if status is None and os.path.exists(self._given):
                status = os.stat(self._given)  # a pipe has no path of its own, as behind /dev/stdout
        except OSError as error:
            check_is_of_file(error)
            return str(error.strerror)
        if status is not None and not stat.S_ISREG(status.st_mode):
            return f"it is {kind_of(status)}"
        if self.path in mount_points():
            return "it is mounted there, and cannot be replaced"
        if problem := dead_end(self.path):
            return problem
        on_its_way = self.path + "-" * _HELPER
        if len(os.fsencode(on_its_way)) > LONGEST or dead_end(on_its_way):
            return "its path is too long for a file on its way beside it"
        return ""

    def planned(self, plan: RestorePlan, state: dict[str, Any]) -> RestorePlan:
        """Return a plan with this file in it, which is to hold a state."""
        self._text = encode(state).decode()
        self._change = self._compared()
        if self.path in {*plan.new, *plan.replaced, *plan.same}:
            return plan  # in the folder of its own that gets everything
        extra = tuple(path for path in plan.extra if path != self.path)
        more = {self._change: (*getattr(plan, self._change), self.path)}
        return RestorePlan(**{**plan._asdict(), "extra": extra, **more})

    def _compared(self) -> str:
        try:
            status = os.lstat(self.path)
            same = status.st_size == len(self._text.encode()) and stat.S_IMODE(status.st_mode) == MODE
            same = same and self._owner.matches(status) and content(Path(self.path)) == self._text.encode()
        except (FileNotFoundError, NotADirectoryError):
            return NEW
        except (OSError, ValueError):
            return REPLACED
        return SAME if same else REPLACED

    def write(self, plan: RestorePlan) -> None:
        """Write it.

        Args:
            plan: What was restored, for the message.

        Raises:
            BackupError: That is not possible; the files are restored all the same.
        """
        if self._change == SAME:
            return
        try:
            replace_text(Path(self.path), self._text, durable=True, private=True)
            give(self.path, self._owner)
        except OSError as error:
            check_is_of_file(error)
            changed = {*plan.new, *plan.replaced, *plan.folders} - {self.path}
            done = "the files are restored" if changed else "the files are as in the backup"
            where = "name another file with --state-file and restore once more"
            what = f"{done}, and the state is not written: {self._given}: {error.strerror}"
            raise BackupError(f"{what}; {where}") from error
