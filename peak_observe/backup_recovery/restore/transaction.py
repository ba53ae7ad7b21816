"""Restore transaction: many files are replaced so that after any crash all are old or all are new.

New files are written beside the old ones under names of their own; folders that were not there are made as a whole. A
journal names them before they are made, and is told when all are on the disk: a crash before that is undone, a crash
after it is carried on. Each file or new folder changes by one rename, and the old files are kept until all have
changed. A file that cannot be renamed over, such as a mount point, is written in place, from a copy that outlives a
crash. A database that somebody has opened meanwhile is not replaced under him.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.files.helper_names import BESIDE, PREFIX
from peak_observe.backup_recovery.files.safe_read import check_is_of_file
from peak_observe.backup_recovery.repository.manifest import VERSION, Manifest, decode_name, encode_name
from peak_observe.backup_recovery.repository.repository import sync_filesystem
from peak_observe.backup_recovery.restore.file_steps import (
    PARTIAL,
    keep,
    keep_copy,
    move,
    overwrite,
    overwrite_back,
    put_back,
    remove_tree,
    take_back_tree,
    unlink,
)
from peak_observe.backup_recovery.restore.folder_access import (
    change_folders,
    finish_folders,
    open_folders,
    put_folders_back,
    reach_folders,
    times_of,
    with_opened,
)
from peak_observe.backup_recovery.restore.interrupts import CutOff, Interrupts
from peak_observe.backup_recovery.restore.journal import Journal, Step
from peak_observe.backup_recovery.restore.journal_files import find, is_kept, is_own
from peak_observe.backup_recovery.restore.layout import Layout, access_of, made, parent, step_of
from peak_observe.backup_recovery.restore.ownership import Ownership
from peak_observe.backup_recovery.restore.plan import changes, look, there
from peak_observe.backup_recovery.restore.reach import check_files, check_folders
from peak_observe.backup_recovery.restore.staging import Staging
from peak_observe.support.atomic_files import replace_durably, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from peak_observe.backup_recovery.files.workers import Progress
    from peak_observe.backup_recovery.repository.stored_files import StoredFiles
    from peak_observe.backup_recovery.restore.journal_files import JournalFile, Stranger
    from peak_observe.backup_recovery.restore.plan import Action

STAGING, SWAPPING, FINISHING, UNDOING = PHASES = "staging", "swapping", "finishing", "undoing"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT)


class Transaction:
    """One restore on its way, or one that a crash left behind.

    Its phase is part of the name of the journal's file, as a rename needs no room on a full disk.

    Args:
        folder: Where the journal is kept.
        journal: What it says.
        phase: `staging` (undone after a crash), `swapping` (carried on), `finishing` (only the old files go) or
            `undoing` (undone).
        prefix: The beginning of the journal's name.
    """

    def __init__(self, folder: Path, journal: Journal, phase: str = STAGING, prefix: str = PREFIX) -> None:
        self._folder = folder
        self._journal = journal
        self._phase = phase
        self._prefix = prefix
        self._layout = Layout((), None)
        self._owners = Ownership(Manifest(VERSION, "", 0, [], []))
        self._beside: tuple[Path, ...] = ()
        self._begun = False
        self.bound = False  # whether others decide on what is in the journal's folder
        self.command = "peak-observe backup recover"  # brings it to its end

    @classmethod
    def of(
        cls,
        actions: Sequence[Action],
        folders: Sequence[Path],
        name: str,
        backup_id: str,
        *,
        owners: Ownership,
        private: str | None = None,
        prefix: str = PREFIX,
    ) -> Transaction:
        """Return the transaction that carries out `actions`.

        Args:
            actions: What to do.
            folders: Where the journal is kept: in the first one, or in the next ones where that has no room for it or
                cannot be written.
            name: A name of its own.
            backup_id: The backup.
            owners: Who gets what.
            private: A folder below which folders that the backup does not know are for their owner only.
            prefix: The beginning of the journal's name in the first folder.
        """
        layout = Layout(actions, private)
        changed = [action for action in changes(actions) if not layout.top(parent(action.target))]
        # A log must not meet a database it does not belong to, so the old ones go first.
        steps = [Step(encode_name(side), goes=True) for action in changed for side in action.sides]
        steps += [step_of(action, folders) for action in changed]
        steps += [Step(encode_name(top), tree=True) for top in layout.tops()]
        access = with_opened(access_of(actions, owners), {step.folder for step in steps if not step.at})
        found = cls(folders[0], Journal(name, backup_id, [], steps, access, list(times_of(actions))), prefix=prefix)
        found._layout, found._owners, found._beside = layout, owners, tuple(folders[1:])
        return found

    @classmethod
    def left_behind(
        cls, folder: Path, prefix: str = PREFIX, strangers: list[Stranger] | None = None
    ) -> Iterator[Transaction]:
        """Yield the transactions whose journals a crash has left in a folder; see `journal_files.find`.

        Raises:
            ValueError: A journal cannot be read.
            OSError: The same, or it is somebody else's.
        """
        return (cls._of_file(found, prefix) for found in find(folder, prefix, strangers))

    @classmethod
    def _of_file(cls, file: JournalFile, prefix: str) -> Transaction:
        path = file.path
        found = cls(path.parent, file.journal, path.name.removesuffix(".json").rpartition(".")[2], prefix)
        if found._phase not in PHASES or path != found.path:
            raise ValueError(f"{path} is a journal of another name; look at the files that it names, then remove it")
        found.bound, found._begun = file.bound, True
        return found

    @property
    def path(self) -> Path:
        """The journal's file."""
        return self._folder / f"{self._prefix}{self._journal.name}.{self._phase}.json"

    @property
    def backup_id(self) -> str:
        """The backup that is restored."""
        return self._journal.backup_id

    @property
    def unsettled(self) -> bool:
        """Whether files may be neither all old nor all new, until `recover`."""
        return os.path.lexists(self.path)

    @property
    def done(self) -> bool:
        """Whether all files are new, and only the old ones have to go."""
        return self._phase == FINISHING

    @property
    def untouched(self) -> bool:
        """Whether no live file has changed, and only files beside them have to go."""
        return self._phase == STAGING

    @property
    def journal(self) -> Journal:
        """What it does."""
        return self._journal

    def run(
        self,
        actions: Sequence[Action],
        stored: StoredFiles,
        tell: Callable[[Progress], object] | None = None,
    ) -> None:
        """Carry out the actions, all or none.

        Raises:
            ValueError: Something stored is not what was stored; nothing has changed.
            OSError: Something could not be written; nothing has changed, or it is `unsettled`.
            RestoreCutOff: Ctrl-C came again and again; it is `unsettled`.
        """
        with Interrupts() as interrupts, CutOff(self):
            try:
                self._write()
                self._begun = True
                open_folders(self._journal)
                self._stage(actions, stored, tell)
                self._write()
                self._refuse_busy(range(len(self._journal.steps)))
                self._enter(SWAPPING)
                self._swap()
                interrupts.settle("the restore is done, and the old files are being removed")
            except BaseException:
                interrupts.settle("the restore is being taken back")
                self._undo()
                raise
            with suppress(OSError):  # all files are new; what is left goes with the next use
                self._finish()

    def recover(self) -> bool:
        """Bring what a crash left behind to its end, and return whether that is the new state.

        Raises:
            OSError: Something could not be written; it can be tried again.
            RestoreCutOff: Ctrl-C came again and again; the same.
        """
        with Interrupts() as interrupts, CutOff(self):
            interrupts.settle("a restore that was cut off is being brought to its end")
            return self._recover()

    def _recover(self) -> bool:
        numbers = range(len(self._journal.steps))
        if self._phase in (SWAPPING, UNDOING) or any(access.opens for access in self._journal.access):
            check_folders(self._journal)
        if self._phase == SWAPPING:
            check_files(self._journal.steps, list(map(self._new, numbers)), list(map(self._old, numbers)))
            self._refuse_busy(number for number in numbers if there(self._new(number)))
            self._swap()
        if self._phase in (SWAPPING, FINISHING):
            self._finish()
            return True
        self._refuse_busy(number for number in numbers if there(self._old(number)))
        self._undo()
        return False

    def _refuse_busy(self, numbers: Iterable[int]) -> None:
        for step in (self._journal.steps[number] for number in numbers):
            target = decode_name(step.target)
            if not step.goes and os.path.isfile(target) and sqlite.is_database(target, os.lstat(target)):
                reason = sqlite.busy(target)
                if reason:
                    raise OSError(errno.EBUSY, reason, target)

    def _write(self) -> None:
        before, place = self.path, (self._folder, self._prefix)
        places = [place, *((folder, BESIDE) for folder in self._beside)]
        for number, (folder, prefix) in enumerate(places):
            self._folder, self._prefix, last = folder, prefix, number + 1 == len(places)
            try:
                replace_durably(self.path, self._journal.pieces(), private=True)
                if last or is_own(self.path.lstat()):
                    break
                unlink(str(self.path))  # where all files are of one user, or open to others, nobody would believe it
            except BaseException as error:
                if before != self.path and not self.unsettled:
                    self._folder, self._prefix = place
                if not isinstance(error, OSError):
                    raise
                check_is_of_file(error)
                if error.errno not in NO_ROOM or last:
                    raise OSError(error.errno, error.strerror, str(folder)) from error
        self._beside = tuple(folder for folder in self._beside if folder != self._folder)
        self.bound = self._prefix == BESIDE or not is_kept(self._folder)
        if before != self.path:
            with suppress(OSError):
                unlink(str(before))

    def _enter(self, phase: str) -> None:
        # Ctrl-C may come before the answer is seen: it is said first, and taken back where it is not so.
        before, known, self._phase = self.path, self._phase, phase
        try:
            before.rename(self.path)
        except BaseException:
            if os.path.lexists(before):
                self._phase = known
            raise
        sync_folder(self._folder)

    def _stage(self, actions: Sequence[Action], stored: StoredFiles, tell: Callable[[Progress], object] | None) -> None:
        steps = self._journal.steps
        numbers = {decode_name(step.target): number for number, step in enumerate(steps) if not step.goes}

        def new(target: str) -> str:
            return self._new(numbers[target])

        staging = Staging(actions, self._layout, new, stored=stored, owners=self._owners, tell=tell)
        staging.run()
        for place in self._filesystems():
            sync_filesystem(Path(place))
        for number, step in enumerate(steps):
            if not step.goes:
                steps[number] = made(step, self._new(number), staging.linked)

    def _new(self, number: int) -> str:
        return self._name(number, "new")

    def _old(self, number: int) -> str:
        return self._name(number, "old")

    def _name(self, number: int, what: str) -> str:
        step = self._journal.steps[number]
        folder = decode_name(step.at) or step.folder
        return f"{folder}/.peak-{self._journal.name}-{number}.{what}"

    def _filesystems(self) -> list[str]:
        folders = {decode_name(step.at) or step.folder or "/" for step in self._journal.steps}
        return list({os.stat(folder).st_dev: folder for folder in sorted(folders)}.values())

    def _swap(self) -> None:
        for number, step in enumerate(self._journal.steps):
            target, new, old = decode_name(step.target), self._new(number), self._old(number)
            if step.goes:
                if not there(old) and os.path.isfile(target):
                    move(target, old)
            elif there(new):
                if step.at:
                    keep_copy(target, old)
                    overwrite(new, target)
                    continue
                if step.tree:
                    if there(target):
                        raise FileExistsError(errno.EEXIST, "somebody made it meanwhile: move it away", target)
                else:
                    keep(target, old)
                os.rename(new, target)
        change_folders(self._journal)
        self._dress_folders()
        self._sync()

    def _dress_folders(self) -> None:
        """Give the folders that a journal of an earlier version made the mode and time they had."""
        for folder in reversed(self._journal.folders):
            if folder.mode >= 0:
                with suppress(FileNotFoundError):
                    os.chmod(decode_name(folder.target), folder.mode)
                    os.utime(decode_name(folder.target), ns=(folder.mtime_ns, folder.mtime_ns))

    def _finish(self) -> None:
        # From here on a database may be in use again, and the log beside it is a new one.
        if self._phase != FINISHING:
            with suppress(OSError):
                self._enter(FINISHING)
        for number, step in enumerate(self._journal.steps):
            if not put_back(self._old(number), decode_name(step.target)):
                unlink(self._old(number))
            if step.at:
                unlink(self._new(number))
        finish_folders(self._journal)
        self._forget()

    def _undo(self) -> None:
        if not self._begun and not self.unsettled:
            return  # without a journal nothing has changed, and nobody would know what to close again
        if self._phase == SWAPPING:
            self._enter(UNDOING)
        all_changed = self._phase == UNDOING
        reach_folders(self._journal, all_changed=all_changed)
        for number, step in reversed(list(enumerate(self._journal.steps))):
            self._undo_step(number, step)
        for folder in reversed(self._journal.folders):
            with suppress(OSError):  # it was not made yet, or somebody has put something into it
                os.rmdir(decode_name(folder.target))
        self._sync()
        put_folders_back(self._journal, all_changed=all_changed)
        self._forget()

    def _undo_step(self, number: int, step: Step) -> None:
        target, new, old = decode_name(step.target), self._new(number), self._old(number)
        if step.tree:
            self._undo_tree(step, target, new)
        elif step.at:
            if there(old):
                overwrite_back(old, target)
            for path in (new, old, old + PARTIAL):
                unlink(path)
        elif there(new):
            # It has not taken its place. The old one may have been moved away already, where links cannot be made.
            if not there(target):
                move(old, target)
            unlink(old)
            unlink(new)
        elif there(old):
            os.rename(old, target)
            unlink(old)  # a rename onto another link of the same file does nothing
        elif self._phase == UNDOING and step.is_of(look(target)):
            unlink(target)  # nothing was there before

    def _undo_tree(self, step: Step, target: str, new: str) -> None:
        status = look(target)
        if there(new):
            remove_tree(new)
        elif self._phase == UNDOING and status is not None and status.st_ino == step.inode:
            take_back_tree(target, step.mtime_ns, step.linked)

    def _sync(self) -> None:
        for folder in {step.folder or "/" for step in self._journal.steps}:
            with suppress(FileNotFoundError):
                sync_folder(Path(folder))

    def _forget(self) -> None:
        unlink(str(self.path))
        sync_folder(self._folder)
