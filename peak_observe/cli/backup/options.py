"""Options that several commands of `peak-observe backup` share, and the manager that they lead to."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.cli.backup import config
from peak_observe.cli.backup.config import Settings
from peak_observe.errors import BackupNotFoundError, LoadError, UsageError
from peak_observe.resilience.health.references import load

DEFAULT = Path("backups")
USUAL = ("recovery", "recovery_manager", "manager", "backups")
"""Names under which a manager is looked for in a module that names none."""
LATEST = "latest"

File = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="TOML file with a table `backup`.")]
Repository = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder with the backups.", show_default=str(DEFAULT)),
]
App = Annotated[
    str | None,
    typer.Option(metavar="MODULE[:NAME]", help="Module with a RecoveryManager, which knows its repository and state."),
]
Config = Annotated[
    list[Path] | None,
    typer.Option("--config", metavar="PATH", help="File or folder of the configuration; may be repeated."),
]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="PATH", help="File or folder of the data; may be repeated."),
]
Excluded = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="What is left out, as '*.log' or 'cache/'; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Which = Annotated[
    str,
    typer.Argument(metavar="BACKUP", help="Its name, the beginning of it, or 'latest': the newest that succeeded."),
]


def settings(file: Path | None, **given: Any) -> Settings:
    """Return what a file says, with what the options add to its lists and replace of the rest.

    Raises:
        ConfigError: The file makes no sense.
    """
    found = Settings() if file is None else config.read(file)
    changed: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    for key, value in changed.items():
        changed[key] = (*getattr(found, key), *value) if isinstance(value, list) else value
    return found._replace(**changed)


def opened(found: Settings, *, new: bool = False) -> RecoveryManager:
    """Return the manager that is meant.

    Args:
        found: What is said of it.
        new: Whether the repository may have to be made.

    Raises:
        UsageError: There is no such folder, or an option makes no sense.
        LoadError: The module cannot be imported or has no manager.
        BackupError: The folder cannot be made.
    """
    manager = _manager(found, new=new) if found.app is None else _of_app(found.app, found)
    for path in found.config:
        manager.config_backup.add_config(path)
    for path in found.data:
        manager.data_backup.add_data_path(path)
    return manager


def _manager(found: Settings, *, new: bool) -> RecoveryManager:
    folder = found.repository or DEFAULT
    if not new and not folder.is_dir():
        raise UsageError(f"there is no repository {folder}: --repository, --file or --app names another")
    try:
        return RecoveryManager(folder, name=found.name, max_age=found.max_age, exclude=found.exclude)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _of_app(target: str, found: Settings) -> RecoveryManager:
    own = [key for key in ("repository", "name", "max_age", "exclude") if getattr(found, key)]
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


def identified(manager: RecoveryManager, which: str) -> str:
    """Return the name of the backup that is meant; one that nothing begins with is left to the manager.

    Raises:
        BackupNotFoundError: The newest one that succeeded is meant, and none has.
        UsageError: Several begin so.
    """
    backups = manager.list_backups()
    if which == LATEST:
        good = [backup.backup_id for backup in backups if backup.good]
        if not good:
            raise BackupNotFoundError(LATEST, f"none in {manager.backup_root} has succeeded")
        return good[0]
    names = [*(backup.backup_id for backup in backups), *manager.unreadable_backups()]
    if which in names:
        return which
    found = [name for name in names if which and (name.startswith(which) or name[len("backup_") :].startswith(which))]
    if len(found) > 1:
        raise UsageError(f"{which!r} is the beginning of {len(found)} backups, of {found[0]} too: write more of it")
    return found[0] if found else which
