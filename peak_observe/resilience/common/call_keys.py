"""Keys of calls by their arguments, for results that serve more than one call."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeAlias

from peak_observe.resilience.common.callbacks import SafeCallback

Key: TypeAlias = Callable[..., Hashable]

_CO_VARARGS = 0x04  # inspect's, which would be a slow import


class _Unhashable:
    """Stand-in for an argument that cannot be hashed, as a dataclass that compares: equal to itself alone."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value  # which keeps its id from being used again

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashable) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)


class CallKeys:
    """Keys of the calls of one function: calls of one key ask the same.

    Lists, dicts and sets are compared by their items, other arguments that cannot be hashed by identity. An argument
    that is given by name is the same as one that is given by its place.

    Args:
        func: The function.
        key: A function of the call's arguments that returns the key; by default the arguments are.
        owner: The name of what shares or keeps the results, for the log.

    Raises:
        ValueError: `key` is no plain function.
    """

    def __init__(self, func: Callable[..., Any], key: Key | None, owner: str) -> None:
        self._names = () if key is not None else _positional_names(func)
        self._key = key
        self._callback = None if key is None else key_callback(key, owner)

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable | None:
        """Return the key of a call; None where the user's function failed, which is logged once."""
        if self._key is not None and self._callback is not None:
            try:
                return (_frozen(self._key(*args, **kwargs)),)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for the call, not for this
                self._callback.log_once(error)
                return None
        if kwargs:
            args, kwargs = self._placed(args, kwargs)
        key = (args, tuple(sorted(kwargs.items()))) if kwargs else args
        try:
            hash(key)
        except Exception:  # noqa: BLE001 - a `__hash__` of the user's may raise anything
            return _frozen(key)
        return key

    def _placed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        placed, rest = list(args), dict(kwargs)
        for name in self._names[len(args) :]:
            if name not in rest:
                break
            placed.append(rest.pop(name))
        return tuple(placed), rest


def key_callback(key: Key, owner: str) -> SafeCallback:
    """Return the callback of a `key` argument.

    Raises:
        ValueError: It is no plain function.
    """
    if not callable(key):
        raise ValueError(f"key must be a plain function of the call's arguments, not {key!r}")  # noqa: TRY004 - as for all settings
    return SafeCallback("key", key, owner=owner, logger="results")


def _positional_names(func: Callable[..., Any]) -> tuple[str, ...]:
    while inner := getattr(func, "__wrapped__", None):
        func = inner
    if isinstance(func, partial):
        return ()
    bound, code = getattr(func, "__self__", None) is not None, getattr(func, "__code__", None)
    if code is None:  # a callable object
        bound, code = True, getattr(type(func).__call__, "__code__", None)
    if code is None or code.co_flags & _CO_VARARGS:
        return ()
    names: tuple[str, ...] = code.co_varnames[bound : code.co_argcount]
    return names


def _frozen(value: Any) -> Hashable:
    """Return a value that can be hashed, equal for what is equal."""
    try:
        if isinstance(value, list | tuple):
            return type(value).__name__, tuple(map(_frozen, value))
        if isinstance(value, dict):
            return "dict", frozenset((key, _frozen(item)) for key, item in value.items())
        if isinstance(value, set):
            return "set", frozenset(value)
        hash(value)
    except Exception:  # noqa: BLE001 - a `__hash__` of the user's may raise anything, a list may hold itself
        return _Unhashable(value)
    return value  # type: ignore[no-any-return] # it can be hashed
