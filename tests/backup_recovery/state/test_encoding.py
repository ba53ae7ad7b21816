"""Values survive as JSON, and what cannot is refused with its place."""

import enum
import json
import math
import threading
from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peak_observe.backup_recovery.state.encoding import plain, revive


@dataclass(frozen=True)
class Position:
    """What a provider might return."""

    symbol: str
    size: Decimal


class Order(msgspec.Struct):
    """The same, as a struct."""

    side: str


class Side(enum.Enum):
    """A plain enum."""

    BUY = "buy"


class Action(enum.Enum):
    """Another one with an equal value."""

    BUY = "buy"


class Three(enum.Enum):
    """One that equals no number, though its value does."""

    IT = 3


class Level(enum.IntEnum):
    """An enum that is a number too."""

    HIGH = 3


class Name(str):
    """A string that writes itself in another way."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"


Pair = namedtuple("Pair", "base quote")  # noqa: PYI024 - the untyped kind is what much code has


class Scalar:
    """Behaves as a numpy scalar does, as far as it matters here."""

    def __init__(self, value: object) -> None:
        self._value = value

    def item(self) -> object:
        """Return a plain number."""
        return self._value


class Frame:
    """Behaves as a table or series of polars with one value does."""

    def __len__(self) -> int:
        return 1

    def item(self) -> float:
        """Return that value, without what it is the value of."""
        return 1.5


class Array:
    """Behaves as a numpy array does, whose `item` is for arrays of one element only."""

    def item(self) -> object:
        """Refuse, as there are several."""
        raise ValueError("can only convert an array of size 1")

    def tolist(self) -> list[list[float]]:
        """Return nested lists."""
        return [[1.0, 2.0], [3.0, math.inf]]


BERLIN = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))


def back(value: object) -> object:
    """Return what comes back of `value` after it was text."""
    return revive(json.loads(json.dumps(plain(value), allow_nan=False)))


SAME = [
    None,
    True,
    0,
    -(2**62),
    2**2000,
    0.1,
    -0.0,
    math.inf,
    -math.inf,
    "",
    "Grüße 🚀",
    "\ud83d\ude00",
    "a\ud83d\ude00\ud83d\ude00\ude00\ud83db",
    {"\ud83d\ude00": 1, "\U0001f600": 2},
    Path("\ud83d\ude00"),
    [],
    {},
    [1, [2, {"a": [None]}]],
    {"$type": "decimal", "value": "1"},
    {"$type": {"$type": ["x"]}, "other": 1},
    {1: "a", None: "b", (1, "x"): "c", Decimal("1.5"): "d", "e": 5},
    {date(2026, 1, 1): {UUID(int=1): Decimal(1)}},
    (),
    (1, (2, [3])),
    set(),
    {1, "a", (2, 3), frozenset({4})},
    frozenset({Decimal("0.1")}),
    datetime(2026, 1, 31, 23, 59, 59, 999_999),  # noqa: DTZ001 - naive ones are kept as well
    datetime(2026, 1, 31, tzinfo=UTC),
    datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    BERLIN,
    datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),  # which no clock has shown
    datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
    time(1, tzinfo=ZoneInfo("UTC")),
    date(2026, 2, 28),
    time(23, 59, 1, 5),
    time(1, tzinfo=UTC),
    timedelta(days=-1, microseconds=1),
    timedelta.max,
    timedelta.min,
    Decimal("1.10"),
    Decimal("-Infinity"),
    Decimal("1E+1000"),
    UUID(int=2**127),
    Path("/data/positions.csv"),
    b"",
    bytes(range(256)),
]


@pytest.mark.parametrize("value", SAME, ids=lambda value: type(value).__name__)
def test_it_comes_back_the_same(value: object) -> None:
    """Equal, of the same type, and written in the same way."""
    found = back(value)
    assert (found, type(found)) == (value, type(value))
    assert getattr(found, "fold", 0) == getattr(value, "fold", 0)
    if isinstance(value, datetime):
        assert repr(found) == repr(value)
    if not isinstance(value, set | frozenset):
        assert str(found) == str(value)


CHANGED = [
    (Position("BTC/USD", Decimal("0.10")), {"symbol": "BTC/USD", "size": Decimal("0.10")}),
    ({Position("BTC/USD", Decimal(1))}, [{"symbol": "BTC/USD", "size": Decimal(1)}]),
    (Order("buy"), {"side": "buy"}),
    (Pair("BTC", "USD"), ("BTC", "USD")),
    ({Pair("BTC", "USD"): 1}, {("BTC", "USD"): 1}),
    (Side.BUY, "buy"),
    ({Side.BUY: 1}, {"buy": 1}),
    (Level.HIGH, 3),
    (Name("as it is"), "as it is"),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (UserDict(a=1), {"a": 1}),
    (deque([1, 2], maxlen=2), [1, 2]),
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"ab"), b"ab"),
    (PurePosixPath("a/b"), Path("a/b")),
    (Scalar(1.5), 1.5),
    (Scalar(datetime(2026, 1, 1, tzinfo=UTC)), datetime(2026, 1, 1, tzinfo=UTC)),
    (Array(), [[1.0, 2.0], [3.0, math.inf]]),
]


@pytest.mark.parametrize(("value", "expected"), CHANGED, ids=lambda value: type(value).__name__)
def test_it_comes_back_as_documented(value: object, expected: object) -> None:
    """What has no like in JSON comes back as the table says."""
    found = back(value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("value", [math.nan, Scalar(math.nan), Decimal("NaN")])
def test_not_a_number_is_kept(value: object) -> None:
    """NaN equals nothing, but it is still one."""
    assert math.isnan(back(value))


# A loaded machine is no fault of the code.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.just("$type"),
    st.binary(),
    st.decimals(allow_nan=False),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)
HASHABLE = st.recursive(LEAVES, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
VALUES = st.recursive(
    HASHABLE | st.sets(HASHABLE, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HASHABLE, inner, max_size=3),
    max_leaves=10,
)


def test_a_number_that_python_would_not_write_is_kept() -> None:
    """An int of 30,000 decimal digits has a text in another base only."""
    assert isinstance(plain(2**100_000), dict)
    kept = back(2**100_000) == 2**100_000
    assert kept


@PATIENT
@given(value=VALUES)
def test_anything_of_these_types_comes_back(value: object) -> None:
    """However they are nested."""
    found = back(value)
    assert (found, type(found)) == (value, type(value))


def test_the_same_set_is_the_same_text() -> None:
    """Whatever order its items have in memory, so that two states can be compared."""
    assert plain({8, 0, 16, "a"}) == plain({"a", 16, 0, 8})


def test_the_copy_is_independent() -> None:
    """What the program changes afterwards does not change what was taken."""
    orders = [1]
    taken = plain({"orders": orders})
    orders.append(2)
    assert taken == {"orders": [1]}


def test_a_lock_is_refused_with_its_place() -> None:
    """The message leads to the very item."""
    with pytest.raises(ValueError, match=r"^value\['workers'\]\[1\] is a _thread\.\w+, which JSON has no form for$"):
        plain({"first": [1, 2], "workers": [{}, threading.Lock()]})


def test_a_class_is_refused() -> None:
    """A dataclass itself is no value of it."""
    with pytest.raises(ValueError, match=r"is a builtins\.type"):
        plain(Position)


def test_what_holds_itself_is_refused() -> None:
    """Also when it does so twice, which would unfold without end."""
    value: dict[str, object] = {}
    value["a"] = value["b"] = [value]
    with pytest.raises(ValueError, match=r"value\['a'\]\[0\] holds itself"):
        plain(value)


def test_the_same_list_in_two_places_is_no_circle() -> None:
    """Only a reference to what is around is one."""
    shared = [1]
    assert plain([shared, shared, (shared,)])[:2] == [[1], [1]]


def test_too_deep_is_refused() -> None:
    """With words and not with a RecursionError; 64 levels pass."""
    value: list[object] = []
    for _ in range(63):
        value = [value]
    assert back(value) == value
    with pytest.raises(ValueError, match="is nested deeper than 64 levels"):
        plain([value])


def test_a_scalar_that_gives_itself_is_refused() -> None:
    """As numpy's long double does."""
    scalar = Scalar(None)
    scalar._value = scalar
    with pytest.raises(ValueError, match="value holds itself"):
        plain(scalar)


