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
| `deque`, array, also of a subclass or with a mask, index or `Series` of pandas (`.tolist()`) | - | - | `list` |
| numpy scalar (`.tolist()` or `.item()`) | - | - | a plain number, or what the method gives |
| dataclass, `msgspec.Struct` | - | - | `dict` of its fields |
| `Enum` | - | - | its value |
| `datetime`, `date`, `time` | `datetime`, `date`, `time` | ISO 8601 | the same; of other zones the offset is kept |
| `datetime`, `time` with `fold=1` | `datetime.fold`, `time.fold` | ISO 8601 | the same |
| `datetime` in a zone of `zoneinfo` | `datetime.zone` | ISO 8601, fold, name | the same |
| pandas `Timestamp` | `pandas.timestamp` | list | the same; of other zones the offset is kept |
| pandas `Timestamp` in a zone of `zoneinfo` or `pytz` | `pandas.timestamp.zone` | list | the same |
| pandas `Timedelta` | `pandas.timedelta` | list | the same |
| pandas `NaT`, `NA` | `pandas.nat`, `pandas.na` | - | the same; None where pandas is not installed |
| numpy `datetime64`, `timedelta64` | `numpy.datetime64`, `numpy.timedelta64` | list | the same |
| `timedelta` | `timedelta` | ISO 8601 duration | the same |
| `Decimal`, `UUID` | `decimal`, `uuid` | its text | the same |
| `Path`, also a pure one | `path` | its text | `Path` |
| `bytes`, `bytearray`, `memoryview` | `bytes` | Base64 | `bytes` |
| `nan`, `inf`, `-inf` | `float` | its name | the same |
| `int` of more than 1,024 bits | `int` | hexadecimal | the same |
| `str` with a pair of lone surrogates | `str` | list of parts, cut within the pairs | the same |

A zone that the host does not know when a value comes back leaves the offset, of a `Timestamp` UTC. A lone surrogate in
a string is written as its JSON escape. Anything else is refused, and so is what holds itself, is nested deeper than 64
levels, or has more than a million items; a `time` in a zone whose offset depends on the day; a `Series` whose index is
not 0, 1, 2, …, which would be lost; a list, dict or the like of a subclass that tells other items than it holds, of
which one or the other would be lost; and a dict or set of which two keys or items would come back as one.

