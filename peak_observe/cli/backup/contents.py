"""`peak-observe backup ls`, `find` and `cat`: the files of backups."""

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Annotated, Any

import typer

from peak_observe.backup_recovery import RecoveryManager, StoredFile
from peak_observe.cli.backup import render
from peak_observe.cli.backup.manager import identified, note, notes, opened, settings
from peak_observe.cli.backup.session import INCOMPLETE, progress
from peak_observe.cli.options import AsJson, ConfigFile, Manager, Repository, Which
from peak_observe.errors import BackupError
from peak_observe.resilience.health import formatting
from peak_observe.support.redact import printable
from peak_observe.support.streams import OutputError

Pattern = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PATTERN]...", help="Path, end of a path, or a pattern as '*.csv'."),
]


def ls(
    backup: Which,
    pattern: Pattern = None,
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    as_json: AsJson = False,
) -> None:
    """List the files of a backup, by the paths where they lived.

    Exit code 1 if there is none.
    """
    manager = opened(settings(file, repository=repository, app=app), reads=True)
    name = identified(manager, backup)
    with progress("read", quiet=as_json):
        files = _begun(manager.iter_files(name, pattern or ()))
    found = render.as_json_list(item._asdict() for item in files) if as_json else render.lines(map(_line, files))
    if not found:
        note("no file is like that" if pattern else "it holds no files")
        raise typer.Exit(INCOMPLETE)
    for text in pattern if pattern and len(pattern) > 1 else ():
        if next(manager.iter_files(name, (text,)), None) is None:
            note(f"no file is like {text!r}")


def find(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Path, end of a path, or a pattern as '*.csv'.")],
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    as_json: AsJson = False,
) -> None:
    """Find files in all backups, with the versions of each.

    Exit code 1 if there is none.
    """
    manager = opened(settings(file, repository=repository, app=app), reads=True)
    with progress("read", quiet=as_json):
        found, unread = _versions(manager, pattern)
    if as_json:
        render.as_json_list(_facts_of(path, version) for path in sorted(found) for version in found[path])
    else:
        corrupt = manager.unrestorable_backups()
        render.lines(
            line
            for path in sorted(found)
            for line in (printable(path), *(_version_line(version, corrupt) for version in found[path]))
        )
    notes(unread)
    if not found:
        note(f"no file in any backup{' that can be read' if unread else ''} is like that")
        raise typer.Exit(INCOMPLETE)


def cat(
    backup: Which,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Where it lived, or the end of that path.")],
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
) -> None:
    """Write one file of a backup to standard output.

    It is verified first.
    """
    manager = opened(settings(file, repository=repository, app=app), reads=True)
    with progress("verify", quiet=False):
        content = manager.read_file(identified(manager, backup), path)
    with suppress(BrokenPipeError):  # whoever reads it has seen enough
        for chunk in content:
            _write(chunk)
        _write(b"")


def _write(chunk: bytes) -> None:
    """Write bytes to standard output, and hand them on where there are none.

    Raises:
        BrokenPipeError: Nobody reads it any more.
        OutputError: It takes nothing.
    """
    try:
        sys.stdout.buffer.write(chunk) if chunk else sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


class _Version:
    """One version of a file, and the backups that hold it, the newest first; there may be very many of these."""

    __slots__ = ("backups", "blake3", "mode", "modified_ns", "size_bytes", "stored", "target", "type")

    def __init__(self, item: StoredFile, backups: tuple[str, ...]) -> None:
        self.stored = item.stored
        self.type = sys.intern(item.type)
        self.size_bytes = item.size_bytes
        self.mode = item.mode
        self.modified_ns = item.modified_ns
        self.blake3 = bytes.fromhex(item.blake3)
        self.target = item.target
        self.backups = backups

    def is_of(self, item: StoredFile) -> bool:
        """Return whether a file is this version."""
        mine = (self.type, self.size_bytes, self.blake3, self.target)
        return mine == (item.type, item.size_bytes, bytes.fromhex(item.blake3), item.target)

    def file(self, path: str) -> StoredFile:
        """Return the newest file of this version."""
        facts = (self.size_bytes, self.mode, self.modified_ns, self.blake3.hex(), self.target)
        return StoredFile(path, self.stored, self.type, *facts)


def _versions(manager: RecoveryManager, pattern: str) -> tuple[dict[str, list[_Version]], list[str]]:
    """Return the versions of each file, and what is wrong with the backups that cannot be looked into."""
    found: dict[str, list[_Version]] = {}
    unread = [f"{name} cannot be read: {reason}" for name, reason in manager.unreadable_backups().items()]
    holders: dict[tuple[str, ...], tuple[str, ...]] = {}  # most versions share theirs
    for backup, item in _everywhere(manager, pattern, unread):
        versions = found.setdefault(item.path, [])
        known = next((version for version in versions if version.is_of(item)), None)
        backups = (*(known.backups if known else ()), backup)
        backups = holders.setdefault(backups, backups)
        if known:
            known.backups = backups
        else:
            versions.append(_Version(item, backups))
    return found, unread


def _facts_of(path: str, version: _Version) -> dict[str, Any]:
    return {**version.file(path)._asdict(), "backups": list(version.backups)}


def _version_line(version: _Version, corrupt: Collection[str]) -> str:
    return f"  {_facts(version.file(''))}  {_holders(version.backups, corrupt)}"


def _begun(files: Iterator[StoredFile]) -> Iterator[StoredFile]:
    """Return files of which the first is read, so that all is checked before anything is printed."""
    return chain(list(islice(files, 1)), files)


def _everywhere(manager: RecoveryManager, pattern: str, unread: list[str]) -> Iterator[tuple[str, StoredFile]]:
    for backup in manager.list_backups():
        if not backup.manifest and not backup.parts and not backup.good:
            continue  # one that failed
        try:
            for item in manager.iter_files(backup.backup_id, (pattern,)):
                if item.type != "folder":
                    yield backup.backup_id, item
        except BackupError as error:
            unread.append(str(error))


def _line(item: StoredFile) -> str:
    arrow = f" -> {printable(item.target)}" if item.type == "link" else "/" if item.type == "folder" else ""
    return f"{_facts(item)}  {printable(item.path)}{arrow}"


def _facts(item: StoredFile) -> str:
    size = formatting.size(item.size_bytes) if item.type == "file" else item.type
    changed = f"{item.modified:%Y-%m-%d %H:%M:%S}" if item.modified else "after the year 9999"
    return f"{size:>10}  {changed}"


def _holders(backups: Sequence[str], corrupt: Collection[str]) -> str:
    newest, oldest = (
        f"{printable(name)}{' (corrupt)' if name in corrupt else ''}" for name in (backups[0], backups[-1])
    )
    return newest if len(backups) == 1 else f"{newest} and {len(backups) - 1} older, back to {oldest}"
