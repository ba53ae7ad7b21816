"""Plan of a restore: what it would change, found out without touching anything."""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.files.mounts import mount_points
from peak_observe.backup_recovery.files.workers import Meter, each
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, LINK, SECOND, Entry, decode_name
from peak_observe.backup_recovery.restore.attributes import attribute
from peak_observe.backup_recovery.restore.ownership import Ownership, is_adjustable, is_closed, is_root
from peak_observe.backup_recovery.restore.path_checks import dead_end, kind_of, nearest_folder, read_only, unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from peak_observe.backup_recovery.files.workers import Progress

_TICKS = (100, 1_000, SECOND, 2 * SECOND)
"""Nanoseconds by which the clocks of file systems go that keep no single ones."""
NEW, REPLACED, SAME = "new", "replaced", "same"
BLOCKED, OPEN = "blocked", "open"
_LOG_HEADER = 28
"""Bytes at the beginning of a rollback journal that `journal_mode=PERSIST` overwrites with zeros.

Source: https://www.sqlite.org/fileformat2.html, section 3.
"""


class RestorePlan(NamedTuple):
    """Changes of a restore, by path.

    Args:
        backup_id: The backup.
        new: Files that are not there now.
        replaced: Files that are there, and differ.
        same: Files that are there as they are in the backup.
        extra: Files in restored folders that are not in the backup; they stay.
        folders: Folders that are there with another owner or other permissions.
        removed: Files of SQLite beside a restored database, which belong to its old content and go.
        times: Those of the same files that get another time of their last change, and nothing else.
    """

    backup_id: str
    new: tuple[str, ...]
    replaced: tuple[str, ...]
    same: tuple[str, ...]
    extra: tuple[str, ...]
    folders: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    def __str__(self) -> str:
        some = (name for name in ("folders", "removed", "times") if getattr(self, name))
        names = ("new", "replaced", "same", "extra", *some)
        return f"{self.backup_id}: {', '.join(f'{len(getattr(self, name))} {name}' for name in names)}"


class Action(msgspec.Struct, frozen=True, gc=False):
    """One entry of the backup and the path it belongs to.

    Args:
        entry: The entry.
        target: The path.
        change: `new`, `replaced` or `same`; a folder that is `replaced` gets another owner or other permissions.
        sides: Files beside a database that belong to its old content and have to go with it.
        in_place: Whether the file cannot be renamed over and is written into.
        retime: Whether it is there with another time of the last change, which it gets back without being replaced.
    """

    entry: Entry
    target: str
    change: str
    sides: tuple[str, ...] = ()
    in_place: bool = False
    retime: bool = False


class Refusal(NamedTuple):
    """Reason against restoring one path.

    Args:
        reason: Of which kind it is; see `RestoreRefusedError`.
        problem: What it is, and the mend.
    """

    reason: str
    problem: str


def actions(
    wanted: dict[str, Entry],
    owners: Ownership,
    problems: list[Refusal],
    *,
    parents: Collection[str] = (),
    tell: Callable[[Progress], object] | None = None,
) -> list[Action]:
    """Return what to do with each entry, in their order.

    Args:
        wanted: The entries by the path they belong to.
        owners: Who gets what.
        problems: What stands against restoring is added.
        parents: Paths of folders that are wanted for what is in them only; those that are there stay as they are.
        tell: Called with a `Progress`, while files are compared.
    """
    tops = [target for target in wanted if target.rpartition("/")[0] not in wanted]
    ends = [Refusal(BLOCKED, problem) for problem in dict.fromkeys(map(dead_end, tops)) if problem]
    problems += ends or _led_astray(wanted)
    if ends:
        return []
    work = _Comparison(owners, frozenset(wanted))
    first: list[Action | Refusal | None] = []
    folders: dict[str, Action | Refusal] = {}
    for target, entry in wanted.items():
        # Below a folder that is not there nothing is: with many thousand files to look at each would take long.
        if isinstance(above := folders.get(target.rpartition("/")[0]), Action) and above.change == NEW:
            first.append(Action(entry, target, NEW))
        else:
            is_folder = entry.type == FOLDER
            first.append(work.folder(entry, target, only_parent=target in parents) if is_folder else None)
        if entry.type == FOLDER and (action := first[-1]) is not None:
            folders[target] = action
    left = [target for target, action in zip(wanted, first, strict=True) if action is None]
    meter = Meter(tell, "compare", len(left), sum(wanted[target].size for target in left))

    def compare(target: str) -> Action | Refusal:
        found = work.file(wanted[target], target, meter.bytes)
        meter.file()
        return found

    found = iter(each(compare, left, lambda target: wanted[target].size))
    ordered = [next(found) if action is None else action for action in first]
    problems += [action for action in ordered if isinstance(action, Refusal)]
    actions = [action for action in ordered if isinstance(action, Action)]
    problems += _unwritable(actions)
    _parted(actions, work)
    _joined(actions, work)
    return actions


