"""Choice of the newest backup that holds what is wanted, in a repository and in an off-site store."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.files.safe_read import is_gone
from peak_observe.backup_recovery.repository.manifest import STATE_FILE
from peak_observe.backup_recovery.repository.metadata import KINDS, BackupMetadata, BackupStatus
from peak_observe.backup_recovery.repository.repository import MANIFEST, METADATA

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path


class Choice(NamedTuple):
    """Chosen backup.

    Args:
        backup: The backup.
        newer: The newer ones, which do not hold all that is wanted.
        parts: The parts that are wanted.
        places: The paths that are wanted, as far as any backup holds them.
    """

    backup: BackupMetadata
    newer: Sequence[BackupMetadata]
    parts: Collection[str]
    places: Collection[str]


def lost(root: Path, backups: Iterable[BackupMetadata]) -> set[str]:
    """Return the names of the backups of a repository whose manifest or base is gone, so that nobody restores them."""
    return {
        one.backup_id
        for one in backups
        if one.manifest and (is_gone(root / one.backup_id / MANIFEST) or (one.base and _is_base_gone(root / one.base)))
    }


def corrupt_of(backups: Iterable[BackupMetadata], recorded: Collection[str], lost: Collection[str]) -> set[str]:
    """Return the names of the backups that are known to be corrupt, or are based on a corrupt one.

    Of a base whose manifest is gone the files may all be there, which is all that what is based on it needs.

    Args:
        backups: All backups.
        recorded: Those in which the last look at all bytes found something wrong.
        lost: Those that a look at their folders tells of.
    """
    damaged = {*recorded} - {*lost}
    return {*recorded, *lost, *(backup.backup_id for backup in backups if backup.base in damaged)}


def _is_base_gone(folder: Path) -> bool:
    """Return whether a folder is no base any more; where its manifest alone is gone, that of the other names files."""
    if not is_gone(folder / MANIFEST):
        return False
    return is_gone(folder / METADATA) or all(is_gone(folder / name) for name in (*KINDS, STATE_FILE))


def restorable(
    backups: Iterable[BackupMetadata],
    corrupt: Collection[str] = (),
    fits: Callable[[BackupMetadata], bool] = lambda _: True,
    *,
    allow_partial: bool = False,
) -> list[BackupMetadata]:
    """Return the backups that `latest` may mean, in their order: those that succeeded and are not known to be corrupt.

    Args:
        backups: All backups.
        corrupt: The names of those that are known to be corrupt, with what is based on them.
        fits: Returns whether a backup holds what is wanted.
        allow_partial: Whether it may be the partial ones, where one of them fits and none that succeeded does.
    """
    whole = [backup for backup in backups if backup.backup_id not in corrupt]
    good = [backup for backup in whole if backup.good]
    partial = [backup for backup in whole if backup.status is BackupStatus.PARTIAL]
    if allow_partial and any(map(fits, partial)) and not any(map(fits, good)):
        return partial
    return good


def newest_of_each(
    good: Sequence[BackupMetadata], kind: str, wanted: Collection[str], until: float = inf
) -> dict[str, BackupMetadata]:
    """Return of each source that is wanted of a part the newest backup that holds it, if there is one.

    One that does not tell what was named for the part holds all.

    Args:
        good: The backups that may be chosen, the oldest first.
        kind: The part.
        wanted: What is named for it, as `telling` returns it; `""` for whatever it holds.
        until: Unix time in seconds after which none counts that says it was made then.
    """
    newest: dict[str, BackupMetadata] = {}
    for backup in reversed(good):
        if kind in backup.parts and backup.created.timestamp() <= until:
            held = {*backup.sources_of(kind), ""}
            found = set(wanted) if len(held) == 1 else held & set(wanted)
            newest |= dict.fromkeys(found - newest.keys(), backup)
            if len(newest) == len(wanted):
                break
    return newest


def newest_holding(
    backups: Sequence[BackupMetadata],
    *,
    only: Collection[str] = (),
    named: Collection[str] = (),
    places: Callable[[Collection[str]], Iterable[str]],
) -> Choice | None:
    """Return the newest backup that holds what is wanted, or else of some of it; None if none holds the parts.

    Args:
        backups: Those that may be chosen, the newest first; at least one.
        only: The parts that were asked for.
        named: Without these, the parts that are wanted as far as any backup has them; without these too, those that
            something was named for when the newest one was made.
        places: Returns the paths that are wanted of parts.
    """
    held = {part for backup in backups for part in backup.parts}
    wanted = set(only) or held & set(named or backups[0].parts_named_for())
    found = [backup for backup in backups if wanted <= set(backup.parts) or not backup.parts]
    if not found and only:
        return None
    there = {place for place in places(wanted) if any(backup.holds(place) for backup in found)}
    found = [backup for backup in found if all(map(backup.holds, there))] or found or list(backups)
    return Choice(found[0], backups[: backups.index(found[0])], wanted, there)


def why_none(backups: Sequence[BackupMetadata], unreadable: Mapping[str, str], where: object) -> str:
    """Return why there is no backup that `latest` could mean, and which backup there is instead.

    Args:
        backups: All backups, the newest first.
        unreadable: Those whose metadata cannot be read, and why.
        where: The repository or store.
    """
    good = [backup for backup in backups if backup.good]
    partial = [backup for backup in backups if backup.status is BackupStatus.PARTIAL]
    if good:
        reason = f"none in {where} has succeeded and is known to be whole; {good[0].backup_id} is known to be corrupt"
    elif backups:
        newest = (partial or backups)[0]
        mend = ": `restore --allow-partial` brings back what there is" if partial else ""
        reason = f"none in {where} has succeeded; {newest.backup_id} is {newest.status.value}{mend}"
    elif unreadable:
        reason = f"none in {where} can be read"
    else:
        reason = f"none in {where} has succeeded"
    others = [f"{name} cannot be read: {why}" for name, why in sorted(unreadable.items(), reverse=True)]
    return "; ".join((reason, *others[:1]))
