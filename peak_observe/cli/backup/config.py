"""TOML table `[backup]`, with `[backup.keep]` for retention."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.backup_recovery import RetentionPolicy
from peak_observe.backup_recovery.create.commands import HOUR, Command, check_name
from peak_observe.backup_recovery.create.sources import Exclude, checked_path
from peak_observe.backup_recovery.offsite import settings as offsite
from peak_observe.backup_recovery.offsite.settings import OffsiteSettings
from peak_observe.errors import ConfigError
from peak_observe.support import toml
from peak_observe.support.addresses import problem_of
from peak_observe.support.durations import seconds
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = {
    "repository": Path,
    "app": str,
    "name": str,
    "max_age": toml.DURATION,
    "config": toml.TEXTS,
    "data": toml.TEXTS,
    "exclude": toml.TEXTS,
    "append_only": toml.TEXTS,
    "keep": toml.TABLE,
    "offsite": toml.TABLE,
    "commands": toml.TABLE,
    "hooks": toml.TABLE,
    "ping_url": str,
}
HOOKS = {
    "before": toml.TEXTS,
    "after": toml.TEXTS,
    "timeout": toml.DURATION,
    "shell": bool,
}
COMMAND = {
    "command": toml.TEXTS,
    "timeout": toml.DURATION,
    "shell": bool,
}
KEEP = {
    "last": int,
    "hourly": int,
    "daily": int,
    "weekly": int,
    "monthly": int,
    "yearly": int,
    "within": toml.DURATION,
    "keep_tags": toml.TEXTS,
    "group_by": toml.TEXTS,
}


class Settings(NamedTuple):
    """Settings of backups, from a file or the command line.

    Args:
        repository: The folder with the backups.
        app: `module` or `module:name` of a `RecoveryManager`.
        name: The label `repository` of its metrics.
        max_age: Seconds that the newest backup may be old.
        config: Paths of the configuration.
        data: Paths of the data.
        exclude: Patterns of what is left out.
        append_only: Patterns of files that only ever grow.
        policy: What is kept.
        offsite: The off-site store.
        offsite_policy: What is kept there.
        commands: Commands whose output is backed up, by name.
        before: Command that runs before a backup and a restore.
        after: Command that runs after both, whatever came of them.
        ping_url: Address that is told whether a backup succeeded.
        written: The paths of the configuration and the data as the file writes them, by which a project that has moved
            is known again.
    """

    repository: Path | None = None
    app: str | None = None
    name: str | None = None
    max_age: float | None = None
    config: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    append_only: tuple[str, ...] = ()
    policy: RetentionPolicy | None = None
    offsite: OffsiteSettings | None = None
    offsite_policy: RetentionPolicy | None = None
    commands: Mapping[str, Command] = {}
    before: Command | None = None
    after: Command | None = None
    ping_url: str | None = None
    written: Mapping[Path, str] = {}


def read(path: Path) -> Settings:
    """Return what a TOML file says; paths in it are relative to its folder.

    Raises:
        ConfigError: Something in it makes no sense; the error names file, key, what was found and what is allowed.
    """
    table = toml.table(path, "backup")
    toml.check(path, "backup", table, KEYS)
    for key in ("repository", "config", "data"):
        for text in _texts(table.get(key, [])):
            _checked(path, f"backup.{key}", checked_path, text)
    for key in ("app", "name"):
        if key in table:
            _checked(path, f"backup.{key}", _filled, table[key])
    repository, away = table.get("repository"), table.get("offsite", {})
    return Settings(
        None if repository is None else toml.resolved(path, repository),
        table.get("app"),
        table.get("name"),
        _checked(path, "backup.max_age", seconds, table["max_age"]) if "max_age" in table else None,
        tuple(toml.resolved(path, item) for item in _texts(table.get("config", []))),
        tuple(toml.resolved(path, item) for item in _texts(table.get("data", []))),
        _patterns(path, table, "exclude"),
        _patterns(path, table, "append_only"),
        _policy(path, table["keep"], "backup.keep") if "keep" in table else None,
        offsite.read(path, table) if "offsite" in table else None,
        _policy(path, away["keep"], "backup.offsite.keep") if "keep" in away else None,
        {name: _named(path, name, item) for name, item in table.get("commands", {}).items()},
        _hook(path, table, "before"),
        _hook(path, table, "after"),
        _checked(path, "backup.ping_url", _address, table["ping_url"]) if "ping_url" in table else None,
        {toml.resolved(path, item): item for key in ("config", "data") for item in _texts(table.get(key, []))},
    )


def place(path: Path | None) -> Settings:
    """Return where a file keeps its backups, as far as it can be read; there may be mistakes in it.

    Raises:
        ConfigError: It has no table `[backup]`, or what it says of the place makes no sense.
    """
    table = {} if path is None else toml.table(path, "backup")
    known: dict[str, Any] = {key: table[key] for key in ("repository", "app") if key in table}
    if path is not None:
        toml.check(path, "backup", known, KEYS)
        for key, value in known.items():
            _checked(path, f"backup.{key}", checked_path if key == "repository" else _filled, value)
    if isinstance(table.get("name"), str):
        known["name"] = table["name"]
    if path is not None and "repository" in known:
        known["repository"] = toml.resolved(path, known["repository"])
    return Settings(**known)


def _named(path: Path, name: str, found: Any) -> Command:
    where = f"backup.commands.{name}"
    _checked(path, where, check_name, name)
    return _command(path, where, found)


def _command(path: Path, where: str, found: Any) -> Command:
    """Return a command: a text, a list, or a table with its limits.

    Raises:
        ConfigError: It makes no sense.
    """
    item = found if isinstance(found, dict) else {"command": found}
    toml.check(path, where, item, COMMAND, needed=("command",))
    limit = _checked(path, f"{where}.timeout", seconds, item["timeout"]) if "timeout" in item else HOUR
    made = Command(item["command"], limit, item.get("shell", False))
    _checked(path, where, made.check, where.rpartition(".")[2])
    return made


def _hook(path: Path, table: Mapping[str, Any], name: str) -> Command | None:
    hooks = table.get("hooks", {})
    toml.check(path, "backup.hooks", hooks, HOOKS)
    if name not in hooks:
        return None
    limits = {key: hooks[key] for key in ("timeout", "shell") if key in hooks}
    return _command(path, f"backup.hooks.{name}", {"command": hooks[name], **limits})


def _address(text: str) -> str:
    if problem := problem_of(text):
        raise ValueError(f"it has to be an address such as https://hc-ping.com with a path; {problem}")
    return text


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError(f"it must not be empty: leave it out, or give it a value, not {shown(text)}")
    return text


def policy(keep: dict[str, Any]) -> RetentionPolicy:
    """Return the policy of some keys of `[backup.keep]`.

    Raises:
        ValueError: They make no sense.
    """
    within = keep.get("within")
    try:
        period = {} if within is None else {"within": timedelta(seconds=seconds(within))}
    except ValueError as error:
        raise ValueError(f"within: {error}") from None
    return RetentionPolicy(**keep | period)


def _policy(path: Path, keep: dict[str, Any], where: str) -> RetentionPolicy:
    toml.check(path, where, keep, KEEP)
    found: RetentionPolicy = _checked(path, where, policy, keep)
    return found


def _patterns(path: Path, table: dict[str, Any], key: str) -> tuple[str, ...]:
    found: Exclude = _checked(path, f"backup.{key}", partial(Exclude, option=key), tuple(_texts(table.get(key, []))))
    return found.patterns


def _checked(path: Path, key: str, make: Any, value: Any) -> Any:
    try:
        return make(value)
    except (ValueError, OverflowError) as error:
        raise ConfigError(str(path), key, str(error)) from None


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
