"""Index of a store: in which object, and where in it, each piece of content lies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from peak_observe.backup_recovery.offsite.store_key import HASH

VERSION = 1
WORTH_KEEPING = 0.5
"""Share of an object that a backup must use; of less a push writes what it needs anew, so that prune can remove it."""


class Place(NamedTuple):
    """Place of one piece of content.

    Args:
        object: Name of the object.
        offset: Where it begins in the object's content, in bytes.
        length: Its bytes.
    """

    object: bytes
    offset: int
    length: int


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """One object with what is in it.

    Args:
        name: Keyed hash of its content.
        size: Bytes of its content.
        sealed: Bytes as they are stored.
        pieces: Name and length of each piece, in their order.
        recipients: Marks of whom it is sealed for, see `Store.marks`; empty if an older program wrote it.
    """

    name: bytes
    size: int
    sealed: int
    pieces: list[tuple[bytes, int]]
    recipients: bytes = b""


class IndexFile(msgspec.Struct, frozen=True, array_like=True):
    """Index that one push, or a prune, has written.

    Args:
        version: The form of it.
        objects: Objects.
        files: Name of a split file's content, with the names of its pieces one after another.
    """

    version: int
    objects: list[Stored]
    files: dict[bytes, bytes]

    def encode(self) -> bytes:
        """Return the bytes of it."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, content: bytes) -> IndexFile:
        """Return the index in some bytes.

        Raises:
            ValueError: They hold none, or one of a later version.
        """
        found = _DECODER.decode(content)
        if found.version != VERSION:
            raise ValueError(f"it has version {found.version}: a newer peak-observe wrote it")
        return found


_DECODER = msgspec.msgpack.Decoder(IndexFile)


class Index:
    """All that the indexes of a store tell, as far as the objects are there.

    Args:
        present: Names of the objects that are there; None for all that are indexed.
        opens: Returns whether objects with these marks of recipients count; None for all.
    """

    def __init__(self, present: Mapping[str, int] | None = None, opens: Callable[[bytes], bool] | None = None) -> None:
        self._present = present
        self._opens = opens
        self._places: dict[bytes, Place] = {}
        self._older: dict[bytes, list[Place]] = {}
        self._files: dict[bytes, bytes] = {}
        self.objects: dict[bytes, tuple[int, int]] = {}

    def add(self, found: IndexFile) -> None:
        """Take in an index; the later of two places counts, but for who needs the object of the other."""
        for item in found.objects:
            if self._present is not None and self._present.get(item.name.hex()) != item.sealed:
                continue  # it is gone, or has another size than was written
            if self._opens is not None and not self._opens(item.recipients):
                continue
            self.objects[item.name] = item.size, item.sealed
            at = 0
            for name, length in item.pieces:
                if name in self._places and self._places[name].object != item.name:
                    self._older.setdefault(name, []).append(self._places[name])
                self._places[name] = Place(item.name, at, length)
                at += length
        self._files.update(found.files)

    def pieces(self, file: bytes) -> list[bytes]:
        """Return the names of the pieces of a file's content: its own, if it was not split."""
        joined = self._files.get(file)
        return [file] if joined is None else [joined[at : at + HASH] for at in range(0, len(joined), HASH)]

    def was_split(self, file: bytes) -> bool:
        """Return whether the pieces of a file's content are known."""
        return file in self._files

    def place(self, piece: bytes, needs: Collection[bytes] = ()) -> Place | None:
        """Return where a piece lies, in one of the objects that are needed if they are named; None if it is not there.

        Content that was written anew lies in two objects, of which either may be damaged.
        """
        found = self._places.get(piece)
        if found is None or not needs or found.object in needs:
            return found
        return next((place for place in self._older.get(piece, ()) if place.object in needs), found)

    def thin(self, pieces: Iterable[bytes]) -> set[bytes]:
        """Return the objects of which these pieces use so little that they should be written anew."""
        used: dict[bytes, int] = {}
        for piece in set(pieces):
            place = self._places.get(piece)
            if place is not None:
                used[place.object] = used.get(place.object, 0) + place.length
        return {name for name, size in used.items() if size < WORTH_KEEPING * self.objects[name][0]}
