"""Checks that a TOML file describes: `[checks.NAME]` with a `kind`, what that takes, and how to run it."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.errors import ConfigError, LoadError
from peak_observe.resilience.health import checks
from peak_observe.resilience.health.check import Settings
from peak_observe.resilience.health.loading import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peak_observe.resilience.health.registry import HealthCheck

NUMBER = (int, float)
TEXTS = (str, list)
WORDS = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    Path: "a path",
    NUMBER: "a number",
    TEXTS: "a string or a list of strings",
}
SETTINGS: dict[str, Any] = {
    "timeout": NUMBER,
    "interval": NUMBER,
    "ttl": NUMBER,
    "critical": bool,
    "tags": TEXTS,
    "failure_threshold": int,
    "success_threshold": int,
    "depends_on": TEXTS,
}
"""What every check may say about how it is run; see `HealthCheck.register`."""


class Kind(NamedTuple):
    """A kind of check: the function that makes one, the keys it takes, and those it cannot do without."""

    make: Callable[..., Callable[[], Any]]
    keys: dict[str, Any]
    needed: tuple[str, ...] = ()


def _function(function: str) -> Callable[[], Any]:
    found: Callable[[], Any] = load(function)
    return found


KINDS = {
    "breaker_closed": Kind(checks.breaker_closed, {"breaker": str}, ("breaker",)),
    "command": Kind(checks.command, {"args": TEXTS, "timeout": NUMBER, "exit_code": int}, ("args",)),
    "disk_space": Kind(checks.disk_space, {"path": Path, "min_free_ratio": NUMBER, "min_free_bytes": int}),
    "file_age": Kind(checks.file_age, {"path": Path, "max_age": NUMBER}, ("path", "max_age")),
    "http": Kind(
        checks.http,
        {"url": str, "status": int, "body": str, "headers": dict, "timeout": NUMBER},
        ("url",),
    ),
    "memory": Kind(checks.memory, {"min_available_ratio": NUMBER}),
    "python": Kind(_function, {"function": str}, ("function",)),
    "sqlite_integrity": Kind(checks.sqlite_integrity, {"path": Path, "busy_timeout": NUMBER}, ("path",)),
    "tcp": Kind(checks.tcp, {"host": str, "port": int, "timeout": NUMBER}, ("host", "port")),
}
GRACE = 1.0  # seconds by which a check outlasts the timeout of what it does, so that the better message wins


def read(path: Path) -> dict[str, Any]:
    """Return the tables below `[checks]` of a TOML file.

    Raises:
        ConfigError: The file cannot be read, is no TOML, or `checks` is not made of tables, or has none.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), "", error.strerror or str(error)) from None
    except ValueError as error:  # TOMLDecodeError, which names the line, and UnicodeDecodeError
        raise ConfigError(str(path), "", f"no TOML: {error}") from None
    tables = found.get("checks", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigError(str(path), "checks", "it has to consist of tables [checks.NAME]")
    if not tables:
        raise ConfigError(str(path), "", f"there is no table [checks.NAME]{_near_table(found)}")
    return tables


def add(registry: HealthCheck, path: Path) -> None:
    """Register the checks that a TOML file describes; paths in it are relative to its folder.

    Raises:
        ConfigError: Something in it makes no sense; the error names file, key, what was found and what is allowed.
    """
    for name, table in read(path).items():
        _add(registry, path, name, dict(table))


def _add(registry: HealthCheck, path: Path, name: str, table: dict[str, Any]) -> None:
    where = f"checks.{name}"
    kind = _kind(path, where, table.pop("kind", None))
    allowed = {**SETTINGS, **kind.keys}
    for key, value in table.items():
        _check_key(path, where, key, allowed)
        _check_type(path, f"{where}.{key}", value, allowed[key])
    missing = [key for key in kind.needed if key not in table]
    if missing:
        raise ConfigError(str(path), where, f"the key {missing[0]!r} is missing")
    own = {key: _resolved(path, table[key], kind.keys[key]) for key in kind.keys if key in table}
    settings = {key: value for key, value in table.items() if key in SETTINGS}
    if "timeout" in kind.keys:
        settings["timeout"] = own.get("timeout", Settings().timeout) + GRACE
    try:
        registry.register(name, kind.make(**own), **settings)
    except (ValueError, TypeError, LoadError) as error:
        raise ConfigError(str(path), where, str(error)) from None


def _kind(path: Path, where: str, kind: object) -> Kind:
    if kind is None:
        raise ConfigError(str(path), where, f"the key 'kind' is missing: one of {', '.join(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(str(path), f"{where}.kind", f"{kind!r} is none of {', '.join(KINDS)}{_near(kind, KINDS)}")
    return KINDS[kind]


def _check_key(path: Path, where: str, key: str, allowed: Iterable[str]) -> None:
    if key not in allowed:
        raise ConfigError(str(path), f"{where}.{key}", f"there is no such key{_near(key, allowed)}")


def _check_type(path: Path, where: str, value: object, kind: Any) -> None:
    wanted = str if kind is Path else kind
    fits = isinstance(value, wanted) and (kind is bool or not isinstance(value, bool))
    if isinstance(value, list | dict):
        items = value.values() if isinstance(value, dict) else value
        fits = fits and all(isinstance(item, str) for item in items)
    if not fits:
        raise ConfigError(str(path), where, f"it has to be {WORDS[kind]}, not {value!r}")


def _resolved(path: Path, value: Any, kind: Any) -> Any:
    return path.absolute().parent / value if kind is Path else value


def _near(word: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _near_table(found: Iterable[str]) -> str:
    near = difflib.get_close_matches("checks", [key for key in found if key != "checks"], n=1)
    return f"; did you mean [checks] where it says [{near[0]}]?" if near else ""
