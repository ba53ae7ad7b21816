"""Places of a restore: the path that each entry of a backup belongs to on this host, and which entries are wanted."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.create.sources import checked_path
from peak_observe.backup_recovery.files.helper_names import leads_to_helper
from peak_observe.backup_recovery.repository.manifest import (
    FOLDER,
    STATE_FILE,
    Entry,
    Manifest,
    Root,
    decode_name,
)
from peak_observe.backup_recovery.restore.contents import Contents, Item, place_of
from peak_observe.backup_recovery.restore.path_checks import lost_link, nearest_folder
from peak_observe.backup_recovery.restore.plan import BLOCKED, Refusal
from peak_observe.backup_recovery.restore.state_file import STATE_PLACE
from peak_observe.backup_recovery.restore.targets import MISPLACED, Backups, Target, overlaps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

UNNAMED, UNMATCHED, INNER, LOST = "unnamed", "unmatched", "inner", "lost"
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
        state_file: A file that the state is written to as well.

    Raises:
        ValueError: A path is empty, or `inside` and `moved` both say where to.
    """

    kinds: Collection[str]
    named: Collection[Root] = ()
    inside: Path | None = None
    moved: Mapping[str, str] = field(default_factory=dict)
    paths: Collection[str] = ()
    allow_partial: bool = False
    numeric_owner: bool = False
    state_file: Path | None = None

    def __post_init__(self) -> None:
        """Look whether the paths make sense together."""
        for path in (self.inside, self.state_file, *self.moved, *self.moved.values()):
            if path is not None:
                checked_path(path)
        if self.inside is not None and self.moved:
            raise ValueError("restore_to is one folder for all, and moved a place for each path: give one of them")


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
        self._moved = {os.path.abspath(old): os.path.join(os.getcwd(), new) for old, new in options.moved.items()}
        self._chosen: dict[str, str] = {}  # the old path that was mapped, by the root that it moves
        self._found: dict[str, str] = {}  # the path that is named now, by the root that it is the place of
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
            old = self._chosen[root.stored] = max(olds, key=len)
            return os.path.realpath(self._moved[old].rstrip("/") + source[len(old.rstrip("/")) :] or "/")
        # A path is found again by its name as well, so that a project's folder may have moved.
        match = [item for item in self._options.named if item.kind == root.kind and item.source == root.source] or [
            item for item in self._options.named if item.kind == root.kind and item.named == root.named
        ]
        if not match:
            return None
        self._found[root.stored] = decode_name(match[0].source)
        return os.path.realpath(self._found[root.stored])

    def problems(self) -> Iterator[Refusal]:
        """Yield what of the options leads nowhere or astray, and the wanted paths that have no place."""
        sources = ", ".join(sorted(decode_name(root.source) for root in self._manifest.roots))
        for old in self._moved:
            yield from self._unmoved(old, sources)
        for path in self._options.paths:
            if not any(True for _ in self._matching([path])):
                yield Refusal(UNMATCHED, f"no file in the backup is {path}; it holds {sources}")
        for root in self._unnamed:
            if root.kind in self._options.kinds and root.stored in self._places_wanted:
                yield Refusal(
                    UNNAMED,
                    f"{decode_name(root.source)} is not named{self._hint(root)}: {MEND}",
                )
        yield from self._misplaced()
        yield from self._lost()
        if self._moved:
            yield from self._clashes()
            yield from overlaps(list(self._all()))
        for name in (*self._options.kinds, STATE_FILE) if self.inside is not None else ():
            if os.path.islink(f"{self.inside}/{name}"):
                yield Refusal(BLOCKED, f"{self.inside}/{name} is a symbolic link: remove it")

    def _unmoved(self, old: str, sources: str) -> Iterator[Refusal]:
        """Yield that no named path lay where one of the old paths is."""
        below = old.rstrip("/") + "/"
        roots = {root.stored: decode_name(root.source) for root in self._manifest.roots}
        if any(f"{source}/".startswith(below) for source in roots.values()):
            return
        if any(f"{item.path}/".startswith(below) for item in Contents(self._manifest.roots, self._manifest.entries)):
            holder = next(source for source in roots.values() if below.startswith(source.rstrip("/") + "/"))
            yield Refusal(INNER, f"{old} lies in {holder}, which goes to one place as a whole; it holds {sources}")
        else:
            yield Refusal(UNMATCHED, f"nothing in the backup lay at {old}; it holds {sources}")

    def _misplaced(self) -> Iterator[Refusal]:
        """Yield the places that somebody has chosen and where nothing can go."""
        if self.inside == "/":
            yield Refusal(MISPLACED, "/ is no folder of its own: name another one")
        if self._options.inside is not None and (problem := lost_link(self._options.inside)):
            yield Refusal(MISPLACED, f"{problem}: name another folder")
        for target in self._all():
            if target.wanted and target.moved and target.place == "/":
                yield Refusal(MISPLACED, f"{target.source} cannot become the folder /: name another place")
        for new in dict.fromkeys(self._moved[old] for old in self._chosen.values()):
            if problem := lost_link(new):
                yield Refusal(MISPLACED, f"{problem}: name another place")
        files = {entry.stored for entry in self.entries if entry.type != FOLDER}
        for stored, old in self._chosen.items():
            new = self._moved[old]
            if stored in files and new.endswith("/") and self._targets[stored] == os.path.realpath(new):
                yield Refusal(MISPLACED, f"{old} is a file, and {new} a folder by its slash: write its whole new path")

    def _lost(self) -> Iterator[Refusal]:
        """Yield the symbolic links to nothing on the way to named paths, as where a disk is not mounted.

        A link into another folder that is restored leads somewhere when all is done, and a file that is gone from a
        folder that is there is made anew.
        """
        files = {entry.stored for entry in self.entries if entry.type != FOLDER}
        wanted = [target.place for target in self._all() if target.wanted]
        for stored, named in self._found.items():
            place = self._targets[stored]
            if stored not in self._places_wanted or any(place.startswith(f"{other}/") for other in wanted):
                continue
            is_made = stored in files and os.path.isdir(os.path.dirname(place))
            if not is_made and (problem := lost_link(named)):
                yield Refusal(LOST, f"{named} cannot be restored: {problem}: mount its disk, or remove the link")

    def _all(self) -> Iterator[Target]:
        """Yield where each named path goes, or lives while it has no place."""
        for root in self._manifest.roots:
            source = decode_name(root.source)
            place = self._targets.get(root.stored, os.path.realpath(source))
            wanted = root.stored in self._targets and root.stored in self._places_wanted
            yield Target(source, place, self.inside is not None or root.stored in self._chosen, wanted)

    @cached_property
    def _places_wanted(self) -> set[str]:
        return {place_of(entry) for entry in self.entries}

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
        """Yield the places that lie among backups, which a restore would write over."""
        backups = Backups(repository)
        if self.inside is not None and backups.hold(self.inside, moved=True):
            yield Refusal(MISPLACED, f"{self.inside} lies in the repository: name another folder")
            return
        for _, place, moved, wanted in self._all():
            if wanted and (backups.hold(place, moved=moved) or self._reaches(backups, place, moved=moved)):
                yield Refusal(MISPLACED, f"{place} lies among the backups: name another place")
        state = self._options.state_file
        if state is not None and backups.hold(os.path.realpath(state), moved=True):
            yield Refusal(STATE_PLACE, f"{state} lies among the backups: name another file")

    def _reaches(self, backups: Backups, place: str, *, moved: bool) -> bool:
        """Return whether something in a folder that the repository lies in goes into the repository."""
        if not f"{backups.home}/".startswith(f"{place.rstrip('/')}/"):
            return False
        targets = [self.of(entry) or "" for entry in self.entries if entry.type != FOLDER]
        return any(
            backups.hold(target, moved=moved) for target in targets if f"{target}/".startswith(f"{backups.home}/")
        )

    def _hint(self, root: Root) -> str:
        """Return where it probably lies now: what is named has the same last part."""
        name = root.source.rpartition("/")[2]
        alike = [item.source for item in self._options.named if item.source.rpartition("/")[2] == name]
        return f", {decode_name(alike[0])} is" if len(alike) == 1 else ""

    @cached_property
    def entries(self) -> list[Entry]:
        """The entries that are wanted; what a restore had on its way when the backup was made is not."""
        return [entry for entry in self._asked if not self._is_helper(entry)]

    @property
    def helpers(self) -> list[str]:
        """Where what lies that is asked for and is no file of anybody's, but what a restore had on its way."""
        return [entry.stored for entry in self._asked if self._is_helper(entry)]

    def _is_helper(self, entry: Entry) -> bool:
        # As a root of its own it may get another name.
        return leads_to_helper(entry.stored) or (
            place_of(entry) == entry.stored and leads_to_helper(self._targets.get(entry.stored, ""))
        )

    @cached_property
    def _asked(self) -> list[Entry]:
        kinds = self._options.kinds
        if not self._options.paths:
            return [entry for entry in self._manifest.entries if entry.kind in kinds]
        chosen = {item.entry.stored for item in self._matching(self._options.paths)}
        if self._options.state_file is not None:
            chosen.add(STATE_FILE)
        return [entry for entry in self._manifest.entries if entry.stored in chosen]

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
        wanted = self._places_wanted if self.inside is None else ()
        for root in self._manifest.roots:
            source, target = decode_name(root.source), self._targets.get(root.stored)
            if root.stored in wanted and target is not None and target != os.path.realpath(source):
                yield source, target

    def folders(self) -> list[Path]:
        """Return folders of the restored paths, in which a journal can lie."""
        places = [self.inside] if self.inside is not None else list(self._targets.values())
        return list(dict.fromkeys(nearest_folder(place) for place in places))

    def roots(self) -> Iterator[str]:
        """Yield the paths of all roots that are restored as a whole."""
        for stored, target in self._targets.items():
            if stored.partition("/")[0] in self._options.kinds and not self._options.paths:
                yield target


def _above(stored: str) -> Iterator[str]:
    while "/" in stored:
        stored = stored.rpartition("/")[0]
        yield stored