def test_a_bomb_of_references_is_refused() -> None:
    """Sixty lists that hold the next one twice would be a billion billion items."""
    value: list[object] = [1]
    for _ in range(60):
        value = [value, value]
    with pytest.raises(ValueError, match="too many items"):
        plain(value, max_items=1000)


def test_keys_that_would_be_one_are_refused() -> None:
    """None of two values is lost in silence."""
    with pytest.raises(ValueError, match="two keys of a dict come back as the same"):
        back({Side.BUY: 1, "buy": 2})


@pytest.mark.parametrize("kind", [set, frozenset])
@pytest.mark.parametrize(
    "items",
    [(Side.BUY, "buy"), (Side.BUY, Action.BUY), (PurePosixPath("a"), PureWindowsPath("a")), (Level.HIGH, Three.IT)],
    ids=repr,
)
def test_items_that_would_be_one_are_refused(kind: type, items: tuple[object, ...]) -> None:
    """A set loses none of them in silence either."""
    with pytest.raises(ValueError, match="two items of a set come back as the same"):
        back([kind(items)])


def test_a_time_whose_offset_depends_on_the_day_is_refused() -> None:
    """It would be naive afterwards."""
    with pytest.raises(ValueError, match=r"^value\['at'\] is a time in Europe/Berlin, whose offset depends on a day"):
        plain({"at": time(1, 2, tzinfo=ZoneInfo("Europe/Berlin"))})