A value of a subclass comes back as one of the class itself that is as much, however it writes itself.
"""

from __future__ import annotations

import base64
import inspect
import math
import re
from collections import OrderedDict, deque
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

from peak_observe.backup_recovery.state import scientific, zones

TYPE, VALUE = "$type", "value"
MAX_DEPTH = 64
MAX_ITEMS = 1_000_000
# Python refuses to write an int of some thousand decimal digits, and other readers of JSON give up far earlier.
MAX_INT_BITS = 1024
# The escapes of a high and a low surrogate beside each other are how JSON writes one character.
_WITHIN_PAIR = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")

# The methods of the types themselves, as a subclass may write itself in other ways, such as a price of two digits.
_LEAVES: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (date, "date", date.isoformat),
    (timedelta, "timedelta", lambda value: msgspec.to_builtins(timedelta.__pos__(value))),
    (Decimal, "decimal", Decimal.__str__),
    (UUID, "uuid", UUID.__str__),
    (PurePath, "path", lambda value: _text(PurePath.__str__(value))),
    ((bytes, bytearray, memoryview), "bytes", lambda value: base64.b64encode(memoryview(value).tobytes()).decode()),
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
            value = value._value_
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str | int | float):
            return _number_or_text(value)
        found = scientific.encoded(value)  # before datetime, of which a Timestamp is one too, and so is NaT
        if found is not None:
            return _tagged(*found)
        if isinstance(value, datetime | time):
            return self._time(value)
        for kind, name, write in _LEAVES:
            if isinstance(value, kind):
                return _tagged(name, write(value))
        return self._inside(value)

    def _time(self, value: datetime | time) -> Any:
        kind: Any = datetime if isinstance(value, datetime) else time
        if value.tzinfo is not None and kind.utcoffset(value) is None:
            raise self._refused(f"is a time in {value.tzinfo}, whose offset depends on a day: give a datetime")
        zone = zones.name_of(value.tzinfo) if kind is datetime else None
        text = kind.isoformat(value)
        if zone is not None:
            return _tagged("datetime.zone", [text, value.fold, zone])
        return _tagged(kind.__name__ + (".fold" if value.fold else ""), text)

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
                return self._items(value, list if isinstance(value, list) else deque)
            case tuple():
                return _tagged("tuple", self._items(value, tuple))
            case set() | frozenset():
                kind = set if isinstance(value, set) else frozenset
                return _tagged(kind.__name__, self._items(value, kind))
            case Mapping():
                return self._mapping(value)
            case msgspec.Struct():
                return self._mapping(msgspec.structs.asdict(value))
        return self._foreign(value)

    def _foreign(self, value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return self._mapping({field.name: getattr(value, field.name) for field in fields(value)})
        if scientific.is_labelled(value):
            raise self._refused("is a Series with an index of its own, which a list has not: give its to_dict()")
        times = scientific.unpacked(value)
        if times is not None:
            return self.plain(times)
        kind = type(value)
        if inspect.iscoroutine(value):
            value.close()  # nobody will ever await it, which Python would warn of
            raise self._refused("is a coroutine inside of a value: await it first")
        for name in ("tolist", "item"):
            method = getattr(value, name, None)
            # Of what holds several, `item` is for the one that is left, without its place.
            if callable(method) and not isinstance(value, type) and not (name == "item" and hasattr(value, "__len__")):
                found = method()
                if type(found) is not kind or found is value:
                    return self.plain(found)
        raise self._refused(f"is a {kind.__module__}.{kind.__qualname__}, which JSON has no form for")

    def _items(self, value: Any, kind: Any) -> list[Any]:
        found = self._listed(value, kind)
        if type(value).__iter__ is not kind.__iter__ and found != self._listed(kind.__iter__(value), kind):
            raise self._differs(value, kind)
        return found

    def _listed(self, items: Iterable[Any], kind: type) -> list[Any]:
        found = [self._at(number, item) for number, item in enumerate(list(items))]
        # Sorted, so that the same state is the same text, whatever the seed of the hashes.
        return sorted(found, key=repr) if kind in (set, frozenset) else found

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        pairs = self._pairs(value.items())
        if isinstance(value, dict) and type(value).items not in (dict.items, OrderedDict.items):
            held = self._pairs(dict.items(value))
            # In any order, which may be another one than that of the dict below it.
            if sorted(pairs, key=repr) != sorted(held, key=repr):
                raise self._differs(value, dict)
        as_object = {key: item for key, item in pairs if isinstance(key, str) and key != TYPE}
        return as_object if len(as_object) == len(pairs) else _tagged("dict", pairs)

    def _pairs(self, items: Iterable[tuple[Any, Any]]) -> list[list[Any]]:
        return [[self._at(key, key), self._at(key, item)] for key, item in list(items)]

    def _differs(self, value: object, kind: type) -> ValueError:
        own = f"{type(value).__module__}.{type(value).__qualname__}"
        return self._refused(
            f"is a {own}, which tells other items than it holds: give a {kind.__name__} of what counts"
        )

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
        return _text(str.__str__(value))
    if isinstance(value, int):
        number = int.__index__(value)
        return number if number.bit_length() <= MAX_INT_BITS else _tagged("int", hex(number))
    real = float.__pos__(value)
    return real if math.isfinite(real) else _tagged("float", repr(real))


def _text(text: str) -> Any:
    parts = _WITHIN_PAIR.split(text)
    return text if len(parts) == 1 else _tagged("str", parts)


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
        found = kind(revived)
    except TypeError:
        return revived
    if len(found) < len(revived):
        raise ValueError("two items of a set come back as the same")
    return found


def _in_zone(value: Any) -> datetime:
    text, fold, name = value
    return zones.moved(datetime.fromisoformat(text).replace(fold=fold), name)


_READERS: dict[str, Callable[[Any], Any]] = {
    "dict": _dict,
    "tuple": lambda items: tuple(revive(item) for item in items),
    "set": partial(_set, set),
    "frozenset": partial(_set, frozenset),
    "datetime": datetime.fromisoformat,
    "datetime.zone": _in_zone,
    "datetime.fold": lambda text: datetime.fromisoformat(text).replace(fold=1),
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "time.fold": lambda text: time.fromisoformat(text).replace(fold=1),
    "timedelta": partial(msgspec.convert, type=timedelta),
    "decimal": Decimal,
    "uuid": UUID,
    "path": lambda text: Path(revive(text)),
    "bytes": partial(base64.b64decode, validate=True),
    "float": float,
    "str": "".join,
    "int": partial(int, base=16),
    **scientific.READERS,
}
