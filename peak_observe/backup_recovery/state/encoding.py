"""Encoding of state values as JSON, and back as they were.

What JSON has a form for is written in that form. The rest is an object of two fields, for instance
`{"$type": "decimal", "value": "1.10"}`:

| a provider returns | `$type` | `value` | it comes back as |
|---|---|---|---|
| `None`, `bool`, `str`, `int`, finite `float`, `list` | - | - | the same |
| a dict of string keys, none of them `$type` | - | - | `dict` |
| any other dict | `dict` | list of `[key, value]` | `dict` |
| `tuple`, also a named one | `tuple` | list | `tuple` |
| `set`, `frozenset` | `set`, `frozenset` | sorted list | the same; a `list` if an item comes back unhashable |
| `deque`, array (`.tolist()`) | - | - | `list` |
| numpy scalar (`.tolist()` or `.item()`) | - | - | a plain number, or what the method gives |
| dataclass, `msgspec.Struct` | - | - | `dict` of its fields |
| `Enum` | - | - | its value |
| `datetime`, `date`, `time` | `datetime`, `date`, `time` | ISO 8601 | the same; of a time zone the offset is kept |
| `datetime`, `time` with `fold=1` | `datetime.fold`, `time.fold` | ISO 8601 | the same |
| pandas `Timestamp`, `Timedelta` | `pandas.timestamp`, `pandas.timedelta` | list | the same |
| pandas `NaT`, `NA` | `pandas.nat`, `pandas.na` | - | the same; None where pandas is not installed |
| numpy `datetime64`, `timedelta64` | `numpy.datetime64`, `numpy.timedelta64` | list | the same |
| `timedelta` | `timedelta` | ISO 8601 duration | the same |
| `Decimal`, `UUID` | `decimal`, `uuid` | its text | the same |
| `Path`, also a pure one | `path` | its text | `Path` |
| `bytes`, `bytearray`, `memoryview` | `bytes` | Base64 | `bytes` |
| `nan`, `inf`, `-inf` | `float` | its name | the same |
| `int` of more than 1,024 bits | `int` | hexadecimal | the same |

A lone surrogate in a string is written as its JSON escape. Anything else is refused, and so is what holds itself, is
nested deeper than 64 levels, or has more than a million items.
"""

from __future__ import annotations

import base64
import inspect
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

import msgspec

from peak_observe.backup_recovery.state import scientific

TYPE, VALUE = "$type", "value"
MAX_DEPTH = 64
MAX_ITEMS = 1_000_000
# Python refuses to write an int of some thousand decimal digits, and other readers of JSON give up far earlier.
MAX_INT_BITS = 1024

# A datetime is a date too, so the order matters.
_LEAVES: tuple[tuple[Any, str, Callable[[Any], str]], ...] = (
    (datetime, "datetime", datetime.isoformat),
    (date, "date", date.isoformat),
    (time, "time", time.isoformat),
    (timedelta, "timedelta", msgspec.to_builtins),
    (Decimal, "decimal", str),
    (UUID, "uuid", str),
    (PurePath, "path", str),
    ((bytes, bytearray, memoryview), "bytes", lambda value: base64.b64encode(value).decode()),
)


def plain(value: Any, *, max_items: int = MAX_ITEMS) -> Any:
    """Return what JSON can hold, independent of `value`.

    Raises:
        ValueError: Something in it has no form in the table above; the message says where and what.
    """
    return _Walk(max_items).plain(value)


