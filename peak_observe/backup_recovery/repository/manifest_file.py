"""File of a manifest, written and read entry by entry, so that a backup of many files needs little memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from peak_observe.backup_recovery.files.copying import CREATE, hashed, opened, write_all
from peak_observe.backup_recovery.files.owners import group_names, user_names
from peak_observe.backup_recovery.files.safe_read import decoded
from peak_observe.backup_recovery.repository.manifest import ENTRIES, FOLDER, Check, Entry, Manifest, to_json

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path
    from typing import BinaryIO

BUFFER = 1 << 18
AT_ONCE = 1000  # entries that are in memory when all are checked
_LAST = (b"],\n", b"]}\n")
_MORE = b"},\n"  # the end of all other entries' lines
_IS_FOLDER = b'"type":"folder"'  # in a name the quotation marks would be escaped
_SHORT = 300  # bytes of a line in which the place of a named file ends, as its name has 255 at most


class ManifestWriter:
    """Writer of a `manifest.json`.

    Args:
        path: The new file.
        head: Version, backup and roots; entries and owners are added.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, head: Manifest) -> None:
        self._head = head
        self._first = True
        self._users: set[int] = set()
        self._groups: set[int] = set()
        self._descriptor = os.open(path, CREATE, 0o600)
        self._write(head.head_json())

    def add(self, entries: Iterable[Entry]) -> None:
        """Write entries.

        Raises:
            OSError: That cannot be done.
        """
        lines = []
        for entry in entries:
            lines.append(to_json(entry))
            self._users.add(entry.uid)
            self._groups.add(entry.gid)
        if lines:
            self._write((b"" if self._first else b",\n") + b",\n".join(lines))
            self._first = False

    def finish(self) -> None:
        """Write the names of all owners, and close the file.

        Raises:
            OSError: That cannot be done.
        """
        head = replace(self._head, users=user_names(self._users), groups=group_names(self._groups))
        self._write(head.tail_json())
        self.close()

    def close(self) -> None:
        """Close the file as it is; twice is once.

        Raises:
            OSError: The disk reports an error.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, text: bytes) -> None:
        write_all(self._descriptor, memoryview(text))


class ManifestFile:
    """Reader of a `manifest.json`.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def head(self) -> Manifest:
        """Return the manifest without its entries and owners, after reading no more than that.

        Raises:
            OSError: It cannot be read.
            ValueError: It is no manifest.
        """
        head = b""
        with self._opened() as file:
            for line in file:
                if line.startswith(ENTRIES):
                    return decoded(head + ENTRIES + b"]}", _MANIFEST)
                head += line
        return decoded(head, _MANIFEST)

    def all_entries(self) -> Generator[Entry]:
        """Yield all entries.

        Raises:
            OSError: It cannot be read.
            ValueError: What stands there is no entry.
        """
        inside = False
        with self._opened() as file:
            for line in file:
                if not inside and not line.startswith(ENTRIES):
                    continue
                text, inside = line if inside else line[len(ENTRIES) :], True
                if text in _LAST:
                    return
                yield decoded(_bare(text), _ENTRY)
                if text.endswith(_LAST):
                    return

    def entries(self, start: int) -> Generator[Entry]:
        """Yield the entries from the line on that begins at `start`.

        Raises:
            OSError: It cannot be read.
            ValueError: What stands there is no entry.
        """
        with self._opened() as file:
            file.seek(start)
            for line in file:
                yield decoded(_bare(line), _ENTRY)
                if not line.endswith(_MORE) and line.endswith(_LAST):
                    return

    def starts(self, digest: str) -> dict[str, int]:
        """Return where the line of the first entry in each folder begins, and that of each named file.

        Args:
            digest: BLAKE3 hash of the whole file, which is compared at the end.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not what was written.
        """
        found: dict[str, int] = {}
        known, at, inside = blake3(), 0, False
        with self._opened() as file:
            while lines := file.readlines(BUFFER):
                known.update(b"".join(lines))
                for line in lines:
                    if not inside and line.startswith(ENTRIES):
                        inside = True
                        _note_start(found, line[len(ENTRIES) :], at + len(ENTRIES), at + len(line))
                    elif inside and (_IS_FOLDER in line or line.count(b"/", 0, _SHORT) == 1):
                        _note_start(found, line, at, at + len(line))
                    inside = inside and not line.endswith(_LAST)
                    at += len(line)
        if known.hexdigest() != digest:
            raise ValueError("it is not what was written")
        return found

    def check(self, backup_id: str, base: str) -> str:
        """Read all of it as a restore does, and return its BLAKE3 hash.

        Raises:
            OSError: It cannot be read.
            ValueError: No restore could use it; the message says why.
        """
        check, others, texts = Check(self.head(), backup_id, base), bytearray(), list[bytes]()
        inside = False
        with self._opened() as file:
            for line in file:
                text = line
                if not inside and line.startswith(ENTRIES):
                    inside, text = True, line[len(ENTRIES) :]
                    others += ENTRIES
                if not inside:
                    others += line
                elif text not in _LAST:
                    texts.append(_bare(text))
                if inside and not text.endswith(_MORE) and text.endswith(_LAST):
                    inside = False
                    others += text[-len(_LAST[0]) :]
                if len(texts) == AT_ONCE:
                    _check_all(check, texts)
        _check_all(check, texts)
        decoded(bytes(others), _MANIFEST)
        return hashed(str(self._path)).blake3

    def _opened(self) -> BinaryIO:
        return os.fdopen(opened(str(self._path))[0], "rb", BUFFER)


class _Place(msgspec.Struct, frozen=True, gc=False):
    """Place and type in an entry's line."""

    stored: str
    type: str


def _note_start(found: dict[str, int], text: bytes, start: int, following: int) -> None:
    """Note where the entries of a folder begin, which is the line behind its own, or where a named file stands."""
    if text in _LAST:
        return
    place = decoded(_bare(text), _PLACE)
    if place.type == FOLDER:
        found[place.stored] = following
    elif place.stored.count("/") == 1:
        found[place.stored] = start


def _check_all(check: Check, texts: list[bytes]) -> None:
    for entry in decoded(b"[" + b",".join(texts) + b"]", _ENTRY_LIST):
        check.entry(entry)
    texts.clear()


def _bare(line: bytes) -> bytes:
    """Return the text of an entry without what stands behind it on its line."""
    if line.endswith(_MORE):
        return line[:-2]
    return line[:-3] if line.endswith(_LAST) else line.rstrip(b",\n")


_PLACE = msgspec.json.Decoder(_Place)
_ENTRY = msgspec.json.Decoder(Entry)
_ENTRY_LIST = msgspec.json.Decoder(list[Entry])
_MANIFEST = msgspec.json.Decoder(Manifest)
