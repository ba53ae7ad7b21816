"""A `manifest.json` written and read entry by entry, so that a backup of many files needs little memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from peak_observe.backup_recovery.files.copying import CREATE, opened, write_all
from peak_observe.backup_recovery.files.owners import group_names, user_names
from peak_observe.backup_recovery.files.safe_read import decoded
from peak_observe.backup_recovery.repository.manifest import ENTRIES, Check, Entry, Manifest, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LAST = (b"],\n", b"]}\n")


class ManifestWriter:
    """The manifest of a backup on its way.

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
    """A `manifest.json` on the disk.

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
        scan = _Scan(self._path)
        for _ in scan:
            break  # an iterator that is let go of closes its file
        head = bytes(scan.others)
        return decoded(head + b"]}" if head.endswith(ENTRIES) else head, _MANIFEST)

    def entries(self, start: int) -> Iterator[Entry]:
        """Yield the entries from the line on that begins at `start`.

        Raises:
            OSError: It cannot be read.
            ValueError: What stands there is no entry.
        """
        for _, text in _Scan(self._path, start):
            yield decoded(text, _ENTRY)

    def places(self, digest: str) -> Iterator[tuple[int, Place]]:
        """Yield where each entry's line begins, with what it names.

        Args:
            digest: BLAKE3 hash of the whole file, which is compared at the end.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not what was written.
        """
        scan = _Scan(self._path)
        for start, text in scan:
            yield start, decoded(text, _PLACE)
        if scan.digest.hexdigest() != digest:
            raise ValueError("it is not what was written")

    def check(self, backup_id: str, base: str) -> str:
        """Read all of it as a restore does, and return its BLAKE3 hash.

        Raises:
            OSError: It cannot be read.
            ValueError: No restore could use it; the message says why.
        """
        check, scan = Check(self.head(), backup_id, base), _Scan(self._path)
        for _, text in scan:
            check.entry(decoded(text, _ENTRY))
        decoded(bytes(scan.others), _MANIFEST)
        return scan.digest.hexdigest()


class Place(msgspec.Struct, frozen=True, gc=False):
    """What an entry's line names."""

    stored: str
    type: str


class _Scan:
    """One pass over a manifest: each entry's text with where it begins, and aside the hash and all other text.

    Args:
        path: The file.
        start: Where the line of an entry begins; 0 for all of the file.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.digest = blake3()
        self.others = bytearray()
        self._path = path
        self._start = start

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        descriptor, _ = opened(str(self._path))
        at, inside = self._start, self._start > 0
        os.lseek(descriptor, at, os.SEEK_SET)
        with os.fdopen(descriptor, "rb") as file:
            for line in file:
                self.digest.update(line)
                skipped = 0
                if not inside and line.startswith(ENTRIES):
                    inside, skipped = True, len(ENTRIES)
                    self.others += ENTRIES
                text = line[skipped:]
                if not inside:
                    self.others += line
                elif text not in _LAST:
                    yield at + skipped, _bare(text)
                if inside and text.endswith(_LAST):
                    inside = False
                    self.others += text[-3:]
                    if self._start:
                        return
                at += len(line)


def _bare(line: bytes) -> bytes:
    """Return the text of an entry without what stands behind it on its line."""
    return line[:-3] if line.endswith(_LAST) else line.rstrip(b",\n")


_PLACE = msgspec.json.Decoder(Place)
_ENTRY = msgspec.json.Decoder(Entry)
_MANIFEST = msgspec.json.Decoder(Manifest)
