"""Backups as a person reads them: tables on a terminal, the same without colours and cuts in a pipe."""

from __future__ import annotations

import json
import re
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from peak_observe.backup_recovery import BackupMetadata, BackupStatus, StoredFile
from peak_observe.backup_recovery.repository.metadata import SKEW
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.resilience.health import formatting
from peak_observe.support.redact import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

STYLES = {
    BackupStatus.SUCCESS: "green",
    BackupStatus.PARTIAL: "yellow",
    BackupStatus.FAILED: "red",
    BackupStatus.IN_PROGRESS: "cyan",
}
SHOWN = 10
BATCH = 1000  # lines that are printed together
WIDE = 110  # columns for whole names
ENDLESS = 100_000  # columns of a pipe, which cuts nothing


def printed(*parts: str | Text | Table, err: bool = False) -> None:
    """Print texts and tables, on standard output or the other one; paths are never cut or broken."""
    console = Console(highlight=False, markup=False, emoji=False, stderr=err)
    if console.is_terminal:
        _print(console, parts)
        return
    console.width = ENDLESS
    with console.capture() as captured:
        _print(console, parts)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), err=err)


def _print(console: Console, parts: Iterable[str | Text | Table]) -> None:
    for part in parts:
        # The name of a folder among the backups may be anything.
        shown = printable_lines(part) if isinstance(part, str) else part
        console.print(shown, soft_wrap=not isinstance(part, Table))


def as_json(value: Any) -> None:
    """Print what a program reads; names that are no UTF-8 keep their bytes as lone surrogates."""
    typer.echo(json.dumps(value, indent=2))


def as_json_list(values: Iterable[Any]) -> bool:
    """Print a list that a program reads, as `as_json` does, some items at a time; return whether there was one."""
    texts = (f"  {json.dumps(value, indent=2)}".replace("\n", "\n  ") for value in values)
    begun = False
    for batch in batches(texts):
        typer.echo(("," if begun else "[") + "\n" + ",\n".join(batch), nl=False)
        begun = True
    typer.echo("\n]" if begun else "[]")
    return begun


def lines(texts: Iterable[str]) -> bool:
    """Print lines, some at a time; return whether there was one."""
    begun = False
    for batch in batches(texts):
        typer.echo("\n".join(batch))
        begun = True
    return begun


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield texts some at a time, until all are read or nobody reads the output any more."""
    left = iter(texts)
    while (batch := list(islice(left, BATCH))) and not getattr(sys.stdout, "unread", False):
        yield batch


def listed(backups: Collection[BackupMetadata], unreadable: dict[str, str], corrupt: Collection[str]) -> Table:
    """Return the table of backups; on a narrow terminal with the beginnings of their names, which say enough."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("backup", "age", "status", "type"):
        table.add_column(title, no_wrap=True)
    for title in ("files", "size"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("tags")
    table.add_column("description")
    for backup in backups:
        words = (", ".join(backup.tags), backup.description)
        table.add_row(
            printable(_short(backup.backup_id)),
            age(backup),
            status(backup, corrupt),
            backup.backup_type.value,
            str(backup.files_count),
            formatting.size(backup.size_bytes),
            *(Text(printable(word)) for word in words),
        )
    for name, reason in unreadable.items():
        table.add_row(printable(_short(name)), "", Text("unreadable", "red"), "", "", "", "", Text(printable(reason)))
    return table


def files(count: int, size: int) -> str:
    """Return how many files of what size together."""
    return f"{count} file{'' if count == 1 else 's'}, {formatting.size(size)}"


def age(backup: BackupMetadata, word: str = "") -> str:
    """Return how old a backup is, with a word behind it, or that a clock that was ahead made it one of the future."""
    seconds = (SYSTEM_CLOCK.now() - backup.created).total_seconds()
    return "in the future" if seconds < -SKEW else f"{formatting.seconds(max(0.0, seconds))} {word}".rstrip()


def status(backup: BackupMetadata, corrupt: Collection[str] = ()) -> Text:
    """Return how a backup ended, in its colour, or that it, or what it is based on, was found to be corrupt since."""
    if backup.backup_id in corrupt:
        return Text("corrupt", "bold red")
    return Text(backup.status.value, STYLES[backup.status])


class Held(NamedTuple):
    """Files of a backup, as much of them as is shown.

    Args:
        roots: The named paths, each with its place.
        first: The paths of the first files.
        files: How many files and links there are.
    """

    roots: Sequence[str] = ()
    first: Sequence[str] = ()
    files: int = 0


def held_files(found: Iterable[StoredFile]) -> Held:
    """Return what is shown of files, of which few are in memory at once."""
    roots: list[str] = []
    first: list[str] = []
    count = 0
    for item in found:
        if item.stored.count("/") == 1:
            roots.append(f"{printable(item.stored)} ← {printable(item.path)}")
        if item.type != "folder":
            count += 1
            if count <= SHOWN:
                first.append(printable(item.path))
    return Held(roots, first, count)


def described(backup: BackupMetadata, folder: object, held: Held, corrupt: Collection[str]) -> Table:
    """Return all there is to say of one backup and what it holds."""
    parts = (
        f"{kind}: {files(part.files, part.size_bytes)}, {part.seconds:.1f} s" for kind, part in backup.parts.items()
    )
    facts: dict[str, str | Text] = {
        "backup": backup.backup_id,
        "status": status(backup, corrupt),
        "type": backup.backup_type.value + (f", holds what changed since {backup.base}" if backup.base else ""),
        "created": f"{backup.created:%Y-%m-%d %H:%M:%S} UTC, {age(backup, 'ago')}",
        "took": f"{backup.duration:.1f} s",
        "size": files(backup.files_count, backup.size_bytes),
        "parts": "\n".join(parts),
        "roots": "\n".join(held.roots),
        "files": _some(held, backup.backup_id),
        "left out": "\n".join(printable(str(problem)) for problem in backup.left_out or ()),
        "tags": printable(", ".join(backup.tags)),
        "description": printable(backup.description),
        "error": "" if backup.problems else printable(backup.error_message),
        "missing": "\n".join(printable(str(problem)) for problem in backup.problems),
        "folder": printable(str(folder)),
    }
    return pairs(facts)


def _some(held: Held, backup_id: str) -> str:
    left = held.files - len(held.first)
    more = [f"… and {left} more: peak-observe backup ls {backup_id}"] if left else []
    return "\n".join((*held.first, *more))


def pairs(facts: dict[str, str | Text]) -> Table:
    """Return names and values below each other, without those that are empty."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            table.add_row(printable(name), value if isinstance(value, Text) else Text(printable_lines(value)))
    return table


def groups(found: dict[str, Collection[str]], *, counted: Collection[str] = ()) -> Text:
    """Return paths below what they have in common, the first few of each; those `counted` as their number only."""
    names, counts = (max(map(len, column)) for column in (found, [str(len(paths)) for paths in found.values()]))
    text = Text()
    for name, paths in found.items():
        shown = [] if name in counted else [printable(path) for path in list(paths)[:SHOWN]]
        if len(paths) > SHOWN and shown:
            shown.append(f"… and {len(paths) - SHOWN} more")
        text.append(f"{name:{names}}", "bold")
        text.append(f"  {len(paths):{counts}}  ")
        text.append(f"\n{'':{names + counts + 4}}".join(shown) + "\n")
    text.rstrip()
    return text


def _short(name: str) -> str:
    console = Console()
    stamp = re.fullmatch(r"backup_(\d{16})_.*", name)
    return stamp[1] if stamp and console.is_terminal and console.width < WIDE else name
