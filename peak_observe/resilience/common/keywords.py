"""Keyword arguments: the default of those that change nothing, and hints for unknown ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe.resilience.common.strategy import Configured

if TYPE_CHECKING:
    from types import CodeType

F = TypeVar("F", bound=Callable[..., Any])

CLOSE = 0.75


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
    """Decorate a function or constructor to raise a TypeError with a hint for an unknown keyword.

    Signature and type hints stay those of the function. It adds a call, so it is not for hot paths.

    Args:
        foreign: Names in other libraries, separated by spaces, each with what to use here.
        surplus: What to do instead of giving more positional arguments than there are.
        onward: The function, decorated so itself, that is handed the rest of the keywords.
    """

    def decorate(func: Any) -> Any:
        code: CodeType = func.__code__
        known = _arguments(code)
        if onward is not None:
            known += tuple(key for key in _arguments(onward.__wrapped__.__code__) if key not in known)
        positional = known[: code.co_argcount]
        optional = func.__defaults__ or ()
        defaults = dict(zip(positional[len(positional) - len(optional) :], optional, strict=True))
        name, first = func.__qualname__.removesuffix(".__init__"), int(known[:1] == ("self",))

        @wraps(func)
        def checked(*args: Any, **kwargs: Any) -> Any:
            unknown = next((key for key in kwargs if key not in known), None)
            if unknown is not None:
                hint = _hint(unknown, known, foreign)
                raise TypeError(f"{name}() got an unexpected keyword argument {unknown!r}{hint}")
            if len(args) > first and isinstance(args[first], Mapping):
                raise TypeError(f"{name}() takes keywords, not a mapping: write {name}(**settings)")
            if surplus and len(args) > code.co_argcount:
                count = len(args) - code.co_argcount
                raise TypeError(f"{name}() got {count} argument{'s' * (count > 1)} too many: {surplus}")
            made = func(*args, **kwargs)
            if isinstance(made, Configured):
                found = {**defaults, **dict(zip(known, args, strict=False)), **kwargs}
                shown = (key for key in known if key != "clock" and found.get(key) is not None)
                made.given = {key: found[key] for key in shown}
            return made

        return checked

    return decorate


def _arguments(code: CodeType) -> tuple[str, ...]:
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _hint(unknown: str, known: tuple[str, ...], foreign: Mapping[str, str]) -> str:
    import difflib

    names = {name: name for name in known if name != "self"}
    names |= {theirs: ours for others, ours in foreign.items() for theirs in others.split()}
    near = [unknown.lower()] if unknown.lower() in names else difflib.get_close_matches(unknown, names, 1, CLOSE)
    if near:
        return f"; did you mean {names[near[0]]}?"
    return f"; there are {', '.join(name for name in known if name != 'self')}"
