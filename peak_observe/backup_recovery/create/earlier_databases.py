"""Files that were databases in earlier backups, however long ago: such a file must still be a sound database."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from peak_observe.backup_recovery.files import sqlite
from peak_observe.backup_recovery.files.safe_read import content, decoded
from peak_observe.backup_recovery.repository.manifest import decode_name
from peak_observe.backup_recovery.repository.manifest_file import ManifestFile
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA
from peak_observe.backup_recovery.repository.repository import MANIFEST
from peak_observe.support.atomic_files import replace_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peak_observe.backup_recovery.repository.manifest import Root
    from peak_observe.backup_recovery.repository.metadata import BackupMetadata
    from peak_observe.backup_recovery.repository.repository import Repository

INDEX = "databases.json"

Places = dict[str, dict[str, int]]
"""Sizes of the databases below each named path, by their places, as in a manifest; empty for the path itself."""


class EarlierDatabases:
    """Files that were databases in any earlier backup, by real path: a file may have been named in another way then.

    Most runs ask for no file. The first that does reads the manifests that no run before it has read for that.

    Args:
        repository: The repository.
        backups: The earlier backups, the newest first.
    """

    def __init__(self, repository: Repository, backups: Iterable[BackupMetadata]) -> None:
        self._root = repository.root
        self._index = repository.own / INDEX
        self._backups = list(backups)
        self._newest: dict[tuple[str, str], str] = {}
        self._real: dict[str, str] = {}
        self._found: dict[str, tuple[str, int]] | None = None

    def newest(self, root: Root) -> str:
        """Return the newest backup of a named path; empty where a newer one has files of it by another name.

        What was no database in that one was none before: it would be missing in it, and the backup partial.
        """
        key = root.kind, root.source
        if key not in self._newest:
            self._newest[key] = self._newest_of(*key)
        return self._newest[key]

    def find(self, path: str, status: os.stat_result) -> str:
        """Return the newest backup in which a file was a database; empty if there is none, or it is another file now.

        Args:
            path: The real path of the file.
            status: Its status.
        """
        found, size = self._of(path)
        if found and status.st_size != size and self._was_left_out(path, since=found):
            with suppress(OSError):  # the reader says why it cannot be read
                return "" if sqlite.is_text(path, status) else found
        return found

    def find_other(self, path: str) -> str:
        """Return the newest backup in which what is no file now was a database; empty if a good one since is without.

        Args:
            path: The real path of the folder or link.
        """
        found, _ = self._of(path)
        return "" if found and self._was_left_out(path, since=found) else found

    def _of(self, path: str) -> tuple[str, int]:
        if self._found is None:
            self._found = self._all()
        return self._found.get(path, ("", 0))

    def _was_left_out(self, path: str, *, since: str) -> bool:
        """Return whether there is a good backup since another one that would hold a file if it had been there."""
        newer = takewhile(lambda backup: backup.backup_id != since, self._backups)
        return any(backup.good and any(self._holds(source, path) for source in _sources(backup)) for backup in newer)

    def _holds(self, source: str, path: str) -> bool:
        return _is_within(path, self._real_path(source))

    def _newest_of(self, kind: str, source: str) -> str:
        for backup in self._backups:
            if source in backup.sources_of(kind):
                return backup.backup_id
            real = self._real_path(source)
            if any(self._holds(other, real) or _is_within(self._real_path(other), real) for other in _sources(backup)):
                return ""
        return ""

    def _real_path(self, source: str) -> str:
        if source not in self._real:
            self._real[source] = os.path.realpath(decode_name(source))
        return self._real[source]

    def _all(self) -> dict[str, tuple[str, int]]:
        """Return the newest backup of each database, and its size there, by its real path."""
        found: dict[str, tuple[str, int]] = {}
        known = _read(self._index)
        index = {backup.manifest: known.get(backup.manifest) for backup in self._backups}
        for backup in self._backups:
            places = index[backup.manifest]
            if places is None:
                with suppress(OSError, ValueError):  # what cannot be read tells of none, and is read again next time
                    places = index[backup.manifest] = _databases(self._root, backup)
            for source, below in (places or {}).items():
                real = self._real_path(source)
                for place, size in below.items():
                    found.setdefault(real.rstrip("/") + decode_name(place), (backup.backup_id, size))
        if index != known:
            with suppress(OSError):  # on a full disk the next run reads them again
                _write(self._index, {digest: places for digest, places in index.items() if places is not None})
        return found


class _Index(msgspec.Struct):
    """Databases by manifest; many manifests have the same ones.

    Args:
        manifests: Number of its places, by the hash of each manifest.
        places: The places.
    """

    manifests: dict[str, int]
    places: list[Places]


def _read(path: Path) -> dict[str, Places]:
    """Return what the index tells; nothing if it cannot be read or is not what was written."""
    with suppress(OSError, ValueError, IndexError):
        digest, _, text = content(path).partition(b"\n")
        if blake3(text).hexdigest().encode() == digest:
            index = decoded(text, _DECODER)
            return {manifest: index.places[number] for manifest, number in index.manifests.items()}
    return {}


def _write(path: Path, known: dict[str, Places]) -> None:
    numbers: dict[bytes, int] = {}
    manifests = {digest: numbers.setdefault(_encode(places), len(numbers)) for digest, places in known.items()}
    text = _encode({"manifests": manifests, "places": [msgspec.Raw(places) for places in numbers]})
    # One that a power cut spoils is made anew.
    replace_text(path, f"{blake3(text).hexdigest()}\n{text.decode()}", private=True)


def _databases(repository: Path, backup: BackupMetadata) -> Places:
    file = ManifestFile(repository / backup.backup_id / MANIFEST)
    sources = {root.stored: root.source for root in file.head().roots}
    found: Places = {}
    for entry in file.databases(backup.manifest):
        root = "/".join(entry.stored.split("/", 2)[:2])
        if root in sources:
            found.setdefault(sources[root], {})[entry.stored[len(root) :]] = entry.source_size or 0
    return found


def _sources(backup: BackupMetadata) -> list[str]:
    return [source for kind in (CONFIG, DATA) for source in backup.sources_of(kind)]


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


_encode = msgspec.json.Encoder(order="sorted").encode
_DECODER = msgspec.json.Decoder(_Index)
