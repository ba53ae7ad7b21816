"""Keyword arguments of strategies: the default of those that change nothing, and a record of those that were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from peak_observe.resilience.common.strategy import Configured
from peak_observe.support import keywords

F = TypeVar("F", bound=Callable[..., Any])


class Unchanged:
    """The type of `UNCHANGED`."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED = Unchanged()
"""The default of each argument of a `configure`, as None is a value of some."""


def changes(**given: Any) -> dict[str, Any]:
    """Return the arguments that are not `UNCHANGED`."""
    return {name: value for name, value in given.items() if value is not UNCHANGED}


def check_keywords(foreign: Mapping[str, str] = {}, *, surplus: str = "", onward: Any = None) -> Callable[[F], F]:
    """Decorate a function or constructor as `support.keywords` does; a strategy also remembers what it was given.

    Args:
        foreign: Names in other libraries, separated by spaces, each with what to use here.
        surplus: What to do instead of giving more positional arguments than there are.
        onward: The function, decorated so itself, that is handed the rest of the keywords.
    """

    def decorate(func: Any) -> Any:
        known = keywords.arguments(func.__code__)
        if onward is not None:
            known += tuple(key for key in keywords.arguments(onward.__wrapped__.__code__) if key not in known)
        positional = known[: func.__code__.co_argcount]
        optional = func.__defaults__ or ()
        defaults = dict(zip(positional[len(positional) - len(optional) :], optional, strict=True))

        def remember(made: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if isinstance(made, Configured):
                found = {**defaults, **dict(zip(known, args, strict=False)), **kwargs}
                shown = (key for key in known if key != "clock" and found.get(key) is not None)
                made.given = {key: found[key] for key in shown}

        return keywords.check_keywords(foreign, surplus=surplus, onward=onward, made=remember)(func)

    return decorate
