"""Commands that bring a restore to its end, as messages name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.backup_recovery.files.helper_names import MARK
from peak_observe.backup_recovery.repository.advice import command, paired
from peak_observe.backup_recovery.repository.manifest import decode_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peak_observe.backup_recovery.repository.repository import Repository
    from peak_observe.backup_recovery.restore.places import RestoreOptions


def command_of(repository: Repository, options: RestoreOptions, exact: Iterable[tuple[str, str]] = ()) -> str:
    """Return the command that brings a restore with these options to its end, wherever its journal lies.

    Args:
        repository: The repository.
        options: The options.
        exact: Each named path with its new one: on a host without a repository no backup tells them.
    """
    words: list[str] = []
    moved = options.moved if repository.home else {**options.moved, **dict(exact)}
    if options.inside is not None:
        words += ["--to", str(options.inside)]
    else:
        words += [word for old, new in moved.items() for word in ("--map", paired(old, new))]
        words += [word for root in options.named for word in (f"--{root.kind}", decode_name(root.source))]
    return command("recover", repository.home, *words)


def repository_of(journal: Path) -> Path:
    """Return the repository that a journal lies in."""
    return journal.parent.parent if journal.parent.name == MARK else journal.parent


def recovers(journal: Path) -> str:
    """Return the command that brings a restore to its end whose journal lies in a repository."""
    return command("recover", repository_of(journal))