def extra(roots: Iterable[str], targets: Collection[str], sides: Collection[str]) -> list[str]:
    """Return the files below restored folders that no entry belongs to."""
    found = []
    for root in roots:
        for where, folders, files in os.walk(root):
            links = [name for name in folders if os.path.islink(f"{where}/{name}")]
            paths = [f"{where}/{name}" for name in (*files, *links)]
            found += [path for path in paths if path not in targets and path not in sides]
    return sorted(found)


def changes(actions: Iterable[Action]) -> Iterator[Action]:
    """Yield the actions that change a file or a symbolic link."""
    return (action for action in actions if action.change != SAME and action.entry.type != FOLDER)


def look(path: str) -> os.stat_result | None:
    """Return the status of what is at a path, None if nothing is; what cannot be seen is not nothing.

    Raises:
        OSError: It cannot be seen.
    """
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def there(path: str) -> bool:
    """Return whether anything is at a path, which nothing can be if its name is too long.

    Raises:
        OSError: That cannot be seen.
    """
    try:
        return look(path) is not None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def _led_astray(wanted: dict[str, Entry]) -> Iterator[Refusal]:
    """Yield the paths on whose way something else than a folder stands; what is there is not followed."""
    for target, entry in wanted.items():
        if entry.type == FOLDER:
            status = look(target)
            if status is not None and not stat.S_ISDIR(status.st_mode):
                yield Refusal(BLOCKED, f"{target} is {kind_of(status)} now and a folder in the backup: move it away")


def _unwritable(actions: list[Action]) -> Iterator[Refusal]:
    """Yield the folders that are there and in which this user cannot make what is new."""
    new = [action.target for action in actions if action.change == NEW]
    folders = {target.rpartition("/")[0] for target in new} - set(new)
    nearest = dict.fromkeys(str(nearest_folder(folder or "/")) for folder in sorted(folders))
    found = dict.fromkeys(unwritable(folder) for folder in nearest if not is_closed(folder))
    yield from (Refusal(BLOCKED, problem) for problem in found if problem)


class _Comparison:
    """Compares what is there with what is in the backup; `several` tells which files those with several names are."""

    def __init__(self, owners: Ownership, wanted: Collection[str]) -> None:
        self._owners = owners
        self._wanted = wanted
        self.several: dict[str, tuple[int, int]] = {}
        self._mounts = mount_points()
        self._writable = cache(lambda folder: os.access(folder, os.W_OK | os.X_OK) or is_closed(folder))

    def folder(self, entry: Entry, target: str, *, only_parent: bool) -> Action | Refusal:
        status = look(target)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return Action(entry, target, NEW)
        owner = self._owners.of(entry)
        same = only_parent or not is_adjustable(status) or owner.fits(entry, target, status)
        if not same and (problem := read_only(target)):
            return Refusal(BLOCKED, problem)
        return Action(entry, target, SAME if same else REPLACED)

    def file(self, entry: Entry, target: str, tell: Callable[[int], object]) -> Action | Refusal:
        status = look(target)
        if status is None:
            return self._with_sides(Action(entry, target, NEW), status)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            return Refusal(BLOCKED, f"{target} is {kind_of(status)} now and a {entry.type} in the backup: move it away")
        if self._is_same(entry, target, status, tell):
            if entry.type == FILE and status.st_nlink > 1:
                self.several[target] = status.st_dev, status.st_ino
            return Action(entry, target, SAME, retime=_is_retimed(entry, target, status))
        if stat.S_ISREG(status.st_mode) and sqlite.is_database(target, status):
            reason = sqlite.busy(target)
            if reason:
                return Refusal(OPEN, f"{target}: {reason}")
        in_place = self.is_fixed(target, status)
        if in_place:
            into = entry.type == FILE and stat.S_ISREG(status.st_mode)
            rigid = f"{target} cannot be replaced where it is, and only a file can be written into"
            if problem := unwritable(target) if into else rigid:
                return Refusal(BLOCKED, problem)
        return self._with_sides(Action(entry, target, REPLACED, in_place=in_place), status)

    def is_fixed(self, target: str, status: os.stat_result) -> bool:
        """Return whether what is at a path cannot be renamed over or away."""
        folder = target.rpartition("/")[0] or "/"
        return target in self._mounts or not self._writable(folder) or sticks(folder, status)

    def may_be_one(self, one: str, other: str) -> bool:
        """Return whether a path can be a hard link to what is at another one, which none from mount to mount can."""
        return self._mount(one) == self._mount(other)

    def _mount(self, path: str) -> str:
        while path and path not in self._mounts:
            path = path.rpartition("/")[0]
        return path

    def _with_sides(self, action: Action, status: os.stat_result | None) -> Action | Refusal:
        """Return an action with the files that go with it, or which of them cannot go."""
        sides = self._sides(action.entry, action.target, status)
        stuck = next((side for side in sides if self.is_fixed(side, os.lstat(side))), "")
        if stuck:
            what = f"{stuck} belongs to the old content and cannot be removed: run this as a user who may remove it"
            return Refusal(BLOCKED, unwritable(stuck.rpartition("/")[0]) or what)
        return replace(action, sides=sides) if sides else action

    def _is_same(self, entry: Entry, target: str, status: os.stat_result, tell: Callable[[int], object]) -> bool:
        owner = self._owners.of(entry)
        if entry.type == LINK:
            right = stat.S_ISLNK(status.st_mode) and owner.matches(status)
            return right and os.readlink(target) == decode_name(entry.target)
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size or not owner.fits(entry, target, status):
            return False
        if sqlite.is_database(target, status) and (sqlite.busy(target) or not sqlite.quiet(target)):
            return False  # what its log holds is not in its file, and to open it here could cost it its locks
        return copying.hashed(target, tell).blake3 == entry.blake3

    def _sides(self, entry: Entry, target: str, status: os.stat_result | None) -> tuple[str, ...]:
        """Return what SQLite keeps beside a database that is restored or replaced, as far as it is there."""
        if entry.type != FILE:
            return ()
        found = [f"{target}{side}" for side in sqlite.SIDES if _is_side(target, side)]
        found = [path for path in found if path not in self._wanted]
        if not found or entry.source_size is not None:
            return tuple(found)
        if status is not None and stat.S_ISREG(status.st_mode) and sqlite.is_database(target, status):
            return tuple(found)
        return tuple(found) if any(map(sqlite.is_log, found)) else ()


