"""Replacing many files so that after any crash all are old or all are new.

New files are written beside the old ones under names of their own. A journal in the repository names them before they
are made, and is told when all are on the disk: a crash before that is undone, a crash after it is carried on. Each file
changes by one rename, and the old ones are kept until all have changed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from peak_observe.backup_recovery.manifest import FILE, FOLDER, check_id, decode_name, encode_name
from peak_observe.backup_recovery.plan import NEW, SAME
from peak_observe.backup_recovery.repository import sync_filesystem
from peak_observe.backup_recovery.threads import Meter, Progress, each
from peak_observe.files import replace_durably, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from peak_observe.backup_recovery.plan import Action
    from peak_observe.backup_recovery.stored import Stored

STAGING, SWAPPING, UNDOING = "staging", "swapping", "undoing"
PREFIX = "restore-"


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One path that changes.

    Args:
        target: The path.
        inode: Inode number of what takes its place, once that is on the disk; 0 before.
        goes: Whether nothing takes its place.
    """

    target: str
    inode: int = 0
    goes: bool = False


class Journal(msgspec.Struct, frozen=True):
    """What a restore is about to do.

    Args:
        name: A name of its own, which is part of the names of the new files.
        backup_id: The backup.
        folders: Folders that it makes, outer ones first.
        steps: The paths that change.
    """

    name: str
    backup_id: str
    folders: list[str]
    steps: list[Step]


class Transaction:
    """One restore on its way, or one that a crash left behind.

    Its phase is part of the name of the journal's file, as a rename needs no room on a full disk.

    Args:
        folder: Where the journal is kept.
        journal: What it says.
        phase: `staging` (undone after a crash), `swapping` (carried on) or `undoing` (undone).
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
        folders = [encode_name(path) for path in _missing_folders(actions)]
        return cls(folder, Journal(name, backup_id, folders, steps))

    @classmethod
    def left_behind(cls, folder: Path) -> Iterator[Transaction]:
        """Yield the transactions whose journals a crash has left in `folder`.

        Raises:
            ValueError: A journal cannot be read.
            OSError: The same.
        """
        for path in sorted(folder.glob(f"{PREFIX}*.json")):
            journal = msgspec.json.decode(path.read_bytes(), type=Journal)
            phase = path.name.removesuffix(".json").rpartition(".")[2]
            if phase not in (STAGING, SWAPPING, UNDOING) or path != cls(folder, journal, phase).path:
                raise ValueError(f"{path} is no journal of a restore")
            check_id(journal.name)
            yield cls(folder, journal, phase)

    @property
    def path(self) -> Path:
        """The journal's file."""
        return self._folder / f"{PREFIX}{self._journal.name}.{self._phase}.json"

    @property
    def backup_id(self) -> str:
        """The backup that is restored."""
        return self._journal.backup_id

    def run(
        self,
        actions: Collection[Action],
        stored: Stored,
        tell: Callable[[Progress], object] | None = None,
    ) -> None:
        """Carry out the actions, all or none.

        Raises:
            ValueError: Something stored is not what was stored; nothing has changed.
            OSError: Something could not be written; nothing has changed.
        """
        self._write()
        try:
            self._stage(list(changes(actions)), stored, tell)
            self._enter(SWAPPING)
            self._swap()
        except BaseException:
            self._undo()
            raise
        _dress_folders(actions)
        self._finish()

    def recover(self) -> bool:
        """Bring what a crash left behind to its end, and return whether that is the new state.

        Raises:
            OSError: Something could not be written; it can be tried again.
        """
        if self._phase != SWAPPING:
            self._undo()
            return False
        self._swap()
        self._finish()
        return True

    def _write(self) -> None:
        replace_durably(self.path, msgspec.json.encode(self._journal))

    def _enter(self, phase: str) -> None:
        before, self._phase = self.path, phase
        before.rename(self.path)
        sync_folder(self._folder)

    def _stage(self, changed: list[Action], stored: Stored, tell: Callable[[Progress], object] | None) -> None:
        for folder in map(decode_name, self._journal.folders):
            os.mkdir(folder)
        meter = Meter(tell, "restore", len(changed), sum(action.entry.size for action in changed))
        first = len(self._journal.steps) - len(changed)
        numbers = range(len(changed))
        made = partial(_make, stored, meter)
        each(lambda number: made(changed[number], self._new(first + number)), numbers, lambda n: changed[n].entry.size)
        for folder in self._filesystems():
            sync_filesystem(Path(folder))
        steps = self._journal.steps
        for number in range(first, len(steps)):
            steps[number] = replace(steps[number], inode=_inode(self._new(number)))
        self._write()

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
                if not os.path.lexists(old):
                    _move(target, old)
            elif os.path.lexists(new):
                _keep(target, old)
                os.rename(new, target)
        self._sync()

    def _finish(self) -> None:
        for number in range(len(self._journal.steps)):
            _unlink(self._old(number))
        self._forget()

    def _undo(self) -> None:
        if self._phase == SWAPPING:
            self._enter(UNDOING)
        for number, step in enumerate(self._journal.steps):
            self._undo_step(number, step)
        for folder in reversed(self._journal.folders):
            with suppress(OSError):  # it was not made yet, or somebody has put something into it
                os.rmdir(decode_name(folder))
        self._sync()
        self._forget()

    def _undo_step(self, number: int, step: Step) -> None:
        target, new, old = decode_name(step.target), self._new(number), self._old(number)
        if os.path.lexists(new):
            # It has not taken its place. The old one may have been moved away already, where links cannot be made.
            if not os.path.lexists(target):
                _move(old, target)
            _unlink(old)
            _unlink(new)
        elif os.path.lexists(old):
            os.rename(old, target)
            _unlink(old)  # a rename onto another link of the same file does nothing
        elif step.inode and _inode(target) == step.inode:
            _unlink(target)  # nothing was there before

    def _sync(self) -> None:
        for folder in {_folder_of(step) or "/" for step in self._journal.steps}:
            with suppress(FileNotFoundError):
                sync_folder(Path(folder))

    def _forget(self) -> None:
        self.path.unlink(missing_ok=True)
        sync_folder(self._folder)


def changes(actions: Iterable[Action]) -> Iterator[Action]:
    """Yield the actions that change a file or a symbolic link."""
    return (action for action in actions if action.change != SAME and action.entry.type != FOLDER)


def _folder_of(step: Step) -> str:
    return decode_name(step.target).rpartition("/")[0]


def _dress_folders(actions: Collection[Action]) -> None:
    """Give new folders the mode and time they had; that cannot be is no reason to take everything back."""
    new = [action for action in actions if action.entry.type == FOLDER and action.change == NEW]
    with suppress(OSError):
        for action in reversed(new):
            os.chmod(action.target, action.entry.mode)
            os.utime(action.target, ns=(action.entry.mtime_ns, action.entry.mtime_ns))


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
        while folder and folder not in missing and not os.path.isdir(folder):
            chain.append(folder)
            folder = _parent(folder)
        missing |= dict.fromkeys(reversed(chain))
    return list(missing)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _keep(target: str, old: str) -> None:
    """Give what is at `target` a second name; where links cannot be made, move it there."""
    if os.path.lexists(old):
        return
    try:
        os.link(target, old, follow_symlinks=False)
    except FileNotFoundError:
        return  # it went away meanwhile
    except OSError:
        os.rename(target, old)


def _move(path: str, to: str) -> None:
    with suppress(FileNotFoundError):
        os.rename(path, to)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def _inode(path: str) -> int:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0
