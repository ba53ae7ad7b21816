"""The manager that the options of `peak-observe backup` lead to, and the backup that is meant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.repository.choice import newest_holding, restorable, why_none
from peak_observe.backup_recovery.repository.manifest import decode_name, source_of
from peak_observe.backup_recovery.repository.metadata import KINDS, STATE, BackupStatus, telling
from peak_observe.backup_recovery.restore.crash_recovery import UnendedError
from peak_observe.backup_recovery.restore.layout import DUMPS
from peak_observe.cli.backup import config
from peak_observe.cli.backup.config import Settings
from peak_observe.cli.options import DEFAULT_REPOSITORY, LATEST, found_file
from peak_observe.errors import BackupNotFoundError, LoadError, UsageError
from peak_observe.resilience.health.references import load
from peak_observe.support.redact import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from peak_observe.backup_recovery import BackupMetadata
    from peak_observe.backup_recovery.repository.choice import Choice

USUAL = ("recovery", "recovery_manager", "manager", "backups")
"""Names under which a manager is looked for in a module that names none."""


def settings(file: Path | None, **given: Any) -> Settings:
    """Return what a file says, with what the options add to its lists and replace of the rest.

    Raises:
        ConfigError: The file makes no sense.
    """
    found = _read(file, app=given.get("app"))
    changed: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    for key, value in changed.items():
        changed[key] = (*getattr(found, key), *value) if isinstance(value, list) else value
    return found._replace(**changed)


def _read(file: Path | None, *, app: str | None) -> Settings:
    if file is None and app is None:  # a manager of one's own knows its paths
        file = found_file("backup")
    return Settings() if file is None else config.read(file)


class _CommandsManager(RecoveryManager):
    """Manager of a command: a restore that was cut off stops only what has to do with the same files.

    A program must not begin with files between old and new; whoever is at a terminal has to find the way out.
    """

    unended = ""

    _makes = False  # only a backup makes one: a slip in --repository must leave no trace in somebody's folder

    def _settle(self) -> None:
        try:
            super()._settle()
        except UnendedError as error:
            self.unended = str(error)


class _BackupsManager(_CommandsManager):
    """Manager of the command that makes a backup."""

    _makes = True


def repository_of(found: Settings) -> tuple[Path, str | None]:
    """Return the folder with the backups that is meant, and the label of its metrics; None for the folder's name.

    Raises:
        UsageError: An option contradicts the manager of a module.
        LoadError: The module cannot be imported or has no manager.
    """
    if found.app is None:
        return found.repository or DEFAULT_REPOSITORY, found.name
    manager = _of_app(found.app, found)
    return manager.backup_root, manager._repository.name  # noqa: SLF001 - what a command does, it does as the manager


def fetched(found: Settings, folder: Path) -> RecoveryManager:
    """Return a manager of backups that were fetched into a folder, by which all is named as by the one that is meant.

    Raises:
        UsageError: An option makes no sense.
    """
    theirs = None
    if found.app is not None:
        try:
            theirs = _of_app(found.app, found)
        except LoadError as error:  # as on a new host, where its program is not yet
            note(f"nothing is named by it: {error}")
    manager = _manager(found._replace(repository=folder), new=False)
    dumps = manager.data_backup.dumps
    if theirs is None:
        dumps.folder = Path(f"{(found.repository or DEFAULT_REPOSITORY).absolute()}{DUMPS}")
    else:
        manager.config_backup.paths.named.extend(theirs.config_backup.paths.named)
        manager.data_backup.paths.named.extend(theirs.data_backup.paths.named)
        manager.state_snapshot = theirs.state_snapshot
        dumps.folder = theirs.data_backup.dumps.folder
    _name(manager, found)
    return manager


def opened(found: Settings, *, new: bool = False, reads: bool = False) -> RecoveryManager:
    """Return the manager that is meant.

    Args:
        found: What is said of it.
        new: Whether the repository may have to be made.
        reads: Whether the command only reads, so that a restore that cannot be brought to its end is told of here.

    Raises:
        UsageError: There is no such folder, or an option makes no sense.
        LoadError: The module cannot be imported or has no manager.
        BackupError: The folder cannot be made.
    """
    manager = _manager(found, new=new) if found.app is None else _of_app(found.app, found)
    _name(manager, found)
    if reads and isinstance(manager, _CommandsManager) and manager.unended:
        note(manager.unended)
    return manager


def _name(manager: RecoveryManager, found: Settings) -> None:
    """Name for a manager what the settings name.

    Raises:
        UsageError: That makes no sense.
    """
    for part, paths in ((manager.config_backup, found.config), (manager.data_backup, found.data)):
        for path in paths:
            try:
                part.paths.add(path, written=found.written.get(path))
            except ValueError as error:
                raise UsageError(str(error)) from None
    for name, command in found.commands.items():
        try:
            manager.data_backup.add_command(name, command.command, timeout=command.timeout, shell=command.shell)
        except ValueError as error:
            raise UsageError(str(error)) from None


def _manager(found: Settings, *, new: bool) -> RecoveryManager:
    folder = found.repository or DEFAULT_REPOSITORY
    if not new and not folder.is_dir():
        raise UsageError(f"there is no repository {folder}: --repository, --config.file or --app names another")
    try:
        return (_BackupsManager if new else _CommandsManager)(
            folder, name=found.name, max_age=found.max_age, exclude=found.exclude, append_only=found.append_only
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def _of_app(target: str, found: Settings) -> RecoveryManager:
    own = [key for key in ("repository", "name", "max_age", "exclude", "append_only") if getattr(found, key)]
    if own:
        raise UsageError(f"the RecoveryManager of {target} has its own {own[0]}: leave that out")
    sys.path.insert(0, "")  # modules of the working directory, as with `python -m`
    named = load(target)
    if ":" not in target:
        candidates = (getattr(named, name, None) for name in USUAL)
        named = next((item for item in candidates if isinstance(item, RecoveryManager)), named)
    if not isinstance(named, RecoveryManager):
        where = f"{target}:NAME" if ":" not in target else "MODULE:NAME"
        raise LoadError(target, f"it is no RecoveryManager and has none named {', '.join(USUAL)}; give {where}")
    return named


def identified(manager: RecoveryManager, which: str, *, whole: bool = True) -> str:
    """Return the name of the backup that is meant; one that nothing begins with is left to the manager.

    Args:
        manager: The manager.
        which: Its name, the beginning of it, or `latest`.
        whole: Whether `latest` passes over those that are known to be corrupt, which is said.

    Raises:
        BackupNotFoundError: The newest one of what is named that succeeded is meant, and none has.
        UsageError: Several begin so.
    """
    if which == LATEST:
        newest = manager.latest(whole=whole)
        if whole:
            _tell_of_corrupt(manager, newest)
        return newest.backup_id
    names = [*(backup.backup_id for backup in manager.list_backups()), *manager.unreadable_backups()]
    if which in names:
        return which
    found = [name for name in names if which and (name.startswith(which) or name[len("backup_") :].startswith(which))]
    if len(found) > 1:
        raise UsageError(f"{which!r} is the beginning of {len(found)} backups, of {found[0]} too: write more of it")
    return found[0] if found else which


def _tell_of_corrupt(manager: RecoveryManager, chosen: BackupMetadata) -> None:
    """Say of each good backup that is as new as the chosen one whether it is known to be corrupt."""
    corrupt = manager.unrestorable_backups()
    for backup in manager.list_backups():
        if backup.order < chosen.order:
            return
        if backup.good and backup.backup_id in corrupt:
            alone = backup.backup_id == chosen.backup_id
            known = "is known to be corrupt, and no other is whole" if alone else "is newer, and known to be corrupt"
            note(f"{backup.backup_id} {known}")


def latest_to_restore(
    manager: RecoveryManager,
    only: Collection[str],
    *,
    also: Collection[str] = (),
    moved: Collection[str] = (),
    allow_partial: bool = False,
) -> str:
    """Return the newest good backup that holds the wanted parts, and say which newer ones do not.

    Args:
        manager: The manager.
        only: The parts that were asked for; without any those that something is named for, as far as any backup has
            them. On a new host nothing is named: there it is what was named when the newest one was made.
        also: Parts that are wanted beside these.
        moved: Paths where something lived that goes to another place now.
        allow_partial: Whether it may be a partial one where no good one holds the parts.

    Raises:
        BackupNotFoundError: There is none.
    """
    backups, where = manager.list_backups(), manager.backup_root
    has_names = bool(manager.named_sources() or moved)

    def fits(backup: BackupMetadata) -> bool:
        return set(only) <= set(backup.parts) and (not has_names or _holds_named(manager, backup, moved))

    good = restorable(backups, manager.unrestorable_backups(), fits, allow_partial=allow_partial)
    if not good:
        raise BackupNotFoundError(LATEST, why_none(backups, manager.unreadable_backups(), where))
    named = {*(manager.named_parts() or good[0].parts_named_for()), *also}
    olds = list(map(source_of, moved))
    choice = newest_holding(good, only=only, named=named, places=lambda of: {*manager.named_sources(*of), *olds})
    if choice is None:
        parts = " and ".join(part for part in KINDS if part in only)
        raise BackupNotFoundError(LATEST, f"no good one in {where} holds {parts}")
    _tell_of_corrupt(manager, choice.backup)
    partial = next((item for item in backups if item.status is BackupStatus.PARTIAL), None)
    if allow_partial and partial and partial.order > choice.backup.order:
        note(f"{partial.backup_id} is newer and partial: its name in the place of `latest` restores that one")
    notes(_shortcomings(choice, good))
    return choice.backup.backup_id


def _shortcomings(choice: Choice, backups: Collection[BackupMetadata]) -> Iterator[str]:
    """Yield what the chosen backup and newer ones do not hold of what is wanted, and which one does."""
    chosen, _, wanted, places = choice
    if not chosen.good:
        yield f"{chosen.backup_id} is partial: no backup that has succeeded holds what is wanted"
    for newer in choice.newer:
        yield f"{newer.backup_id} is newer and holds {_lacking(newer, wanted, places)}"
    for part in sorted(set(wanted) - set(chosen.parts)) if chosen.parts else ():
        other = next(backup.backup_id for backup in backups if part in backup.parts)
        yield f"{chosen.backup_id} holds no {part}: `restore {other} --only {part}` brings that back"
    for place in sorted(place for place in places if not chosen.holds(place)):
        other = next(backup.backup_id for backup in backups if backup.holds(place))
        yield f"{chosen.backup_id} holds nothing of {decode_name(place)}: {other} does"


def _lacking(backup: BackupMetadata, wanted: Collection[str], places: Collection[str]) -> str:
    """Say what a backup lacks of what is wanted."""
    if not set(wanted) <= set(backup.parts):
        return f"the {' and the '.join(backup.parts)} only"
    return f"nothing of {', '.join(decode_name(place) for place in sorted(places) if not backup.holds(place))}"


def _holds_named(manager: RecoveryManager, backup: BackupMetadata, moved: Collection[str]) -> bool:
    """Return whether a backup holds something of what is named, and not of another program that shares the folder."""
    # Whoever names no state provider takes the state of any program.
    kinds = [kind for kind in KINDS if kind != STATE or manager.named_sources(STATE)]
    sources = telling(source for kind in kinds for source in backup.sources_of(kind))
    return (
        any(backup.holds(old) for old in map(source_of, moved))
        or not sources
        or bool(sources & manager.named_sources())
    )


def note(text: str) -> None:
    """Say something that is no result, on standard error."""
    typer.echo(f"peak-observe: {printable(text)}", err=True)


def notes(texts: Iterable[str]) -> None:
    """Say several things."""
    for text in texts:
        note(text)
