"""Manifest of a backup: every file, link and folder in it, checked before anything of it is believed.

Names are bytes to the system and text here: what is no UTF-8, and the percent sign, is written as `%XX`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from peak_observe.backup_recovery.files.safe_read import NewerFormatError, decoded
from peak_observe.backup_recovery.repository.metadata import STATE
from peak_observe.errors import NEWER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

VERSION = 1
STATE_FILE = "state.json"
FILE, LINK, FOLDER = "file", "link", "folder"
LARGEST = 2**63 - 1
SECOND = 1_000_000_000  # nanoseconds
LARGEST_OWNER = 2**32 - 2  # the next one means "leave it as it is" to the system

PERMISSIONS = 0o7777
ENTRIES = b'"entries": ['
"""Begins the line of the first entry."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_HASH_SIZE, _HASH_DIGITS = 64, b"0123456789abcdef"
# Below a part, and no name is empty, `.` or `..`.
_PLACE = re.compile(r"state\.json|(?:config|data)(?:/(?!\.{1,2}(?:/|\Z))[^/\0]+)+").fullmatch
_NO_NAMES = ("", ".", "..")
_ODD = re.compile("[%\udc80-\udcff]")
_ESCAPE = re.compile("%([0-9A-F]{2})")


class Root(msgspec.Struct, frozen=True):
    """Path that was named for the backup.

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
        mtime_s: Time of the last change in whole seconds, where nanoseconds do not fit into 64 bits, before 1677 and
            after 2262; `mtime_ns` has the rest then.
        hardlink: Where the first name of the same file lies in the backup's folder; empty if this is the first.
        xattrs: Whether it had an ACL, a capability or another extended attribute, which a backup does not hold.
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
    mtime_s: int | None = None
    hardlink: str = ""
    xattrs: bool = False

    @property
    def modified_ns(self) -> int:
        """Time of the last change, in nanoseconds since 1970, whenever that was."""
        if self.mtime_s is None:
            return self.mtime_ns
        return self.mtime_s * SECOND + (self.mtime_ns if 0 <= self.mtime_ns < SECOND else 0)  # once there was no rest

    @property
    def kind(self) -> str:
        """Part of the backup that it belongs to."""
        return STATE if self.stored == STATE_FILE else self.stored.partition("/")[0]


class Manifest(msgspec.Struct, frozen=True):
    """Content of a backup.

    Args:
        version: The form of this file.
        backup_id: The backup.
        started_ns: When reading began, in nanoseconds since 1970.
        roots: The paths that were named.
        entries: Files, links and folders, a folder before what is in it.
        users: Names of the owners by number, as known where the backup was made; a number without one is missing.
        groups: The same for groups.
    """

    version: int
    backup_id: str
    started_ns: int
    roots: list[Root]
    entries: list[Entry]
    users: dict[int, str] = {}
    groups: dict[int, str] = {}

    def uname(self, entry: Entry) -> str:
        """Return the name of an entry's owner where the backup was made; empty if it had none."""
        return self.users.get(entry.uid, "")

    def gname(self, entry: Entry) -> str:
        """Return the name of an entry's group where the backup was made; empty if it had none."""
        return self.groups.get(entry.gid, "")

    def head_json(self) -> bytes:
        """Return the text of `manifest.json` up to its entries, each of which is a line."""
        head = b"{"
        for name in ("version", "backup_id", "started_ns"):
            head += f'"{name}": '.encode() + to_json(getattr(self, name)) + b",\n"
        return head + b'"roots": [' + b",\n".join(map(to_json, self.roots)) + b"],\n" + ENTRIES

    def tail_json(self) -> bytes:
        """Return the text of `manifest.json` behind its entries."""
        owners = (b'"users": ' + to_json(self.users), b'"groups": ' + to_json(self.groups))
        return b"],\n" + b",\n".join(owners) + b"}\n" if self.users or self.groups else b"]}\n"

    def to_json(self) -> bytes:
        """Return the text of `manifest.json`, a line an entry."""
        return self.head_json() + to_lines(self.entries) + self.tail_json()

    @classmethod
    def from_json(cls, text: bytes, backup_id: str, base: str = "") -> Manifest:
        """Return what a manifest tells, after checking all of it.

        Args:
            text: The text.
            backup_id: The backup that it must be of.
            base: The only other backup that may hold what it names.

        Raises:
            ValueError: It is no manifest of that backup, or names something outside; the message says what.
        """
        manifest: Manifest = decoded(text, _DECODER)
        check = Check(manifest, backup_id, base)
        check.entries(manifest.entries)
        check_names_of_one_file(check.names, manifest.entries)
        return manifest


