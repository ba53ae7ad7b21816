"""Subclasses of what the state can hold: however they write themselves, what they hold comes back or is refused."""

import array
import base64
import enum
import json
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import PosixPath
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from peak_observe.backup_recovery.state.encoding import plain, revive


def short(kind: type, **methods: Callable) -> type:
    """Return a subclass that shows less than it holds."""
    return type(f"Short{kind.__name__}", (kind,), methods)


def other(*_: object, **__: object) -> str:
    """Tell what says nothing of the value."""
    return "2020-01-01"


Price = short(Decimal, __str__=lambda self: format(Decimal(self), ".2f"))
Order = short(UUID, __str__=other)
Moment = short(datetime, isoformat=other, utcoffset=lambda _: None)
Hour = short(time, isoformat=other, utcoffset=lambda _: None)
Span = short(timedelta, total_seconds=lambda _: 0.0, __str__=other)
Place = short(PosixPath, __str__=other)
Raw = short(bytes, __str__=other, __bytes__=lambda _: b"")
Count = short(int, __str__=other, __repr__=other, __index__=lambda _: 0)
Rate = short(float, __str__=other, __repr__=other, __float__=lambda _: 0.0)
Name = short(str, __str__=other)


class Side(enum.Enum):
    """An enum that tells its value in another way."""

    BUY = "buy"

    @property
    def value(self) -> str:
        """Show something else."""
        return "?"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Price("64000.12345678"), Decimal("64000.12345678")),
        (Order(int=7), UUID(int=7)),
        (Moment(2026, 7, 1, 12, 30, 15, 5), datetime.fromisoformat("2026-07-01T12:30:15.000005")),
        (Moment(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)),
        (Hour(12, 30, 15, 5), time(12, 30, 15, 5)),
        (Hour(12, tzinfo=UTC), time(12, tzinfo=UTC)),
        (Span(days=1, microseconds=7), timedelta(days=1, microseconds=7)),
        (Span(-5), timedelta(-5)),
        (Place("/srv/bot"), PosixPath("/srv/bot")),
        (Raw(b"held"), b"held"),
        (Count(7), 7),
        (Rate(0.5), 0.5),
        (Name("name"), "name"),
        (Side.BUY, "buy"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_it_holds_comes_back(value: object, expected: object) -> None:
    """And not what it shows."""
    found = revive(json.loads(json.dumps(plain({"key": value}))))["key"]
    assert found == expected
    assert str(found) == str(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "view", [memoryview(b"abcdef")[::2], memoryview(b"abc")[::-1], memoryview(array.array("i", [1, 2, 3]))[::2]]
)
def test_a_view_of_every_second_byte_is_its_bytes(view: memoryview) -> None:
    """Base64 by itself takes only what lies together."""
    assert revive(plain(view)) == view.tobytes()
    assert base64.b64decode(plain(view)["value"]) == view.tobytes()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (short(list, __iter__=lambda _: iter([1]))([1, 2]), "list"),
        (short(list, __iter__=lambda _: iter([3, 4]))(), "list"),
        (short(deque, __iter__=lambda _: iter([1]))([1, 2]), "deque"),
        (short(tuple, __iter__=lambda _: iter([1]))([1, 2]), "tuple"),
        (short(set, __iter__=lambda _: iter([1]))([1, 2]), "set"),
        (short(frozenset, __iter__=lambda _: iter([1]))([1, 2]), "frozenset"),
        (short(dict, items=lambda _: [("a", 1)])(a=[1, 2]), "dict"),
        (short(OrderedDict, items=lambda _: [])(a=1), "dict"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_tells_other_items_than_it_holds_is_refused(value: object, name: str) -> None:
    """One or the other would be lost, and nobody knows which of them counts."""
    with pytest.raises(ValueError, match=rf"^value\['key'\] is a .*Short.*: give a {name} of what counts"):
        plain({"key": value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (short(list, __iter__=lambda self: iter(self[:]), __len__=lambda _: 1)([1, 2]), [1, 2]),
        (short(set, __iter__=lambda self: iter(sorted(self.copy())))([1, 2]), {1, 2}),
        (short(dict, items=lambda self: [(key, self[key]) for key in sorted(self)])(b=1, a=2), {"a": 2, "b": 1}),
        (short(dict, __getitem__=other, __iter__=lambda _: iter(()), keys=lambda _: [])(a=1), {"a": 1}),
    ],
)
def test_what_tells_what_it_holds_is_taken(value: object, expected: object) -> None:
    """In whatever way it does."""
    assert revive(plain(value)) == expected


def test_an_ordered_dict_keeps_its_order() -> None:
    """It is another one than that of the dict below it."""
    value = short(OrderedDict)(a=1, b=2)
    value.move_to_end("a")
    assert list(revive(plain(value))) == ["b", "a"]


def test_a_timestamp_of_a_subclass_keeps_its_nanoseconds() -> None:
    """It is no plain datetime."""
    moment = pd.Timestamp("2026-07-01 12:00:00.123456789")
    value = short(pd.Timestamp, isoformat=other)(moment)
    assert revive(plain(value)) == moment


@pytest.mark.parametrize("index", [[False, True], [0.0, 1.0], np.array([False, True], dtype=object), ["0", "1"]])
def test_an_index_that_only_equals_places_is_refused(index: object) -> None:
    """False is 0 for Python, but not for whoever asks the index."""
    with pytest.raises(ValueError, match=r"value\['key'\] is a Series with an index of its own"):
        plain({"key": pd.Series([5, 6], index=index)})


@pytest.mark.parametrize("index", [None, [0, 1], pd.Index([0, 1], dtype=object)])
def test_an_index_of_places_is_none(index: object) -> None:
    """Whatever its type."""
    assert plain(pd.Series([5, 6], index=index)) == [5, 6]
