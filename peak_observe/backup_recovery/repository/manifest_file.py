"""File of a manifest, written and read entry by entry, so that a backup of many files needs little memory."""

from __future__ import annotations

import os
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from blake3 import blake3
from msgspec.structs import force_setattr, replace

from peak_observe.backup_recovery.files.copying import CREATE, opened, write_all
from peak_observe.backup_recovery.files.owners import group_names, user_names
from peak_observe.backup_recovery.files.safe_read import decoded
from peak_observe.backup_recovery.repository.manifest import (
    ENTRIES,
    FOLDER,
    Check,
    Entry,
    Manifest,
    Name,
    check_names_of_one_file,
    to_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from peak_observe.backup_recovery.repository.metadata import BackupMetadata

BUFFER = 1 << 15
_LAST = (b"],\n", b"]}\n")
_LAST_SIZE = 3
_MORE = b"},\n"  # the end of all other entries' lines
_IS_DATABASE = b'"source_size":'
_IS_FOLDER = b'"type":"folder"'  # in a name the quotation marks would be escaped
_TYPE = b'","type":"'  # behind a place


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

    def add(self, entries: Collection[Entry]) -> None:
        """Write entries.

        Raises:
            OSError: That cannot be done.
        """
        if entries:
            self._users.update([entry.uid for entry in entries])
            self._groups.update([entry.gid for entry in entries])
            self._write((b"" if self._first else b",\n") + to_lines(entries))
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

    def entries(self) -> Generator[list[Entry]]:
        """Yield all entries, some at a time.

        Raises:
            OSError: It cannot be read.
            ValueError: What stands there is no entry.
        """
        for block in self._blocks():
            yield decoded(block.entries, _ENTRY_LIST)

    def entries_between(self, start: int, end: int) -> Generator[list[Entry]]:
        """Yield the entries whose lines stand between two places of the file, which `starts` tells, some at a time.

        Raises:
            OSError: It cannot be read.
            ValueError: What stands there is no entry.
        """
        with self._opened(min(BUFFER, end - start)) as file:
            file.seek(start)
            while start < end:
                text = (file.read(min(BUFFER, end - start)) + file.readline())[: end - start]
                if not text:
                    raise ValueError("it is cut off")
                start += len(text)
                yield decoded(_list(text), _ENTRY_LIST)

    def databases(self, digest: str) -> list[Entry]:
        """Return the entries of databases, without decoding those of other files.

        Args:
            digest: BLAKE3 hash of the whole file.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not what was written.
        """
        found: list[Entry] = []
        known = blake3()
        with self._opened() as file:
            while text := file.read(BUFFER) + file.readline():
                known.update(text)
                if _IS_DATABASE in text:
                    lines = [line.removeprefix(ENTRIES) for line in BytesIO(text) if _IS_DATABASE in line]
                    found += decoded(_list(b"".join(lines).removesuffix(_LAST[0]).removesuffix(_LAST[1])), _ENTRY_LIST)
        if known.hexdigest() != digest:
            raise ValueError("it is not what was written")
        return found

    def starts(self, digest: str) -> tuple[dict[str, int], int]:
        """Return where the line of the first entry in each folder begins, and that of each named file; and the end.

        They are in the order of the file, so that the entries of a folder end before the next place.

        Args:
            digest: BLAKE3 hash of the whole file, which is compared at the end.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not what was written.
        """
        found: dict[str, int] = {}
        known, at, end, inside = blake3(), 0, 0, False
        with self._opened() as file:
            while lines := file.readlines(BUFFER):
                known.update(b"".join(lines))
                for line in lines:
                    if not inside and line.startswith(ENTRIES):
                        inside = True
                        _note_start(found, line[len(ENTRIES) :], at + len(ENTRIES), at + len(line))
                    elif inside and (_IS_FOLDER in line or line.count(b"/", 0, line.find(_TYPE)) == 1):
                        _note_start(found, line, at, at + len(line))
                    at += len(line)
                    if inside and line.endswith(_LAST):
                        inside, end = False, at - _LAST_SIZE
        found = {place: min(start, end) for place, start in found.items()}  # behind the last line there is none
        if known.hexdigest() != digest:
            raise ValueError("it is not what was written")
        return found, end

    def check(self, backup_id: str, base: str) -> str:
        """Read all of it as a restore does, and return its BLAKE3 hash.

        Raises:
            OSError: It cannot be read.
            ValueError: No restore could use it; the message says why.
        """
        return self.read(backup_id, base).blake3

    def read(self, backup_id: str, base: str, take: Callable[[list[Entry]], object] | None = None) -> CheckedFile:
        """Read and check all of it; few entries are in memory at once.

        Args:
            backup_id: The backup that it must be of.
            base: The only other backup that may hold what it names.
            take: Gets the entries, some at a time; whether they are what was written is known only at the end.

        Raises:
            OSError: It cannot be read.
            ValueError: No restore could use it; the message says why.
        """
        check, others, known = Check(self.head(), backup_id, base), bytearray(), blake3()
        for block in self._blocks():
            known.update(block.text)
            others += block.others
            entries = decoded(block.entries, _ENTRY_LIST)
            check.entries(entries)
            if take is not None:
                take(entries)
        rest = decoded(bytes(others), _MANIFEST)
        check.entries(rest.entries)
        if take is not None:
            take(rest.entries)
        return CheckedFile(known.hexdigest(), rest, check.names)

    def _blocks(self) -> Iterator[_Block]:
        """Yield the file by blocks of whole lines, so that few entries are in memory at once."""
        inside = False
        with self._opened() as file:
            while text := file.read(BUFFER) + file.readline():
                # What else there is comes behind all entries, so that a block which ends with one holds no more.
                if inside and text.endswith(_MORE) and text.startswith(b"{", text.rfind(b"\n", 0, -1) + 1):
                    yield _Block(text, _list(text), b"")
                    continue
                entries, others = list[bytes](), list[bytes]()
                for line in BytesIO(text):
                    rest = line
                    if not inside and line.startswith(ENTRIES):
                        others.append(ENTRIES)
                        inside, rest = True, line[len(ENTRIES) :]
                    if inside and rest.endswith(_LAST):
                        entries.append(rest[:-_LAST_SIZE])
                        inside, rest = False, rest[-_LAST_SIZE:]
                    (entries if inside else others).append(rest)
                yield _Block(text, _list(b"".join(entries)), b"".join(others))

    def _opened(self, buffer: int = BUFFER) -> BinaryIO:
        return os.fdopen(opened(str(self._path))[0], "rb", buffer)


class CheckedFile(NamedTuple):
    """Result of reading a whole manifest.

    Args:
        blake3: Hash of the file.
        head: All but the entries that have a line each, as all have that this package wrote.
        names: The files that have several names; see `Check`.
    """

    blake3: str
    head: Manifest
    names: dict[str, Name]


class ManifestReader:
    """Manifest of a backup that is read entry by entry, as often as it is wanted, once all of it was checked.

    Args:
        path: The file.
        digest: BLAKE3 hash of it.
        backup_id: The backup that it must be of.
        base: The only other backup that may hold what it names.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not what was written, or names something outside; the message says what.
    """

    def __init__(self, path: Path, digest: str, backup_id: str, base: str) -> None:
        self._file = ManifestFile(path)
        found = _of_digest(self._file.read(backup_id, base), digest)
        self._rest = found.head.entries
        self.head = replace(found.head, entries=[])
        check_names_of_one_file(found.names, self)

    def __iter__(self) -> Iterator[Entry]:
        for block in self._file.entries():
            yield from block
        yield from self._rest


def whole_manifest(path: Path, digest: str, backup_id: str, base: str) -> Manifest:
    """Return a manifest with all its entries in memory; the arguments and errors are those of `ManifestReader`.

    What tells whether a source is unchanged is left out of them: `ctime_ns` and `inode` are 0.
    """
    entries: list[Entry] = []
    once: dict[str | int, str | int] = {}

    def take(some: list[Entry]) -> None:
        for entry in some:  # all stay in memory, so what many have should be there once
            for name in ("type", "taken", "base", "mode", "uid", "gid"):
                value = getattr(entry, name)
                force_setattr(entry, name, once.setdefault(value, value))
            force_setattr(entry, "ctime_ns", 0)
            force_setattr(entry, "inode", 0)
        entries.extend(some)

    found = _of_digest(ManifestFile(path).read(backup_id, base, take), digest)
    check_names_of_one_file(found.names, entries)
    return replace(found.head, entries=entries)


def _of_digest(found: CheckedFile, digest: str) -> CheckedFile:
    if found.blake3 != digest:
        raise ValueError("it is not what was written")
    return found


def lacks_sources(backup: BackupMetadata) -> bool:
    """Return whether the metadata of a backup does not tell the paths that were named for it."""
    return backup.sources is msgspec.UNSET and bool(backup.manifest)


def with_sources(backup: BackupMetadata, path: Path) -> BackupMetadata:
    """Return the metadata of an older backup with the paths that were named for it, which only its manifest tells."""
    if not lacks_sources(backup):
        return backup
    sources: dict[str, list[str]] = {}
    with suppress(OSError, ValueError):  # reading the manifest itself tells what is wrong with it
        for root in ManifestFile(path).head().roots:
            sources.setdefault(root.kind, []).append(root.source)
        return replace(backup, sources=sources)
    return backup


class _Block(NamedTuple):
    """Some lines of the file.

    Args:
        text: All of them.
        entries: The entries among them, as a list of JSON.
        others: What stands there besides.
    """

    text: bytes
    entries: bytes
    others: bytes


class _Place(msgspec.Struct, frozen=True, gc=False):
    """Place and type in an entry's line."""

    stored: str
    type: str


def _note_start(found: dict[str, int], line: bytes, start: int, following: int) -> None:
    """Note where the entries of a folder begin, which is the line behind its own, or where a named file stands."""
    for place in decoded(_list(line.removesuffix(_LAST[0]).removesuffix(_LAST[1])), _PLACES):
        if place.type == FOLDER:
            found[place.stored] = following
        elif place.stored.count("/") == 1:
            found[place.stored] = start


def _list(lines: bytes) -> bytes:
    """Return lines of entries as a list of JSON."""
    return b"[" + lines.rstrip(b",\n") + b"]"


_PLACES = msgspec.json.Decoder(list[_Place])
_ENTRY_LIST = msgspec.json.Decoder(list[Entry])
_MANIFEST = msgspec.json.Decoder(Manifest)
