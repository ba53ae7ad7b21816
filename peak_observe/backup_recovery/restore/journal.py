"""What a restore writes down before it touches anything, so that a crash can be brought to its end."""

from __future__ import annotations

import os

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from peak_observe.backup_recovery.files.safe_read import decoded
from peak_observe.backup_recovery.repository.manifest import check_id, decode_name


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One path that changes.

    Args:
        target: The path.
        inode: Inode number of what takes its place, once that is on the disk; 0 before.
        mtime_ns: Time of its last change; a number may be given again, to a file of somebody else.
        goes: Whether nothing takes its place.
    """

    target: str
    inode: int = 0
    mtime_ns: int = 0
    goes: bool = False


class Made(msgspec.Struct, frozen=True, array_like=True):
    """One folder that is made.

    Args:
        target: The path.
        mode: Its permissions; -1 for what is usual, where the backup does not say.
        mtime_ns: Time of its last change, in nanoseconds since 1970.
    """

    target: str
    mode: int = -1
    mtime_ns: int = 0


class Journal(msgspec.Struct, frozen=True):
    """What a restore is about to do.

    Args:
        name: A name of its own, which is part of the names of the new files.
        backup_id: The backup.
        folders: Folders that it makes, outer ones first.
        steps: The paths that change.
        checksum: BLAKE3 hash of this text, with this field empty: a changed byte must not lead to another file.
    """

    name: str
    backup_id: str
    folders: list[Made]
    steps: list[Step]
    checksum: str = ""

    def to_json(self) -> bytes:
        """Return the text of the journal, with its checksum."""
        plain = replace(self, checksum="")
        return msgspec.json.encode(replace(plain, checksum=blake3(msgspec.json.encode(plain)).hexdigest()))

    @classmethod
    def from_json(cls, text: bytes) -> Journal:
        """Return what a journal tells.

        Raises:
            ValueError: It is none, not what was written, or names what no restore can change.
        """
        found: Journal = decoded(text, _DECODER)
        if found.to_json() != text:
            raise ValueError("it is not what was written")
        check_id(found.name)
        targets = [folder.target for folder in found.folders] + [step.target for step in found.steps]
        for path in map(decode_name, targets):
            if "\0" in path or not path.startswith("/") or os.path.normpath(path) != path:
                raise ValueError(f"{path!r} is no path that a restore could change")
        return found


_DECODER = msgspec.json.Decoder(Journal)
