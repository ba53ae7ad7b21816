"""Policies as an operator writes them, in a mapping or a TOML file; every mistake is one error that names the key."""

from __future__ import annotations

import builtins
import inspect
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe.errors import ConfigError
from peak_observe.resilience.breaker import settings as breaker_settings
from peak_observe.resilience.breaker.decorator import circuit_breaker
from peak_observe.resilience.common import strategy
from peak_observe.resilience.limits import bulkhead, rate_limit
from peak_observe.resilience.limits.timeouts import timeout
from peak_observe.resilience.policy.order import INSIST, RECOMMENDED
from peak_observe.resilience.retry import settings as retry_settings
from peak_observe.resilience.retry.decorator import retry_with_backoff
from peak_observe.support import toml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

P = TypeVar("P")

FUNCTIONS: dict[str, Any] = {
    strategy.BULKHEAD: bulkhead,
    strategy.BREAKER: circuit_breaker,
    strategy.RETRY: retry_with_backoff,
    strategy.RATE_LIMIT: rate_limit,
    strategy.TIMEOUT: timeout,
}
OPTIONS = {circuit_breaker: breaker_settings.Options, retry_with_backoff: retry_settings.Options}
"""What `**options` of a function takes."""
SETTINGS = ("name", "deadline", "order")


class Place:
    """Where in a configuration something stands, for its error.

    Args:
        path: The file; empty for a mapping.
        keys: The keys that lead there.
    """

    def __init__(self, path: str, *keys: str) -> None:
        self.path = path
        self.keys = keys

    def at(self, key: str) -> Place:
        """Return the place of a key below."""
        return Place(self.path, *self.keys, key)

    def error(self, problem: str) -> ConfigError:
        """Return the error of what stands here."""
        return ConfigError(self.path, ".".join(self.keys), problem)


def load_policy(cls: Callable[..., P], path: str | PathLike[str], name: str) -> P:
    """Return the policy of the table `[policies.<name>]` of a TOML file.

    Raises:
        ConfigError: The file, or something in it, makes no sense.
    """
    file = Path(path)
    tables = toml.table(file, "policies", of_tables=True)
    if name not in tables:
        raise ConfigError(
            str(file), "policies", f"there is no policy {name!r}{toml.near(name, tables) or _all(tables)}"
        )
    return build_policy(cls, tables[name], name, Place(str(file), "policies", name))


def build_policy(cls: Callable[..., P], config: Mapping[str, Any], name: str | None, place: Place | None = None) -> P:
    """Return the policy that a mapping describes.

    Raises:
        ConfigError: Something in it makes no sense.
    """
    place = place or Place("", *([name] if name else []))
    _check_table(config, place, (*FUNCTIONS, *SETTINGS))
    kinds = _order(config, place)
    settings = {"name": config.get("name", name), "deadline": config.get("deadline")}
    if not isinstance(settings["name"], str | None):
        raise place.at("name").error(f"it has to be a string, not {settings['name']!r}")
    found = [_part(FUNCTIONS[kind], config[kind], place.at(kind)) for kind in kinds]
    try:
        return cls(*found, **settings)
    except ValueError as error:
        raise _blamed(error, settings, place, otherwise="order" if "order" in config else "") from None


def _order(config: Mapping[str, Any], place: Place) -> list[str]:
    """Return the kinds of the parts from the outside in: as asked for, or as recommended."""
    present = [kind for kind in RECOMMENDED if kind in config and kind in FUNCTIONS]
    order = config.get("order", present)
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(present):
        raise place.at("order").error(f"it has to be a list of {', '.join(present)}, each once, not {order!r}")
    return order


def _part(function: Any, table: Any, place: Place) -> Any:
    known, needed = parameters(function)
    if isinstance(table, int | float) and not isinstance(table, bool):
        table = {next(iter(known)): table}  # a number alone is the first argument
    _check_table(table, place, known)
    missing = [key for key in needed if key not in table]
    if missing:
        raise place.error(f"the key {missing[0]!r} is missing")
    return _built(function, {key: _value(value, known[key], place.at(key)) for key, value in table.items()}, place)


def parameters(function: Any) -> tuple[dict[str, str], list[str]]:
    """Return the arguments of a function, those of its `**options` too, as text of their types; and those it needs."""
    found: dict[str, str] = {}
    needed: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            options = OPTIONS[function].__annotations__.items()
            found |= {key: getattr(annotation, "__forward_arg__", str(annotation)) for key, annotation in options}
        else:
            found[name] = str(parameter.annotation)
            needed += [name] if parameter.default is parameter.empty else []
    return {name: annotation for name, annotation in found.items() if annotation != "Clock"}, needed


def _check_table(table: Any, place: Place, known: Any) -> None:
    if not hasattr(table, "items"):
        raise place.error(f"it has to be a table, not {table!r}")
    for key in table:
        if key not in known:
            raise place.at(str(key)).error(f"there is no such key{toml.near(key, known) or _all(known)}")


def _built(function: Callable[..., Any], arguments: dict[str, Any], place: Place) -> Any:
    try:
        return function(**arguments)
    except (TypeError, ValueError) as error:
        raise _blamed(error, arguments, place) from None


def _blamed(error: Exception, names: Any, place: Place, otherwise: str = "") -> ConfigError:
    """Return an error as one of configuration; ours begin with the name of the argument."""
    first, _, rest = str(error).partition(" ")
    if first in names:
        return place.at(first).error(f"it {rest}")
    return (place.at(otherwise) if otherwise else place).error(str(error).removesuffix(INSIST))


def _value(value: Any, annotation: str, place: Place) -> Any:
    """Return a value as the argument takes it: where no text is wanted, one with dots names an object."""
    if isinstance(value, dict):
        return _object(value, annotation, place)
    if re.search(r"\bstr\b", annotation):
        return value
    if isinstance(value, list):
        return tuple(_value(item, annotation, place) for item in value)
    if isinstance(value, str) and (hasattr(builtins, value) or re.search(r"[.:]", value)):
        return _named(value, place)
    return value


def _object(table: dict[str, Any], annotation: str, place: Place) -> Any:
    """Return an argument that is an object of ours, made of a table."""
    from peak_observe import resilience

    for word in re.findall(r"\w+", annotation):
        found = getattr(resilience, word) if word in resilience.__all__ else None
        if isinstance(found, type):
            return _built(found, table, place)
    raise place.error("it cannot be a table")


def _named(target: str, place: Place) -> Any:
    """Return the exception or the function of a name with dots."""
    try:
        return pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        hint = f"; did you mean 'builtins.{target}'?" if hasattr(builtins, target) else ""
        raise place.error(f"{target!r} cannot be found as module.name: {error}{hint}") from None


def _all(known: Any) -> str:
    return f"; there are {', '.join(known)}"
