"""Journal of a restore, written before anything is touched, so that a crash can be brought to its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.files.safe_read import decoded
from peak_observe.backup_recovery.repository.manifest import check_id, decode_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One path that changes.

    Args:
        target: The path.
        inode: Inode number of what takes its place, once that is on the disk; 0 before.
        mtime_ns: Time of its last change; a number may be given again, to a file of somebody else. Of a tree the time
            of the last change of its status: nothing that changed later is the restore's.
        goes: Whether nothing takes its place.
        tree: Whether it is a folder that was not there, with all that is in it.
        at: The folder of the files on their way, for a file that is overwritten in place; empty for all others, whose
            new files stand beside them.
        linked: Inode numbers of files in a tree that have several names: to remove one changes the status of all.
    """

    target: str
    inode: int = 0
    mtime_ns: int = 0
    goes: bool = False
    tree: bool = False
    at: str = ""
    linked: tuple[int, ...] = ()

    @property
    def folder(self) -> str:
        """The folder that the path is in; empty for the root folder."""
        return decode_name(self.target).rpartition("/")[0]

    def is_of(self, status: os.stat_result | None) -> bool:
        """Return whether a file is the new one of this step."""
        return status is not None and (status.st_ino, status.st_mtime_ns) == (self.inode, self.mtime_ns)


class Made(msgspec.Struct, frozen=True, array_like=True):
    """One folder that is made, in the journals of earlier versions.

    Args:
        target: The path.
        mode: Its permissions; -1 for what is usual, where the backup does not say.
        mtime_ns: Time of its last change, in nanoseconds since 1970.
    """

    target: str
    mode: int = -1
    mtime_ns: int = 0


class Access(msgspec.Struct, frozen=True, array_like=True):
    """One folder that is there and gets another owner or other permissions.

    Args:
        target: The path.
        uid: The owner it gets.
        gid: The group it gets.
        mode: The permissions it gets.
        uid_before: The owner it had.
        gid_before: The group it had.
        mode_before: The permissions it had.
        opens: Whether they keep its owner from changing files in it, and are lifted until the restore ends.
    """

    target: str
    uid: int
    gid: int
    mode: int
    uid_before: int
    gid_before: int
    mode_before: int
    opens: bool = False

    @property
    def path(self) -> str:
        """The folder's path."""
        return decode_name(self.target)

    @property
    def stays(self) -> bool:
        """Whether owner and permissions are in the end what they were."""
        return (self.uid, self.gid, self.mode) == (self.uid_before, self.gid_before, self.mode_before)


class Time(msgspec.Struct, frozen=True, array_like=True):
    """Time of the last change that a file gets which is not replaced.

    Args:
        target: The path.
        mtime_ns: The time it gets, in nanoseconds since 1970.
        before_ns: The time it had; whatever has another one by then was changed by somebody else.
    """

    target: str
    mtime_ns: int
    before_ns: int


class Journal(msgspec.Struct, frozen=True):
    """All that a restore is about to do.

    Args:
        name: A name of its own, which is part of the names of the new files.
        backup_id: The backup.
        folders: Folders that it makes, outer ones first; only earlier versions made them one by one.
        steps: The paths that change.
        access: Folders that get another owner or other permissions.
        times: Files that get another time and nothing else.
        checksum: BLAKE3 hash of this text, with this field empty: a changed byte must not lead to another file.
    """

    name: str
    backup_id: str
    folders: list[Made]
    steps: list[Step]
    access: list[Access] = []
    times: list[Time] = []
    checksum: str = ""

    def to_json(self) -> bytes:
        """Return the text of the journal, with its checksum."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """Yield the same text piece by piece: there may be very many steps."""
        known = blake3()
        for piece in self._unsigned():
            known.update(piece)
            yield piece
        known.update(_END)
        yield known.hexdigest().encode() + _END

    def _unsigned(self) -> Iterator[bytes]:
        """Yield the text up to the checksum."""
        before = "{"
        for name in self.__struct_fields__[:-1]:
            yield f'{before}"{name}":'.encode()
            value, before = getattr(self, name), ","
            yield from _list_pieces(value) if isinstance(value, list) else [_encode(value)]
        yield b',"checksum":"'

    @classmethod
    def from_json(cls, text: bytes) -> Journal:
        """Return what a journal tells, also one of an earlier version.

        Raises:
            ValueError: It is none, not what was written, or names what no restore can change.
        """
        found: Journal = decoded(text, _DECODER)
        end = f'{found.checksum}"}}'.encode()
        if not text.endswith(end) or blake3(text.removesuffix(end) + b'"}').hexdigest() != found.checksum:
            raise ValueError("it is not what was written")
        check_id(found.name)
        for path in map(decode_name, found._paths()):
            if "\0" in path or not path.startswith("/") or os.path.normpath(path) != path:
                raise ValueError(f"{path!r} is no path that a restore could change")
        return found

    def _paths(self) -> list[str]:
        return [
            *self.targets(),
            *(folder.target for folder in self.folders),
            *(step.at for step in self.steps if step.at),
        ]

    def targets(self) -> list[str]:
        """Return the paths that change."""
        return [item.target for items in (self.steps, self.access, self.times) for item in items]

    def touches(self, paths: Iterable[str]) -> bool:
        """Return whether something changes that is at one of these paths, below one, or above one."""
        targets = [f"{decode_name(target)}/" for target in self.targets()]
        known = [f"{path.rstrip('/')}/" for path in paths]
        return any(one.startswith(other) or other.startswith(one) for one in targets for other in known)

    def within(self, roots: Iterable[str], places: Iterable[str] = ()) -> bool:
        """Return whether only what is below these paths is changed, besides what a restore to them has to open or make.

        Args:
            roots: The paths.
            places: Folders in which files that are written in place may wait.
        """
        known, waiting = [root.rstrip("/") for root in roots], {"", *places}

        def below(path: str) -> bool:
            return any(path == root or path.startswith(f"{root}/") for root in known)

        def above(path: str) -> bool:
            return any(root.startswith(f"{path.rstrip('/')}/") for root in known)

        def is_step(step: Step) -> bool:
            target = decode_name(step.target)
            return below(target) or (step.tree and above(target)) or (step.goes and below(_database(target)))

        return (
            all(is_step(step) and decode_name(step.at) in {step.folder, *waiting} for step in self.steps)
            and all(below(item.path) or (item.stays and above(item.path)) for item in self.access)
            and all(below(decode_name(item.target)) for item in self.times)
            and all(below(path := decode_name(item.target)) or (item.mode < 0 and above(path)) for item in self.folders)
        )


def _list_pieces(items: list[Any]) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(items), _SOME):
        yield b"," * bool(start) + _encode(items[start : start + _SOME])[1:-1]
    yield b"]"


def _database(path: str) -> str:
    """Return the database that a file of SQLite lies beside."""
    return next((path.removesuffix(side) for side in sqlite.SIDES if path.endswith(side)), path)


_END = b'"}'
_SOME = 1000  # items of a list that are written at once
_encode = msgspec.json.Encoder().encode
_DECODER = msgspec.json.Decoder(Journal)