def test_a_table_of_one_value_is_refused() -> None:
    """And not made that value."""
    with pytest.raises(ValueError, match=r"\.Frame, which JSON has no form for"):
        plain(Frame())


def test_a_zone_that_this_host_does_not_know_leaves_the_offset() -> None:
    """A restore elsewhere does not fail for want of its rules."""
    written = plain(BERLIN)
    written["value"][2] = "Europe/Atlantis"
    assert repr(revive(written)) == repr(BERLIN.astimezone(timezone(timedelta(hours=2))))


def test_a_zone_with_other_rules_keeps_the_moment() -> None:
    """As where a country gave up its summer time after the backup."""
    written = plain(BERLIN)
    written["value"][2] = "Africa/Lagos"
    found = revive(written)
    assert (found, str(found.tzinfo), found.hour) == (BERLIN, "Africa/Lagos", 11)


def test_a_key_that_comes_back_unhashable_is_refused() -> None:
    """A dataclass as a key would be a dict."""
    with pytest.raises(ValueError, match="is no dict"):
        back({Position("BTC/USD", Decimal(1)): 1})


BROKEN = [
    {"$type": "quaternion", "value": 1},
    {"$type": []},
    {"$type": "datetime"},
    {"$type": "datetime", "value": "yesterday"},
    {"$type": "decimal", "value": "ten"},
    {"$type": "decimal", "value": {}},
    {"$type": "uuid", "value": 5},
    {"$type": "timedelta", "value": "1 h"},
    {"$type": "bytes", "value": "*"},
    {"$type": "int", "value": 1},
    {"$type": "tuple", "value": None},
    {"$type": "dict", "value": [["a"]]},
    {"$type": "dict", "value": 3},
    {"$type": "str", "value": None},
    {"$type": "datetime.zone", "value": ["2026-01-01"]},
    {"$type": "datetime.zone", "value": ["2026-01-01", 0, 5]},
]


@pytest.mark.parametrize("value", BROKEN, ids=str)
def test_what_nobody_wrote_is_refused(value: object) -> None:
    """A damaged text is one ValueError."""
    with pytest.raises(ValueError):
        revive(value)
