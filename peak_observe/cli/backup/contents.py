"""`peak-observe backup ls`, `find` and `cat`: the files of backups."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, NamedTuple

import typer

from peak_observe.backup_recovery import RecoveryManager, StoredFile
from peak_observe.cli.backup import render
from peak_observe.cli.backup.manager import identified, note, opened, settings
from peak_observe.cli.backup.session import INCOMPLETE, progress
from peak_observe.cli.options import AsJson, ConfigFile, Manager, Repository, Which
from peak_observe.errors import BackupError
from peak_observe.resilience.health import formatting
from peak_observe.support.redact import printable

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
    with progress("read", quiet=as_json):
        found = manager.list_files(identified(manager, backup), pattern or ())
    if as_json:
        render.as_json([item._asdict() for item in found])
    elif found:
        typer.echo("\n".join(map(_line, found)))
    else:
        note("no file is like that" if pattern else "it holds no files")
    if not found:
        raise typer.Exit(INCOMPLETE)


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
        found = _versions(manager, pattern)
    if as_json:
        render.as_json(
            [
                {**version.file._asdict(), "backups": version.backups}
                for versions in found.values()
                for version in versions
            ]
        )
    else:
        for path, versions in found.items():
            typer.echo(printable(path))
            typer.echo("\n".join(f"  {_facts(version.file)}  {_holders(version.backups)}" for version in versions))
    if not found:
        note("no file in any backup is like that")
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
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


class _Version(NamedTuple):
    """One version of a file, and the backups that hold it, the newest first."""

    file: StoredFile
    backups: list[str]


def _versions(manager: RecoveryManager, pattern: str) -> dict[str, list[_Version]]:
    found: dict[str, dict[tuple[object, ...], _Version]] = {}
    for backup, item in _everywhere(manager, pattern):
        content = (item.type, item.size_bytes, item.blake3, item.target)
        found.setdefault(item.path, {}).setdefault(content, _Version(item, [])).backups.append(backup)
    return {path: list(versions.values()) for path, versions in sorted(found.items())}


def _everywhere(manager: RecoveryManager, pattern: str) -> Iterator[tuple[str, StoredFile]]:
    for backup in manager.list_backups():
        if not backup.manifest and not backup.parts and not backup.good:
            continue  # one that failed
        try:
            for item in manager.list_files(backup.backup_id, (pattern,)):
                if item.type != "folder":
                    yield backup.backup_id, item
        except BackupError as error:
            note(str(error))


def _line(item: StoredFile) -> str:
    arrow = f" -> {printable(item.target)}" if item.type == "link" else "/" if item.type == "folder" else ""
    return f"{_facts(item)}  {printable(item.path)}{arrow}"


def _facts(item: StoredFile) -> str:
    size = formatting.size(item.size_bytes) if item.type == "file" else item.type
    changed = f"{item.modified:%Y-%m-%d %H:%M:%S}" if item.modified else "after the year 9999"
    return f"{size:>10}  {changed}"


def _holders(backups: list[str]) -> str:
    newest, oldest = backups[0], backups[-1]
    return newest if len(backups) == 1 else f"{newest} and {len(backups) - 1} older, back to {oldest}"
