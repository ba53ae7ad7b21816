"""Policies from a mapping or a TOML file; every mistake is one error that names the key."""

from __future__ import annotations

import builtins
import inspect
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe.errors import ConfigError
from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.breaker.decorator import circuit_breaker
from peak_observe.resilience.common import strategy
from peak_observe.resilience.common.last_result import last_good
from peak_observe.resilience.limits import bulkhead, rate_limit
from peak_observe.resilience.limits.timeouts import timeout
from peak_observe.resilience.policy.fault_injection import chaos
from peak_observe.resilience.policy.latency import timed
from peak_observe.resilience.policy.order import INSIST, RECOMMENDED
from peak_observe.resilience.results.decorator import share
from peak_observe.resilience.retry.budget import RetryBudget
from peak_observe.resilience.retry.decorator import retry_with_backoff
from peak_observe.resilience.retry.hedging import hedge
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
    strategy.SHARE: share,
    strategy.HEDGE: hedge,
    strategy.TIMED: timed,
    strategy.CHAOS: chaos,
}
OBJECTS: dict[str, Any] = {"object": last_good, "CircuitBreaker": CircuitBreaker, "RetryBudget": RetryBudget}
"""Arguments that are objects, which a table of their arguments describes."""
NONE = "none"
SETTINGS: dict[str, Any] = {"name": str, "deadline": toml.NUMBER, "order": Any, "fallback": Any}
PLAIN: dict[str, Any] = {"int": int, "float": toml.NUMBER, "bool": bool, "str": str}
"""Types that are checked here; of all other arguments the function itself says what is wrong."""


def load_policy(cls: Callable[..., P], path: str | PathLike[str], name: str) -> P:
    """Return the policy of the table `[policies.<name>]` of a TOML file.

    Raises:
        ConfigError: The file, or something in it, makes no sense.
    """
    return build_policy(cls, load_table(path, name), name, str(path), f"policies.{name}")


def load_table(path: str | PathLike[str], name: str) -> Mapping[str, Any]:
    """Return the table `[policies.<name>]` of a TOML file.

    Raises:
        ConfigError: The file cannot be read, or has no such table.
    """
    tables = toml.table(Path(path), "policies", of_tables=True)
    if name not in tables:
        there = toml.near(name, tables) or f"; there are {', '.join(tables)}"
        raise ConfigError(str(path), "policies", f"there is no policy {name!r}{there}")
    found: Mapping[str, Any] = tables[name]
    return found


def build_policy(
    cls: Callable[..., P], config: Mapping[str, Any], name: str | None, path: str = "", where: str | None = None
) -> P:
    """Return the policy that a mapping describes.

    Args:
        cls: The class of the policy.
        config: The mapping.
        name: The policy's name, if the mapping has none.
        path: The file it stands in, for errors.
        where: The name of its table, for errors.

    Raises:
        ConfigError: Something in it makes no sense.
    """
    where = where or name or ""
    toml.check(path, where, config, {**dict.fromkeys(FUNCTIONS, Any), **SETTINGS})
    place = Place(path, where)
    kinds = _order(config, place)
    settings = {"name": config.get("name", name), "deadline": config.get("deadline")}
    if "fallback" in config:
        settings["fallback"] = _value(config["fallback"], "object", place.at("fallback"))
    found = [_part(FUNCTIONS[kind], config[kind], place.at(kind)) for kind in kinds]
    try:
        return cls(*found, **settings)
    except ValueError as error:
        raise _blamed(error, settings, place, otherwise="order" if "order" in config else "") from None


class Place:
    """Location in a configuration, for the error of what stands there.

    Args:
        path: The file; empty for a mapping.
        where: The keys that lead there, with dots.
    """

    def __init__(self, path: str, where: str) -> None:
        self.path = path
        self.where = where

    def at(self, key: str) -> Place:
        """Return the place of a key below."""
        return Place(self.path, f"{self.where}.{key}" if self.where else key)

    def error(self, problem: str) -> ConfigError:
        """Return the error of what stands here."""
        return ConfigError(self.path, self.where, problem)


def _order(config: Mapping[str, Any], place: Place) -> list[str]:
    """Return the kinds of the parts from the outside in: as asked for, or as recommended."""
    present = [kind for kind in RECOMMENDED if kind in config and kind in FUNCTIONS]
    order = config.get("order", present)
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(present):
        raise place.at("order").error(f"it has to be a list of {', '.join(present)}, each once, not {order!r}")
    return order


def _part(function: Any, table: Any, place: Place) -> Any:
    known, needed = parameters(function)
    first = next(iter(known))
    if (isinstance(table, int | float) and not isinstance(table, bool)) or (
        isinstance(table, str) and "str" in known[first]
    ):
        table = {first: table}  # a number, or a name, alone is the first argument
    types = {key: PLAIN.get(annotation.removesuffix(" | None"), Any) for key, annotation in known.items()}
    toml.check(place.path, place.where, table, types, needed)
    return _built(function, {key: _value(value, known[key], place.at(key)) for key, value in table.items()}, place)


def parameters(function: Any) -> tuple[dict[str, str], list[str]]:
    """Return the arguments of a function as text of their types, and those it needs."""
    known = [parameter for parameter in inspect.signature(function).parameters.values() if parameter.name != "clock"]
    needed = [parameter.name for parameter in known if parameter.default is parameter.empty]
    return {parameter.name: str(parameter.annotation) for parameter in known}, needed


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
    """Return a value as the argument takes it: where no text is wanted, one with dots names an object.

    `none` stands for None, which TOML does not have.
    """
    if isinstance(value, dict):
        return value if "Mapping" in annotation else _object(value, annotation, place)
    if re.search(r"\bstr\b", annotation):
        return value
    if value == NONE and annotation.endswith(("None", "Any", "object")):
        return None
    if isinstance(value, list):
        return tuple(_value(item, annotation, place) for item in value)
    if isinstance(value, str) and (hasattr(builtins, value) or re.search(r"[.:]", value)):
        return _named(value, place)
    return value


def _object(table: dict[str, Any], annotation: str, place: Place) -> Any:
    """Return an argument that is an object of ours, made of a table."""
    for word in re.findall(r"\w+", annotation):
        if word in OBJECTS:
            return _built(OBJECTS[word], table, place)
    raise place.error("it cannot be a table")


def _named(target: str, place: Place) -> Any:
    """Return the exception or the function of a name with dots."""
    try:
        return pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        hint = f"; did you mean 'builtins.{target}'?" if hasattr(builtins, target) else ""
        raise place.error(f"{target!r} cannot be found as module.name: {error}{hint}") from None
