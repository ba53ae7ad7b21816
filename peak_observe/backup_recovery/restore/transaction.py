"""Replacing many files so that after any crash all are old or all are new.

New files are written beside the old ones under names of their own. A journal in the repository names them before they
are made, and is told when all are on the disk: a crash before that is undone, a crash after it is carried on. Each file
changes by one rename, and the old ones are kept until all have changed. A database that somebody has opened meanwhile
is not replaced under him.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.files.safe_read import content
from peak_observe.backup_recovery.files.workers import Meter, Progress, each
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, decode_name, encode_name
from peak_observe.backup_recovery.repository.repository import sync_filesystem
from peak_observe.backup_recovery.restore.file_steps import is_folder, keep, move, there, unlink
from peak_observe.backup_recovery.restore.journal import Journal, Made, Step
from peak_observe.backup_recovery.restore.plan import SAME, look
from peak_observe.support.atomic_files import replace_durably, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from peak_observe.backup_recovery.repository.manifest import Entry
    from peak_observe.backup_recovery.repository.stored_files import Stored
    from peak_observe.backup_recovery.restore.plan import Action

STAGING, SWAPPING, FINISHING, UNDOING = PHASES = "staging", "swapping", "finishing", "undoing"
PREFIX = "restore-"


class Transaction:
    """One restore on its way, or one that a crash left behind.

    Its phase is part of the name of the journal's file, as a rename needs no room on a full disk.

    Args:
        folder: Where the journal is kept.
        journal: What it says.
        phase: `staging` (undone after a crash), `swapping` (carried on), `finishing` (only the old files go) or
            `undoing` (undone).
    """

    def __init__(self, folder: Path, journal: Journal, phase: str = STAGING) -> None:
        self._folder = folder
        self._journal = journal
        self._phase = phase

    @classmethod
    def of(cls, actions: Iterable[Action], folder: Path, name: str, backup_id: str) -> Transaction:
        """Return the transaction that carries out `actions`, with its journal in `folder`."""
        changed = list(changes(actions))
        # A log must not meet a database it does not belong to, so the old ones go first.
        steps = [Step(encode_name(side), goes=True) for action in changed for side in action.sides]
        steps += [Step(encode_name(action.target)) for action in changed]
        known = {action.target: action.entry for action in actions if action.entry.type == FOLDER}
        made = [_made(path, known.get(path)) for path in _missing_folders(actions)]
        return cls(folder, Journal(name, backup_id, made, steps))

    @classmethod
    def left_behind(cls, folder: Path) -> Iterator[Transaction]:
        """Yield the transactions whose journals a crash has left in `folder`.

        Raises:
            ValueError: A journal cannot be read.
            OSError: The same.
        """
        for name in sorted(os.listdir(folder)):
            if name.startswith(PREFIX) and name.endswith(".json"):
                yield cls._read(folder, folder / name)

    @classmethod
    def _read(cls, folder: Path, path: Path) -> Transaction:
        mend = "look at the files that it names, then remove it"
        try:
            journal = Journal.from_json(content(path))
        except ValueError as error:
            raise ValueError(f"{path} is no journal of a restore: {error}; {mend}") from None
        found = cls(folder, journal, path.name.removesuffix(".json").rpartition(".")[2])
        if found._phase not in PHASES or path != found.path:
            raise ValueError(f"{path} is a journal of another name; {mend}")
        return found

    @property
    def path(self) -> Path:
        """The journal's file."""
        return self._folder / f"{PREFIX}{self._journal.name}.{self._phase}.json"

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

    def within(self, roots: Iterable[str]) -> bool:
        """Return whether nothing outside these paths is replaced or removed."""
        known = list(roots)
        targets = [decode_name(step.target) for step in self._journal.steps]
        return all(any(target == root or target.startswith(f"{root}/") for root in known) for target in targets)

    def run(
        self,
        actions: Collection[Action],
        stored: Stored,
        tell: Callable[[Progress], object] | None = None,
    ) -> None:
        """Carry out the actions, all or none.

        Raises:
            ValueError: Something stored is not what was stored; nothing has changed.
            OSError: Something could not be written; nothing has changed, or it is `unsettled`.
        """
        try:
            self._write()
            self._stage(list(changes(actions)), stored, tell)
            self._refuse_busy(range(len(self._journal.steps)))
            self._enter(SWAPPING)
            self._swap()
        except BaseException:
            self._undo()
            raise
        with suppress(OSError):  # all files are new; what is left goes with the next use
            self._finish()

    def recover(self) -> bool:
        """Bring what a crash left behind to its end, and return whether that is the new state.

        Raises:
            OSError: Something could not be written; it can be tried again.
        """
        numbers = range(len(self._journal.steps))
        if self._phase == SWAPPING:
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
        replace_durably(self.path, self._journal.to_json())

    def _enter(self, phase: str) -> None:
        # Ctrl-C may come before the answer is seen: it is said first, and taken back on an error.
        before, known, self._phase = self.path, self._phase, phase
        try:
            before.rename(self.path)
        except OSError:
            self._phase = known
            raise
        sync_folder(self._folder)

    def _stage(self, changed: list[Action], stored: Stored, tell: Callable[[Progress], object] | None) -> None:
        self._make_folders()
        meter = Meter(tell, "restore", len(changed), sum(action.entry.size for action in changed))
        first = len(self._journal.steps) - len(changed)
        numbers = range(len(changed))
        make = partial(_make, stored, meter)
        each(lambda number: make(changed[number], self._new(first + number)), numbers, lambda n: changed[n].entry.size)
        for place in self._filesystems():
            sync_filesystem(Path(place))
        steps = self._journal.steps
        for number in range(first, len(steps)):
            made = os.lstat(self._new(number))
            steps[number] = replace(steps[number], inode=made.st_ino, mtime_ns=made.st_mtime_ns)
        self._write()

    def _make_folders(self) -> None:
        folders = self._journal.folders
        for number, folder in enumerate(folders):
            try:
                os.mkdir(decode_name(folder.target), 0o777 if folder.mode < 0 else 0o700)
            except OSError:
                del folders[number:]  # what stands there is not ours to take back
                raise

    def _new(self, number: int) -> str:
        return self._beside(number, "new")

    def _old(self, number: int) -> str:
        return self._beside(number, "old")

    def _beside(self, number: int, what: str) -> str:
        return f"{_folder_of(self._journal.steps[number])}/.peak-{self._journal.name}-{number}.{what}"

    def _filesystems(self) -> list[str]:
        folders = {_folder_of(step) or "/" for step in self._journal.steps}
        return list({os.stat(folder).st_dev: folder for folder in sorted(folders)}.values())

    def _swap(self) -> None:
        for number, step in enumerate(self._journal.steps):
            target, new, old = decode_name(step.target), self._new(number), self._old(number)
            if step.goes:
                if not there(old):
                    move(target, old)
            elif there(new):
                keep(target, old)
                os.rename(new, target)
        self._dress_folders()
        self._sync()

    def _dress_folders(self) -> None:
        """Give new folders the mode and time they had."""
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
        for number in range(len(self._journal.steps)):
            unlink(self._old(number))
        self._forget()

    def _undo(self) -> None:
        if self._phase == SWAPPING:
            self._enter(UNDOING)
        for number, step in reversed(list(enumerate(self._journal.steps))):
            self._undo_step(number, step)
        for folder in reversed(self._journal.folders):
            with suppress(OSError):  # it was not made yet, or somebody has put something into it
                os.rmdir(decode_name(folder.target))
        self._sync()
        self._forget()

    def _undo_step(self, number: int, step: Step) -> None:
        target, new, old = decode_name(step.target), self._new(number), self._old(number)
        if there(new):
            # It has not taken its place. The old one may have been moved away already, where links cannot be made.
            if not there(target):
                move(old, target)
            unlink(old)
            unlink(new)
        elif there(old):
            os.rename(old, target)
            unlink(old)  # a rename onto another link of the same file does nothing
        elif self._phase == UNDOING and _is_of(step, look(target)):
            unlink(target)  # nothing was there before

    def _sync(self) -> None:
        for folder in {_folder_of(step) or "/" for step in self._journal.steps}:
            with suppress(FileNotFoundError):
                sync_folder(Path(folder))

    def _forget(self) -> None:
        unlink(str(self.path))
        sync_folder(self._folder)


