"""Targets of a restore that would do harm: backups lie there, or several would lie in one another."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.repository.leftovers import PREFIXES
from peak_observe.backup_recovery.repository.repository import OWN
from peak_observe.backup_recovery.restore.plan import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MISPLACED = "misplaced"
OURS = (OWN, "backup_", *PREFIXES)
"""Begin the names of what a repository keeps in its folder."""


class Target(NamedTuple):
    """Place that a named path goes to.

    Args:
        source: The path that was named.
        place: The path that it becomes, absolute and without symbolic links.
        moved: Whether somebody has chosen the place for this restore.
        wanted: Whether something of it is restored.
    """

    source: str
    place: str
    moved: bool
    wanted: bool


class Backups:
    """Folders of backups: this repository by whatever path one gets to it, and any other one.

    Args:
        root: The folder of the repository.
    """

    def __init__(self, root: Path) -> None:
        self.home = os.path.realpath(root)
        self._identity = cache(_identity)
        self._home = self._identity(self.home)
        self._kept: set[tuple[int, int] | None] = set()
        # A folder of it that is mounted elsewhere has the same inode number there.
        with suppress(OSError):  # whoever may not list it names each backup
            found = [item.path for item in os.scandir(self.home) if item.name.startswith(OURS)]
            self._kept = set(map(self._identity, found))

    def name_of(self, path: str) -> str | None:
        """Return the name that a path has in the repository that it is in, or the first part of it.

        It is empty for the repository itself; None for a path outside of all.
        """
        below = ""
        while True:
            identity = self._identity(path or "/")
            if identity and identity in self._kept:
                return OWN
            if (identity and identity == self._home) or os.path.isdir(f"{path}/{OWN}"):
                return below
            if not path:
                return None
            path, _, below = path.rpartition("/")

    def hold(self, path: str, *, moved: bool) -> bool:
        """Return whether a restore to a path would write among backups.

        A program may live in the folder of its repository; what was named there goes back there.
        """
        name = self.name_of(path)
        return name is not None and (moved or name.startswith(OURS))


def overlaps(targets: Sequence[Target]) -> Iterator[Refusal]:
    """Yield the places that were chosen for one path and are those of another one, or would lie in it."""
    for one, other in combinations(targets, 2):
        if not (one.moved or other.moved) or one.source == other.source:
            continue
        if one.wanted and other.wanted:
            yield from _entangled(one, other)
        elif one.wanted != other.wanted:
            chosen, resting = (one, other) if one.wanted else (other, one)
            if chosen.moved and _same(chosen.place, resting.place):
                yield Refusal(MISPLACED, f"{chosen.place} is the place of {resting.source}: name another one")


def _entangled(one: Target, other: Target) -> Iterator[Refusal]:
    now = _relation(one.place, other.place)
    if now is None and _same(one.place, other.place):
        yield Refusal(MISPLACED, f"{one.place} and {other.place} are one folder: give each its own place")
    elif now and now != _relation(one.source, other.source):
        inner, outer = sorted((one, other), key=lambda target: len(target.place), reverse=True)
        yield Refusal(
            MISPLACED,
            f"{inner.source} would go to {inner.place}, into what {outer.source} becomes: give each its own place",
        )


def _relation(one: str, other: str) -> str | None:
    """Return the path from one of two paths to the other one that lies in it; empty for equal ones, None for others."""
    short, long = sorted((one.rstrip("/"), other.rstrip("/")), key=len)
    return long[len(short) :] if f"{long}/".startswith(f"{short}/") else None


def _same(one: str, other: str) -> bool:
    """Return whether two paths mean one folder, as where it is mounted twice or its name is told in another case."""
    found = _identity(one)
    return one == other or (os.path.isdir(one) and found is not None and found == _identity(other))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