Name = tuple[str, tuple[object, ...]]
_DECODER = msgspec.json.Decoder(Manifest)
_ENCODER = msgspec.json.Encoder()
to_json = _ENCODER.encode


def to_lines(entries: Iterable[Entry]) -> bytes:
    """Return a line for each entry, as in a manifest; in a name a line's end would be escaped."""
    return _ENCODER.encode_lines(entries)[:-1].replace(b"\n", b",\n")


def times(mtime_ns: int) -> dict[str, int]:
    """Return the fields of an entry for a time in nanoseconds since 1970, whatever a file system can hold."""
    if -LARGEST <= mtime_ns <= LARGEST:
        return {"mtime_ns": mtime_ns}
    return {"mtime_ns": mtime_ns % SECOND, "mtime_s": mtime_ns // SECOND}


def encode_name(path: str) -> str:
    """Return a path of this system as text that JSON can hold."""
    if path.isascii() and "%" not in path:
        return path
    return _ODD.sub(lambda found: f"%{os.fsencode(found[0])[0]:02X}", path)


def decode_name(text: str) -> str:
    """Return the path that `encode_name` made a text of."""
    if "%" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: chr(0xDC00 + int(found[1], 16)) if found[1] > "7F" else "%", text)
    return os.fsdecode(os.fsencode(raw))


def label_of(name: str | None, folder: Path) -> str:
    """Return the label of a repository: the name that was given to it, or that of its folder, as UTF-8 can hold it.

    Raises:
        ValueError: UTF-8 cannot hold the name that was given.
    """
    found = name or folder.absolute().name or "backups"
    if not found.isascii() and _ODD.search(found.replace("%", "")):
        if name:
            raise ValueError(f"name must be text that UTF-8 can hold, not {name!r}")
        return encode_name(found)
    return found


def source_of(path: str | os.PathLike[str]) -> str:
    """Return a path as metadata has it; what links lead to is another one than the one that was named."""
    return encode_name(os.path.abspath(path)).rstrip("/")


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
        if not root.stored.startswith(f"{root.kind}/") or root.stored.count("/") != 1 or not _PLACE(root.stored):
            raise ValueError(f"{root.stored!r} is no place for a named path")
        if not os.path.isabs(root.source) or "\0" in root.source or not _is_canonical(root.source):
            raise ValueError(f"{root.source!r} is not absolute")
        if (root.kind, root.source) in sources or root.stored in stored:
            raise ValueError(f"{root.source!r} is named twice")
        sources.add((root.kind, root.source))
        stored.add(root.stored)


def _is_canonical(text: str) -> bool:
    """Return whether a name is written in the one way it is written in, so that no two texts are the same path."""
    return "%" not in text or encode_name(decode_name(text)) == text


def check_names_of_one_file(names: Mapping[str, Name], entries: Iterable[Entry]) -> None:
    """Find a name of a file that tells other facts than the first: a restore brings back one of them for both.

    Args:
        names: One of the other names of each, and the facts that all of them tell; see `Check`.
        entries: All entries.

    Raises:
        ValueError: There is one.
    """
    for entry in entries if names else ():
        name, facts = names.get(entry.stored, ("", None))
        if name and facts != facts_of_file(entry):
            raise ValueError(_other_facts(name, entry.stored))