def changes(actions: Iterable[Action]) -> Iterator[Action]:
    """Yield the actions that change a file or a symbolic link."""
    return (action for action in actions if action.change != SAME and action.entry.type != FOLDER)


def _folder_of(step: Step) -> str:
    return decode_name(step.target).rpartition("/")[0]


def _made(path: str, entry: Entry | None) -> Made:
    return Made(encode_name(path), entry.mode, entry.mtime_ns) if entry else Made(encode_name(path))


def _make(stored: Stored, meter: Meter, action: Action, new: str) -> None:
    entry = action.entry
    if entry.type != FILE:
        problem = stored.check(entry)
        if problem:
            raise ValueError(problem)
        os.symlink(decode_name(entry.target), new)
        meter.file()
        return
    stored.copy(entry, new, meter.bytes)
    with suppress(PermissionError):  # only root gives files away; others keep what they may write
        os.chown(new, entry.uid, entry.gid)
    os.chmod(new, entry.mode)
    os.utime(new, ns=(entry.mtime_ns, entry.mtime_ns))
    meter.file()


def _missing_folders(actions: Iterable[Action]) -> list[str]:
    missing: dict[str, None] = {}
    for action in actions:
        folder = action.target if action.entry.type == FOLDER else _parent(action.target)
        chain = []
        while folder and folder not in missing and not is_folder(folder):
            chain.append(folder)
            folder = _parent(folder)
        missing |= dict.fromkeys(reversed(chain))
    return list(missing)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _is_of(step: Step, status: os.stat_result | None) -> bool:
    return status is not None and (status.st_ino, status.st_mtime_ns) == (step.inode, step.mtime_ns)
