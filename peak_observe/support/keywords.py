"""Unknown keyword arguments: one TypeError with the name that was probably meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from types import CodeType

F = TypeVar("F", bound=Callable[..., Any])

CLOSE = 0.75


def arguments(code: CodeType) -> tuple[str, ...]:
    """Return the names of the arguments that a function can be given by name."""
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def check_keywords(
    foreign: Mapping[str, str] = {},
    *,
    surplus: str = "",
    onward: Any = None,
    made: Callable[[Any, tuple[Any, ...], dict[str, Any]], None] | None = None,
    mapping: bool = False,
) -> Callable[[F], F]:
    """Decorate a function or constructor to raise a TypeError with a hint for an unknown keyword.

    Signature and type hints stay those of the function. It adds a call, so it is not for hot paths.

    Args:
        foreign: Names in other libraries, separated by spaces, each with what to use here.
        surplus: What to do instead of giving more positional arguments than there are.
        onward: The function, decorated so itself, that is handed the rest of the keywords.
        made: Called with the result and the arguments it came from.
        mapping: Whether the first argument may be a mapping.
    """

    def decorate(func: Any) -> Any:
        code: CodeType = func.__code__
        known = arguments(code)
        if onward is not None:
            known += tuple(key for key in arguments(onward.__wrapped__.__code__) if key not in known)
        first = int(known[:1] == ("self",))
        constructs = func.__name__ == "__init__"

        @wraps(func)
        def checked(*args: Any, **kwargs: Any) -> Any:
            problem = ""
            unknown = next((key for key in kwargs if key not in known), None)
            name = type(args[0]).__name__ if constructs and args else func.__qualname__
            if unknown is not None:
                hint = _hint(unknown, known, foreign)
                problem = f"got an unexpected keyword argument {unknown!r}{hint}"
            elif not mapping and len(args) > first and isinstance(args[first], Mapping):
                problem = f"takes keywords, not a mapping: write {name}(**settings)"
            elif surplus and len(args) > code.co_argcount:
                count = len(args) - code.co_argcount
                problem = f"got {count} argument{'s' * (count > 1)} too many: {surplus}"
            if problem:
                raise TypeError(f"{name}() {problem}")
            result = func(*args, **kwargs)
            if made is not None:
                made(result, args, kwargs)
            return result

        return checked

    return decorate


def _hint(unknown: str, known: tuple[str, ...], foreign: Mapping[str, str]) -> str:
    import difflib

    names = {name: name for name in known if name != "self"}
    names |= {theirs: ours for others, ours in foreign.items() for theirs in others.split()}
    near = [unknown.lower()] if unknown.lower() in names else difflib.get_close_matches(unknown, names, 1, CLOSE)
    if near:
        return f"; did you mean {names[near[0]]}?"
    return f"; there are {', '.join(name for name in known if name != 'self')}"