def _other_facts(name: str, first: str) -> str:
    return f"{name!r} is another name of {first!r}, and tells other facts"


def facts_of_file(entry: Entry) -> tuple[object, ...]:
    """Return the facts that all names of one file share."""
    return entry.type, entry.size, entry.blake3, entry.mode, entry.uid, entry.gid, entry.modified_ns


class Check:
    """Check of a manifest, some entries after the others: it names nothing twice and nothing outside.

    Args:
        head: The manifest; its entries are not looked at.
        backup_id: The backup that it must be of.
        base: The only other backup that may hold what it names.

    Raises:
        ValueError: It is no manifest of that backup; the message says why.
    """

    def __init__(self, head: Manifest, backup_id: str, base: str) -> None:
        if head.version > VERSION:
            raise NewerFormatError(f"form {head.version}: {NEWER}")
        if head.version != VERSION:
            raise ValueError(f"form {head.version} is unknown to this version, which knows {VERSION}")
        if head.backup_id != backup_id:
            raise ValueError(f"it belongs to {head.backup_id!r}")
        _check_roots(head.roots)
        self._bases = ("", base)
        self._parents = {STATE_FILE, *(root.stored for root in head.roots)}
        self._folders: set[str] = set()
        self._seen: set[str] = set()
        self.names: dict[str, Name] = {}
        """Files with several names, by the place of the first: another name, and the facts that it tells."""

    def entries(self, entries: Collection[Entry]) -> None:
        """Check the next entries.

        Raises:
            ValueError: One is none that a backup can have; the message says which and why.
        """
        seen, folders, parents, bases = self._seen, self._folders, self._parents, self._bases
        hashed = _have_hashes(entries)  # all at once, which takes a tenth of the time
        for entry in entries:
            stored = entry.stored
            parent, _, name = stored.rpartition("/")
            below = parent in folders  # which is a place itself, so that only the name can lead out of it
            if not ((below and name not in _NO_NAMES and "\0" not in name) or _PLACE(stored)) or (
                "%" in stored and not _is_canonical(stored)
            ):
                raise ValueError(f"{stored!r} leads out of the backup")
            if not below and stored not in parents:
                raise ValueError(f"{stored!r} is below nothing that was named")
            if not (_is_sound(entry) and (hashed or _have_hashes([entry]))):
                raise ValueError(
                    f"{stored!r} has a type, size, hash, mode, time, owner or target that nothing can have"
                )
            if entry.base not in bases:
                raise ValueError(f"it names files in {entry.base!r}, which is not what it is based on")
            if stored in seen:
                raise ValueError(f"{stored!r} stands there twice")
            if entry.hardlink:
                self._name(entry)
            seen.add(stored)
            if entry.type == FOLDER:
                folders.add(stored)

    def _name(self, entry: Entry) -> None:
        if entry.hardlink not in self._seen:
            raise ValueError(f"{entry.stored!r} is a link to nothing")
        facts = facts_of_file(entry)
        if self.names.setdefault(entry.hardlink, (entry.stored, facts))[1] != facts:
            raise ValueError(_other_facts(entry.stored, entry.hardlink))


def _have_hashes(entries: Iterable[Entry]) -> bool:
    hashes = [entry.blake3 for entry in entries if entry.type == FILE]
    return {*map(len, hashes)} <= {_HASH_SIZE} and not "".join(hashes).encode().translate(None, _HASH_DIGITS)


def _is_sound(entry: Entry) -> bool:
    if entry.type == FILE:
        sound = 0 <= entry.size <= LARGEST
    else:
        sound = entry.type == FOLDER or (entry.type == LINK and entry.target != "" and "\0" not in entry.target)
    return (
        sound
        and 0 <= entry.mode <= PERMISSIONS
        and -LARGEST <= entry.mtime_ns <= LARGEST
        and (entry.mtime_s is None or -LARGEST <= entry.mtime_s <= LARGEST)
        and 0 <= entry.uid <= LARGEST_OWNER
        and 0 <= entry.gid <= LARGEST_OWNER
    )