def _is_side(target: str, side: str) -> bool:
    """Return whether a file beside a database is SQLite's own; one of somebody else's may have the same name."""
    path = f"{target}{side}"
    if not there(path) or not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    if side == "-shm":
        return _is_side(target, "-wal")
    return sqlite.is_log(path) or _is_emptied(path, 1 if side == "-wal" else _LOG_HEADER)


def _is_emptied(path: str, header: int) -> bool:
    """Return whether SQLite may have emptied a log, which it does with zeros in its header or without anything."""
    with open(path, "rb") as file:
        return not any(file.read(header))


def is_time(wanted: int, found: int) -> bool:
    """Return whether a time is the one that was wanted, as exactly as its file system keeps it."""
    return wanted == found or any(found % tick == 0 and 0 <= wanted - found < tick for tick in _TICKS)


def _is_retimed(entry: Entry, target: str, status: os.stat_result) -> bool:
    """Return whether a file has another time than in the backup, which this user can change."""
    if is_time(entry.modified_ns, status.st_mtime_ns):
        return False
    mine = is_root() or status.st_uid == os.geteuid()
    return mine and not attribute(target) and not read_only(target)


def sticks(folder: str, status: os.stat_result) -> bool:
    """Return whether a file cannot be renamed over as somebody else's in a folder whose sticky bit protects it."""
    if is_root() or status.st_uid == os.geteuid():
        return False
    above = os.stat(folder)
    return bool(above.st_mode & stat.S_ISVTX) and above.st_uid != os.geteuid()


def file_of(entry: Entry) -> str:
    """Return what tells the names of one file from those of others: where the first one lies in the backup."""
    return entry.hardlink or entry.stored


def first_names(actions: Sequence[Action]) -> dict[str, Action]:
    """Return the name of each file with several names that its other restored names become links to.

    That is the first one that is there as it should be, else the first one that is restored, which may be another one
    than that of the backup. Nothing is kept of the files with a single name, which may be very many.
    """
    linked = {action.entry.hardlink for action in actions if action.entry.hardlink}
    found: dict[str, Action] = {}
    for action in actions:
        if (file := file_of(action.entry)) in linked and (
            found.setdefault(file, action).change != SAME and action.change == SAME
        ):
            found[file] = action
    return found


def is_copied(action: Action, names: dict[str, Action]) -> bool:
    """Return whether what changes is no link to one of these first names."""
    return names.get(file_of(action.entry), action) is action


def _parted(found: list[Action], work: _Comparison) -> None:
    """Replace the names of one file that were different files in the backup, so that each has its own again.

    A name that cannot be renamed over stays, and holds what it should.
    """
    # A backup without a manifest tells neither how a file was taken nor which ones were one.
    some = [number for number, action in enumerate(found) if action.entry.taken and action.target in work.several]
    fixed = {number for number in some if work.is_fixed(found[number].target, os.lstat(found[number].target))}
    kept: dict[tuple[int, int], str] = {}
    for number in sorted(some, key=lambda number: number not in fixed):
        action, file = found[number], file_of(found[number].entry)
        if kept.setdefault(work.several[action.target], file) != file and number not in fixed:
            found[number] = replace(action, change=REPLACED, retime=False)


def _joined(found: list[Action], work: _Comparison) -> None:
    """Replace the names of one file that are not the same file any more, so that they become links to it again.

    A name that cannot be renamed over, or is on another disk, can become none, and holds what it should.
    """
    first = first_names(found)
    for number, action in enumerate(found):
        one = first.get(file_of(action.entry), action)
        if one is action or action.change != SAME or _is_one(one, action):
            continue
        if work.may_be_one(one.target, action.target) and not work.is_fixed(action.target, os.lstat(action.target)):
            found[number] = replace(action, change=REPLACED, retime=False)


def _is_one(one: Action, other: Action) -> bool:
    return one.change == SAME and os.path.samestat(os.lstat(one.target), os.lstat(other.target))
