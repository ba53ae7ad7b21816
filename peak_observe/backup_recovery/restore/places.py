"""Places of a restore: the path that each entry of a backup belongs to on this host, and which entries are wanted."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.repository.manifest import STATE_FILE, Entry, Manifest, Root, decode_name
from peak_observe.backup_recovery.restore.contents import Contents, Item, place_of
from peak_observe.backup_recovery.restore.plan import BLOCKED, Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

UNNAMED, UNMATCHED = "unnamed", "unmatched"
MEND = "add it, or restore into a folder of its own"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """Options of a restore: which parts of a backup, and the target.

    Args:
        kinds: The parts to restore.
        named: The paths that are named now, which may be written.
        inside: A folder that gets everything instead, laid out as in the backup.
        moved: Old paths and the new ones of what lay there; a path that is in it need not be named.
        paths: Only these files and folders, by their path, the end of it or a pattern; all if there are none.
        allow_partial: Whether a backup that misses something may be restored.
        numeric_owner: Whether owners go by their numbers and not by their names.
    """

    kinds: Collection[str]
    named: Collection[Root] = ()
    inside: Path | None = None
    moved: Mapping[str, str] = field(default_factory=dict)
    paths: Collection[str] = ()
    allow_partial: bool = False
    numeric_owner: bool = False


class Places:
    """Targets of the entries of a backup.

    Args:
        manifest: The backup.
        options: What is wanted.
    """

    def __init__(self, manifest: Manifest, options: RestoreOptions) -> None:
        self._options = options
        self._manifest = manifest
        self._targets: dict[str, str] = {}
        self._unnamed: list[Root] = []
        self._moved = {os.path.abspath(old): os.path.abspath(new) for old, new in options.moved.items()}
        self._used: set[str] = set()
        inside = None if options.inside is None else os.path.realpath(options.inside)
        self.inside = inside
        for root in manifest.roots:
            target = self._target(root) if inside is None else f"{inside}/{decode_name(root.stored)}"
            if target is None:
                self._unnamed.append(root)
            else:
                self._targets[root.stored] = target
        if inside is not None:
            self._targets[STATE_FILE] = f"{inside}/{STATE_FILE}"

    def _target(self, root: Root) -> str | None:
        source = decode_name(root.source)
        olds = [old for old in self._moved if source == old or source.startswith(old.rstrip("/") + "/")]
        if olds:
            old = max(olds, key=len)
            self._used.add(old)
            return os.path.realpath(self._moved[old] + source[len(old.rstrip("/")) :])
        # A path is found again by its name as well, so that a project's folder may have moved.
        match = [item for item in self._options.named if item.kind == root.kind and item.source == root.source] or [
            item for item in self._options.named if item.kind == root.kind and item.named == root.named
        ]
        return os.path.realpath(decode_name(match[0].source)) if match else None

    def problems(self) -> Iterator[Refusal]:
        """Yield the wanted paths that have no place, and what of the options leads nowhere."""
        wanted = {place_of(entry) for entry in self.entries}
        for root in self._unnamed:
            if root.kind in self._options.kinds and root.stored in wanted:
                yield Refusal(
                    UNNAMED,
                    f"{decode_name(root.source)} is not named{self._hint(root)}: {MEND}",
                )
        sources = ", ".join(sorted(decode_name(root.source) for root in self._manifest.roots))
        for old in sorted(self._moved.keys() - self._used) if self.inside is None else ():
            yield Refusal(UNMATCHED, f"nothing in the backup lay at {old}; it holds {sources}")
        for path in self._options.paths:
            if not any(True for _ in self._matching([path])):
                yield Refusal(UNMATCHED, f"no file in the backup is {path}; it holds {sources}")
        if self._moved and self.inside is None:
            yield from self._clashes()

    def _clashes(self) -> Iterator[Refusal]:
        """Yield where several paths would become one, of which only the first could be restored."""
        roots = {root.stored: decode_name(root.source) for root in self._manifest.roots}
        found: dict[str, tuple[str, str]] = {}
        known: set[tuple[str, str]] = set()
        for entry in self.entries:
            place, target = place_of(entry), self.of(entry)
            if target is None or place not in roots:
                continue
            source = roots[place] + decode_name(entry.stored[len(place) :])
            other, first = found.setdefault(target, (place, source))
            # A file that was named twice, by itself and in its folder, is one.
            if source != first and (other, place) not in known:
                known.add((other, place))
                yield Refusal(BLOCKED, f"{first} and {source} would both become {target}: give each its own place")

    def within(self, repository: Path) -> Iterator[Refusal]:
        """Yield the places that lie among the backups, which a restore would write over."""
        home = os.path.realpath(repository)
        if self.inside is not None:
            if f"{self.inside}/".startswith(f"{home}/"):
                yield Refusal(BLOCKED, f"{self.inside} lies in the repository: name another folder")
            return
        for target in self._targets.values():
            name = target[len(home) + 1 :].partition("/")[0] if target.startswith(f"{home}/") else ""
            if name.startswith((".", "backup_")):
                yield Refusal(BLOCKED, f"{target} lies among the backups: name another place")

    def _hint(self, root: Root) -> str:
        """Return where it probably lies now: what is named has the same last part."""
        name = root.source.rpartition("/")[2]
        alike = [item.source for item in self._options.named if item.source.rpartition("/")[2] == name]
        return f", {decode_name(alike[0])} is" if len(alike) == 1 else ""

    @cached_property
    def entries(self) -> list[Entry]:
        """The entries that are wanted."""
        kinds = self._options.kinds
        if not self._options.paths:
            return [entry for entry in self._manifest.entries if entry.kind in kinds]
        return [item.entry for item in self._matching(self._options.paths)]

    def _matching(self, paths: Collection[str]) -> Iterator[Item]:
        manifest = self._manifest
        return Contents(manifest.roots, manifest.entries, self._options.kinds).matching(paths)

    def wanted(self) -> tuple[dict[str, Entry], set[str]]:
        """Return the wanted entries by the path they belong to, and the folders among them that only lead to others.

        The first of several entries that belong to one path wins.
        """
        chosen = self.entries
        parents: set[str] = set()
        if self._options.paths:
            held = {entry.stored for entry in chosen}
            above = {path for entry in chosen for path in _above(entry.stored)} - held
            chosen = [entry for entry in self._manifest.entries if entry.stored in held or entry.stored in above]
            parents = {target for entry in chosen if entry.stored in above if (target := self.of(entry))}
        found: dict[str, Entry] = {}
        for entry in chosen:
            target = self.of(entry)
            if target is not None:
                found.setdefault(target, entry)
        return found, parents

    def of(self, entry: Entry) -> str | None:
        """Return the path of an entry; None if nothing that is named now holds it."""
        place = place_of(entry)
        target = self._targets.get(place)
        if target is None or place == entry.stored:
            return target
        return target + decode_name(entry.stored[len(place) :])

    def moved(self) -> Iterator[tuple[str, str]]:
        """Yield the wanted paths that go to another place than they came from."""
        wanted = {place_of(entry) for entry in self.entries} if self.inside is None else ()
        for root in self._manifest.roots:
            source, target = decode_name(root.source), self._targets.get(root.stored)
            if root.stored in wanted and target is not None and target != os.path.realpath(source):
                yield source, target

    def folders(self) -> list[Path]:
        """Return folders of the restored paths, in which a journal can lie."""
        places = [self.inside] if self.inside is not None else list(self._targets.values())
        return list(dict.fromkeys(_nearest_folder(place) for place in places))

    def roots(self) -> Iterator[str]:
        """Yield the paths of all roots that are restored as a whole."""
        for stored, target in self._targets.items():
            if stored.partition("/")[0] in self._options.kinds and not self._options.paths:
                yield target


def _above(stored: str) -> Iterator[str]:
    while "/" in stored:
        stored = stored.rpartition("/")[0]
        yield stored


def _nearest_folder(path: str) -> Path:
    found = Path(path)
    while not found.is_dir():
        found = found.parent
    return found
