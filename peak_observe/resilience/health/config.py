"""Health checks from a TOML file: `[checks.NAME]` with a `kind`, its arguments, and how to run it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.errors import ConfigError, LoadError
from peak_observe.measures.series import check_name
from peak_observe.resilience.health import checks
from peak_observe.resilience.health.references import load
from peak_observe.resilience.health.registered_check import CheckSettings, normalized
from peak_observe.support import toml
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from peak_observe.resilience.health.registry import HealthCheck

SETTINGS: dict[str, Any] = {
    "timeout": toml.NUMBER,
    "interval": toml.NUMBER,
    "ttl": toml.NUMBER,
    "critical": bool,
    "tags": toml.TEXTS,
    "failure_threshold": int,
    "success_threshold": int,
    "depends_on": toml.TEXTS,
}
"""Keys that every check may have; see `HealthCheck.register`."""


class Kind(NamedTuple):
    """Kind of check: the function that makes one, its keys, and those it cannot do without."""

    make: Callable[..., Callable[[], Any]]
    keys: dict[str, Any]
    needed: tuple[str, ...] = ()


def _function(function: str) -> Callable[[], Any]:
    found: Callable[[], Any] = load(function)
    return found


KINDS = {
    "breaker_closed": Kind(checks.breaker_closed, {"breaker": str}, ("breaker",)),
    "command": Kind(checks.command, {"args": toml.TEXTS, "timeout": toml.NUMBER, "exit_code": int}, ("args",)),
    "disk_space": Kind(checks.disk_space, {"path": Path, "min_free_ratio": toml.NUMBER, "min_free_bytes": int}),
    "file_age": Kind(checks.file_age, {"path": Path, "max_age": toml.NUMBER}, ("path", "max_age")),
    "freqtrade": Kind(
        checks.freqtrade,
        {"url": str, "username": str, "password_file": Path, "max_age": toml.NUMBER, "timeout": toml.NUMBER},
        ("url", "password_file"),
    ),
    "http": Kind(
        checks.http,
        {"url": str, "status": int, "body": str, "headers": toml.TEXTS_BY_NAME, "timeout": toml.NUMBER},
        ("url",),
    ),
    "memory": Kind(checks.memory, {"min_available_ratio": toml.NUMBER}),
    "python": Kind(_function, {"function": str}, ("function",)),
    "sqlite_integrity": Kind(checks.sqlite_integrity, {"path": Path, "busy_timeout": toml.NUMBER}, ("path",)),
    "tcp": Kind(checks.tcp, {"host": str, "port": int, "timeout": toml.NUMBER}, ("host", "port")),
}
GRACE = 1.0  # seconds by which a check outlasts the timeout of what it does, so that the better message wins


class Described(NamedTuple):
    """Check described by a file, not registered yet."""

    name: str
    func: Callable[[], Any]
    settings: dict[str, Any]

    def register(self, registry: HealthCheck) -> None:
        """Add it to a registry, or put it in the place of the one that has the name.

        Raises:
            ValueError: Checks would depend on each other in a circle.
        """
        registry.register(self.name, self.func, **self.settings)


def read(path: Path) -> dict[str, Any]:
    """Return the tables below `[checks]` of a TOML file.

    Raises:
        ConfigError: The file cannot be read, is no TOML, or `checks` is not made of tables, or has none.
    """
    return toml.table(path, "checks", of_tables=True)


def add(registry: HealthCheck, path: Path) -> None:
    """Register the checks that a TOML file describes; paths in it are relative to its folder.

    Raises:
        ConfigError: Something in it makes no sense; the error names file, key, what was found and what is allowed.
    """
    for check in described(path, read(path)):
        try:
            check.register(registry)
        except ValueError as error:
            raise ConfigError(str(path), f"checks.{check.name}", str(error)) from None


def described(path: Path, tables: Mapping[str, Any]) -> Iterator[Described]:
    """Yield the checks of the tables below `[checks]`.

    Raises:
        ConfigError: Something in them makes no sense.
    """
    for name, table in tables.items():
        yield _described(path, name, dict(table))


def _described(path: Path, name: str, table: dict[str, Any]) -> Described:
    where = f"checks.{name}"
    kind = _kind(path, where, table.pop("kind", None))
    toml.check(path, where, table, {**SETTINGS, **kind.keys}, kind.needed)
    own = {key: _resolved(path, table[key], kind.keys[key]) for key in kind.keys if key in table}
    settings = {key: value for key, value in table.items() if key in SETTINGS}
    if "timeout" in kind.keys:
        settings["timeout"] = own.get("timeout", CheckSettings().timeout) + GRACE
    try:
        check_name(name)
        normalized(CheckSettings(**settings))
        func: Any = kind.make(**own)
    except (ValueError, TypeError, LoadError) as error:
        raise ConfigError(str(path), where, str(error)) from None
    if not callable(func):
        problem = f"check {name!r} must be a function without arguments, not {shown(func)}"
        raise ConfigError(str(path), where, problem)
    return Described(name, func, settings)


def _kind(path: Path, where: str, kind: object) -> Kind:
    if kind is None:
        raise ConfigError(str(path), where, f"the key 'kind' is missing: one of {', '.join(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(str(path), f"{where}.kind", f"{kind!r} is none of {', '.join(KINDS)}{toml.near(kind, KINDS)}")
    return KINDS[kind]


def _resolved(path: Path, value: Any, kind: Any) -> Any:
    return toml.resolved(path, value) if kind is Path else value
