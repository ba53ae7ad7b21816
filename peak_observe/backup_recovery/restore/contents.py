"""Contents of a backup by path: listing, patterns, and one file by name."""

from __future__ import annotations

import os
import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.repository.manifest import FOLDER, STATE_FILE, Entry, Manifest, decode_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

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


def items(manifest: Manifest) -> Iterator[Item]:
    """Yield what is in a backup, a folder before what is in it."""
    sources = {root.stored: decode_name(root.source) for root in manifest.roots}
    for entry in manifest.entries:
        place, stored = place_of(entry), decode_name(entry.stored)
        if entry.stored == STATE_FILE:
            yield Item(STATE_FILE, stored, entry)
        elif place in sources:
            yield Item(sources[place] + decode_name(entry.stored[len(place) :]), stored, entry)


def matching(found: Sequence[Item], patterns: Collection[str]) -> Iterator[Item]:
    """Yield the items that one of several patterns means, with all that is in the folders among them.

    A pattern is matched against the path where something lived, the path in the backup's folder, and, without a slash,
    its name; `*`, `?` and `[…]` are those of the shell, and `*` crosses slashes. Without these it is a path, relative
    to the working directory or to the backup's folder, or else the end of one. So it is with `[…]` where there is such
    a path, and `*` and `?` mean themselves where there is one as a whole.
    """
    chosen = {item.stored for pattern in patterns for item in _chosen(found, pattern)}
    folders = {item.stored for item in found if item.stored in chosen and item.entry.type == FOLDER}
    for item in found:
        if item.stored in chosen:
            yield item
        elif item.stored.rpartition("/")[0] in folders:
            yield item
            if item.entry.type == FOLDER:
                folders.add(item.stored)


def _chosen(found: Sequence[Item], pattern: str) -> list[Item]:
    text = pattern.rstrip("/") or "/"
    whole = os.path.abspath(text)
    # The state has no other name than its own; a file of that name has a longer path.
    same = [item for item in found if item.path == text]
    same = same or [item for item in found if item.path == whole or item.stored == text]
    if same:
        return same
    end = f"/{text.removeprefix('./')}"
    ends = [item for item in found if item.path.endswith(end) or item.stored.endswith(end)]
    if not _PATTERN.search(pattern) or (ends and not _WILD.search(pattern)):
        return ends
    matches = re.compile(translate(pattern)).fullmatch
    named = "/" not in pattern
    return [
        item
        for item in found
        if matches(item.path) or matches(item.stored) or (named and matches(item.path.rpartition("/")[2]))
    ]
