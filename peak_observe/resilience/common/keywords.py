"""Clear errors for wrong keyword arguments: the message names the one that was probably meant."""

from __future__ import annotations

import difflib
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
R = TypeVar("R")


def suggest_keywords(**synonyms: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator of a function whose TypeError for an unknown keyword says which one was meant.

    Args:
        **synonyms: Names of other libraries, or of earlier versions, each with ours.
    """

    def decorate(func: Callable[P, R]) -> Callable[P, R]:
        code = func.__code__
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        known = tuple(name for name in arguments if name != "self")

        @wraps(func)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            for keyword in kwargs:
                if keyword not in known:
                    raise TypeError(unknown_keyword(func.__name__, keyword, known, synonyms.get(keyword)))
            return func(*args, **kwargs)

        return wrapper

    return decorate


def unknown_keyword(name: str, keyword: str, known: Iterable[str], meant: str | None = None) -> str:
    """Return the message for an unknown keyword of a function."""
    near = [meant] if meant else difflib.get_close_matches(keyword, known, n=1)
    mend = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"{name}() has no argument {keyword!r}; {mend}"