def revive(value: Any) -> Any:
    """Return what `plain` was given, as the table above says.

    Raises:
        ValueError: There is a `$type` that is not known, or its value is none of that type.
    """
    if isinstance(value, list):
        return [revive(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TYPE not in value:
        return {key: revive(item) for key, item in value.items()}
    read = _READERS.get(str(value[TYPE]))
    if read is None:
        raise ValueError(f"{TYPE} {value[TYPE]!r} is not known; a newer version may have written it")
    try:
        return read(value.get(VALUE))
    except (TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{value.get(VALUE)!r} is no {value[TYPE]}") from error


def tagged_dict(found: dict[str, Any]) -> dict[str, Any]:
    """Return an object that `plain` made as it writes a dict of any keys, which comes back as the same."""
    return _tagged("dict", [list(pair) for pair in found.items()])


class _Walk:
    """Walk through a value that makes JSON of it.

    Args:
        max_items: How many values it may meet; references to one list again and again can unfold without end.
    """

    def __init__(self, max_items: int) -> None:
        self._left = max_items
        self._path: list[object] = []
        self._open: set[int] = set()

    def plain(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("it has too many items; keep what is large in a file and back that up as data")
        while isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str | int | float):
            return _number_or_text(value)
        found = scientific.encoded(value)  # before datetime, of which a Timestamp is one too, and so is NaT
        if found is not None:
            return _tagged(*found)
        for kind, name, write in _LEAVES:
            if isinstance(value, kind):
                return _tagged(name + _folded(value), write(value))
        return self._inside(value)

    def _inside(self, value: Any) -> Any:
        if id(value) in self._open:
            raise self._refused("holds itself")
        if len(self._open) == MAX_DEPTH:
            raise self._refused(f"is nested deeper than {MAX_DEPTH} levels")
        self._open.add(id(value))
        found = self._container(value)
        self._open.discard(id(value))
        return found

    def _container(self, value: Any) -> Any:
        match value:
            case list() | deque():
                return self._items(value)
            case tuple():
                return _tagged("tuple", self._items(value))
            case set() | frozenset():
                # Sorted, so that the same state is the same text, whatever the seed of the hashes.
                kind = "set" if isinstance(value, set) else "frozenset"
                return _tagged(kind, sorted(self._items(value), key=repr))
            case Mapping():
                return self._mapping(value)
            case msgspec.Struct():
                return self._mapping(msgspec.structs.asdict(value))
        return self._foreign(value)

    def _foreign(self, value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return self._mapping({field.name: getattr(value, field.name) for field in fields(value)})
        times = scientific.unpacked(value)
        if times is not None:
            return self.plain(times)
        kind = type(value)
        if inspect.iscoroutine(value):
            value.close()  # nobody will ever await it, which Python would warn of
            raise self._refused("is a coroutine inside of a value: await it first")
        for name in ("tolist", "item"):
            method = getattr(value, name, None)
            if callable(method) and not isinstance(value, type):
                found = method()
                if type(found) is not kind or found is value:
                    return self.plain(found)
        raise self._refused(f"is a {kind.__module__}.{kind.__qualname__}, which JSON has no form for")

    def _items(self, values: Iterable[Any]) -> list[Any]:
        return [self._at(number, item) for number, item in enumerate(list(values))]

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        pairs = [[self._at(key, key), self._at(key, item)] for key, item in list(value.items())]
        as_object = {key: item for key, item in pairs if isinstance(key, str) and key != TYPE}
        return as_object if len(as_object) == len(pairs) else _tagged("dict", pairs)

    def _at(self, key: object, value: Any) -> Any:
        self._path.append(key)
        found = self.plain(value)
        self._path.pop()  # stays where it is when something is refused, which then tells its place
        return found

    def _refused(self, reason: str) -> ValueError:
        return ValueError("value" + "".join(f"[{key!r}]" for key in self._path) + f" {reason}")


def _number_or_text(value: str | float) -> Any:
    """Return a string or number as one of exactly that type, as a subclass may write itself in other ways."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__index__(value)
        return number if number.bit_length() <= MAX_INT_BITS else _tagged("int", hex(number))
    real = float.__pos__(value)
    return real if math.isfinite(real) else _tagged("float", repr(real))


def _folded(value: object) -> str:
    """Return what marks the second of two equal times, when clocks are set back."""
    return ".fold" if getattr(value, "fold", 0) else ""


def _tagged(name: str, value: Any) -> dict[str, Any]:
    return {TYPE: name, VALUE: value}


def _dict(pairs: Any) -> dict[Any, Any]:
    found = {revive(key): revive(item) for key, item in pairs}
    if len(found) < len(pairs):
        raise ValueError("two keys of a dict come back as the same")
    return found


def _set(kind: Callable[[list[Any]], Any], items: Any) -> Any:
    revived = [revive(item) for item in items]
    try:
        return kind(revived)
    except TypeError:
        return revived


_READERS: dict[str, Callable[[Any], Any]] = {
    "dict": _dict,
    "tuple": lambda items: tuple(revive(item) for item in items),
    "set": partial(_set, set),
    "frozenset": partial(_set, frozenset),
    "datetime": datetime.fromisoformat,
    "datetime.fold": lambda text: datetime.fromisoformat(text).replace(fold=1),
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "time.fold": lambda text: time.fromisoformat(text).replace(fold=1),
    "timedelta": partial(msgspec.convert, type=timedelta),
    "decimal": Decimal,
    "uuid": UUID,
    "path": Path,
    "bytes": partial(base64.b64decode, validate=True),
    "float": float,
    "int": partial(int, base=16),
    **scientific.READERS,
}
