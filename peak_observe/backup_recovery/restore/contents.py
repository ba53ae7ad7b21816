"""Contents of a backup by path: listing, patterns, and one file by name."""

from __future__ import annotations

import os
import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.repository.manifest import FOLDER, STATE_FILE, Entry, decode_name
from peak_observe.support.redact import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from peak_observe.backup_recovery.repository.manifest import Root

    Test = Callable[["Item"], bool]

_PATTERN, _WILD = re.compile(r"[*?\[]"), re.compile(r"[*?]")


class Item(NamedTuple):
    """One entry of a backup, by the path that it had.

    Args:
        path: The path where it lived, absolute; `state.json` for the state of the program.
        stored: Where it lies in the backup's folder, as a path of this system.
        entry: The entry.
    """

    path: str
    stored: str
    entry: Entry


def place_of(entry: Entry) -> str:
    """Return the place of the named path that an entry lies at or below."""
    return "/".join(entry.stored.split("/", 2)[:2])


class Contents:
    """Contents of a backup, a folder before what is in it; they may be iterated as often as the entries can be.

    Args:
        roots: The paths that were named.
        entries: The entries.
        kinds: Only these parts; None for all.
    """

    def __init__(self, roots: Iterable[Root], entries: Iterable[Entry], kinds: Collection[str] | None = None) -> None:
        self.sources = {root.stored: decode_name(root.source) for root in roots}
        self._entries = entries
        self._kinds = kinds

    def __iter__(self) -> Iterator[Item]:
        sources, kinds = self.sources, self._kinds
        for entry in self._entries:
            if kinds is not None and entry.kind not in kinds:
                continue
            place, stored = place_of(entry), decode_name(entry.stored)
            if entry.stored == STATE_FILE:
                yield Item(STATE_FILE, stored, entry)
            elif place in sources:
                yield Item(sources[place] + decode_name(entry.stored[len(place) :]), stored, entry)

    def matching(self, patterns: Collection[str]) -> Iterator[Item]:
        """Yield the items that one of several patterns means, with all that is in the folders among them.

        A pattern is matched against the path where something lived, the path in the backup's folder, and, without a
        slash, its name; `*`, `?` and `[…]` are those of the shell, and `*` crosses slashes. Without these it is a path,
        relative to the working directory or to the backup's folder, or else the end of one; it may lead through
        symbolic links, and to a folder above the named paths. So it is with `[…]` where there is such a path, and `*`
        and `?` mean themselves where there is one as a whole. A name that does not print may be written as it is shown.
        """
        tests = self._tests(patterns)
        folders: set[str] = set()
        for item in self if tests else ():
            if item.stored.rpartition("/")[0] in folders or any(test(item) for test in tests):
                yield item
                if item.entry.type == FOLDER:
                    folders.add(item.stored)

    def _tests(self, patterns: Collection[str]) -> list[Test]:
        """Return the test that each pattern stands for: of its meanings the first one that something has."""
        meanings = [list(_meanings(pattern, list(self.sources.values()))) for pattern in patterns]
        best = [len(tests) for tests in meanings]
        for item in self:
            for number, tests in enumerate(meanings):
                for rank in range(best[number]):
                    if tests[rank](item):
                        best[number] = rank
                        break
        return [tests[rank] for tests, rank in zip(meanings, best, strict=True) if rank < len(tests)]


def _meanings(pattern: str, sources: Collection[str]) -> Iterator[Test]:
    """Yield tests for what a pattern may mean, the closest first."""
    if not pattern:
        return  # a variable that is unset must not mean everything
    text = pattern.rstrip("/") or "/"
    whole = _absolute(text)
    # The state has no other name than its own; a file of that name has a longer path.
    yield lambda item: item.path == text
    yield lambda item: item.path == whole or item.stored == text
    others = _other_ways(text, whole, sources)
    yield lambda item: item.path in others
    above = tuple(_below({whole, *others}, sources))
    yield lambda item: f"{item.path}/".startswith(above)
    end = f"/{os.path.normpath(text)}"
    yield from _of_ends(pattern, end, sources)
    if _PATTERN.search(pattern):
        matches = re.compile(translate(pattern)).fullmatch
        named = "/" not in pattern
        yield lambda item: bool(
            matches(item.path) or matches(item.stored) or (named and matches(item.path.rpartition("/")[2]))
        )
    if "\\" in text:
        yield lambda item: not item.path.isprintable() and f"/{printable(item.path)}".endswith((end, f"/{text}"))


def _of_ends(pattern: str, end: str, sources: Collection[str]) -> Iterator[Test]:
    """Yield tests for the end of a path, also of one above those that were named; `*` and `?` are a pattern there."""
    if _WILD.search(pattern):
        return
    yield lambda item: item.path.endswith(end) or item.stored.endswith(end)
    tops = tuple(f"{top}/" for source in sources for top in _folders_above(source) if top.endswith(end))
    yield lambda item: item.path.startswith(tops)


def _absolute(path: str) -> str:
    try:
        found = os.path.abspath(path)
    except FileNotFoundError:  # the working directory is gone
        found = os.path.normpath(f"/{path}")
    return "/" + found.lstrip("/")  # two slashes at the beginning would stay


def _other_ways(text: str, whole: str, sources: Collection[str]) -> set[str]:
    """Return other paths that a text may mean: of one's home, through symbolic links, or without its first slash."""
    found = {_absolute(f"/{text}"), _absolute(os.path.expanduser(text)), os.path.realpath(whole)}
    for source in sources:
        real = os.path.realpath(source)
        found |= {source + path[len(real) :] for path in found | {whole} if f"{path}/".startswith(f"{real}/")}
    return found - {whole}


def _below(paths: Collection[str], sources: Iterable[str]) -> Iterator[str]:
    """Yield the beginnings of what was named below one of several paths, or is so by what symbolic links lead to."""
    tops = tuple(f"{path.rstrip('/')}/" for path in paths)
    return (f"{source}/" for source in sources if source.startswith(tops) or os.path.realpath(source).startswith(tops))


def _folders_above(path: str) -> Iterator[str]:
    while (path := path.rpartition("/")[0]) != "":
        yield path
