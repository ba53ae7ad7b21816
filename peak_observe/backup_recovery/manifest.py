"""What is in a backup, file by file, as its `manifest.json` tells it; nothing of it is believed before it is checked.

Names are bytes to the system and text here: what is no UTF-8, and the percent sign, is written as `%XX`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import msgspec

from peak_observe.backup_recovery.metadata import CONFIG, DATA, STATE

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
STATE_FILE = "state.json"
FILE, LINK, FOLDER = "file", "link", "folder"
TYPES = (FILE, LINK, FOLDER)
LARGEST = 2**63 - 1

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_HASH = re.compile(r"[0-9a-f]{64}")
_ODD = re.compile("[%\udc80-\udcff]")
_ESCAPE = re.compile("%([0-9A-F]{2})")


class Root(msgspec.Struct, frozen=True):
    """A path that was named for the backup.

    Args:
        kind: `config` or `data`.
        named: The path as it was given.
        source: The path as an absolute one.
        stored: Where it lies in the backup's folder.
    """

    kind: str
    named: str
    source: str
    stored: str


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One file, symbolic link or folder of a backup.

    Args:
        stored: Where it lies in the backup's folder.
        type: `file`, `link` or `folder`.
        size: Bytes of a file.
        blake3: Hash of a file's content, in hexadecimal.
        mode: Permissions, as at the source.
        mtime_ns: Time of the last change, in nanoseconds since 1970.
        taken: How a file was taken: `copied`, `linked` (unchanged since the last backup), `sqlite` (online backup), or
            `torn` (it changed whenever it was read).
        target: Where a symbolic link points.
        base: The backup whose folder holds it; empty for this one.
        uid: Owner.
        gid: Group.
        ctime_ns: When the source's content or status changed last; 0 if that proves nothing.
        inode: The source's inode number.
        source_size: Bytes of the source's own file where they differ, as for a database.
        sparse: Whether the source had holes.
    """

    stored: str
    type: str
    size: int = 0
    blake3: str = ""
    mode: int = 0
    mtime_ns: int = 0
    taken: str = ""
    target: str = ""
    base: str = ""
    uid: int = 0
    gid: int = 0
    ctime_ns: int = 0
    inode: int = 0
    source_size: int | None = None
    sparse: bool = False

    @property
    def kind(self) -> str:
        """Which part of the backup it belongs to."""
        return STATE if self.stored == STATE_FILE else self.stored.partition("/")[0]


class Manifest(msgspec.Struct, frozen=True):
    """What is in a backup.

    Args:
        version: The form of this file.
        backup_id: The backup.
        started_ns: When reading began, in nanoseconds since 1970.
        roots: The paths that were named.
        entries: Files, links and folders, a folder before what is in it.
    """

    version: int
    backup_id: str
    started_ns: int
    roots: list[Root]
    entries: list[Entry]

    def to_json(self) -> bytes:
        """Return the text of `manifest.json`, a line an entry."""
        head = {name: getattr(self, name) for name in ("version", "backup_id", "started_ns")}
        lines = [f"{_json(key)}: {_json(value)}" for key, value in head.items()]
        lines += [_listed("roots", self.roots), _listed("entries", self.entries)]
        return ("{" + ",\n".join(lines) + "}\n").encode()

    @classmethod
    def from_json(cls, text: bytes, backup_id: str) -> Manifest:
        """Return what a manifest tells, after checking all of it.

        Raises:
            ValueError: It is no manifest of that backup, or names something outside; the message says what.
        """
        manifest: Manifest = _DECODER.decode(text)
        if manifest.version != VERSION:
            raise ValueError(f"form {manifest.version} is unknown to this version, which knows {VERSION}")
        if manifest.backup_id != backup_id:
            raise ValueError(f"it belongs to {manifest.backup_id!r}")
        _check_roots(manifest.roots)
        _check_entries(manifest.entries, manifest.roots)
        return manifest


_DECODER = msgspec.json.Decoder(Manifest)


def encode_name(path: str) -> str:
    """Return a path of this system as text that JSON can hold."""
    return _ODD.sub(lambda found: f"%{os.fsencode(found[0])[0]:02X}", path)


def decode_name(text: str) -> str:
    """Return the path that `encode_name` made a text of."""
    if "%" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: chr(0xDC00 + int(found[1], 16)) if int(found[1], 16) > 127 else "%", text)  # noqa: PLR2004 - ASCII ends there
    return os.fsdecode(os.fsencode(raw))


def check_id(backup_id: object) -> str:
    """Return the name of a backup if it can be one.

    Raises:
        ValueError: It would lead somewhere else.
    """
    if not isinstance(backup_id, str) or not _ID.fullmatch(backup_id):
        raise ValueError(f"{backup_id!r} is no name of a backup")
    return backup_id


def _check_roots(roots: Iterable[Root]) -> None:
    sources, stored = set(), set()
    for root in roots:
        if root.kind not in (CONFIG, DATA) or root.stored.count("/") != 1:
            raise ValueError(f"{root.stored!r} is no place for a named path")
        _check_place(root.stored, root.kind)
        if not os.path.isabs(decode_name(root.source)):
            raise ValueError(f"{root.source!r} is not absolute")
        if (root.kind, root.source) in sources or root.stored in stored:
            raise ValueError(f"{root.source!r} is named twice")
        sources.add((root.kind, root.source))
        stored.add(root.stored)


def _check_entries(entries: Iterable[Entry], roots: Iterable[Root]) -> None:
    places = {root.stored for root in roots}
    seen: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        if entry.stored in seen:
            raise ValueError(f"{entry.stored!r} stands there twice")
        seen.add(entry.stored)
        _check_entry(entry)
        parent = entry.stored.rpartition("/")[0]
        if entry.stored != STATE_FILE and entry.stored not in places and parent not in folders:
            raise ValueError(f"{entry.stored!r} is below nothing that was named")
        if entry.type == FOLDER:
            folders.add(entry.stored)


def _check_entry(entry: Entry) -> None:
    _check_place(entry.stored, entry.kind)
    numbers = (entry.size, entry.mode, entry.uid, entry.gid)
    if entry.type not in TYPES or min(numbers) < 0 or max(numbers) > LARGEST or entry.mode > 0o7777:  # noqa: PLR2004 - permissions have twelve bits
        raise ValueError(f"{entry.stored!r} has a type, size, mode or owner that nothing can have")
    if not -LARGEST <= entry.mtime_ns <= LARGEST:
        raise ValueError(f"{entry.stored!r} has a time that nothing can have")
    if entry.type == FILE and not _HASH.fullmatch(entry.blake3):
        raise ValueError(f"{entry.stored!r} has no hash")
    if entry.type == LINK and (not entry.target or "\0" in entry.target):
        raise ValueError(f"{entry.stored!r} points nowhere")
    if entry.base:
        check_id(entry.base)


def _check_place(stored: str, kind: str) -> None:
    parts = decode_name(stored).split("/")
    inside = stored == STATE_FILE or (kind in (CONFIG, DATA) and parts[0] == kind and len(parts) > 1)
    if not inside or "\0" in stored or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{stored!r} leads out of the backup")


def _listed(name: str, items: Iterable[Any]) -> str:
    lines = ",\n".join(map(_json, items))
    return f"{_json(name)}: [\n{lines}\n]" if lines else f"{_json(name)}: []"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
