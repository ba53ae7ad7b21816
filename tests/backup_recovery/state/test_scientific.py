"""Times of pandas and numpy come back as they were."""

import json
from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from peak_observe.backup_recovery.state.encoding import plain, revive

NAIVE, NEW_YEAR = datetime.fromisoformat("2026-10-25T02:30:00"), datetime.fromisoformat("2026-01-01T00:00:00")
NANO = "2026-01-01T00:00:00.123456789"


def there_and_back(value: object) -> object:
    """Return what comes back of a value, through text."""
    return revive(json.loads(json.dumps(plain(value))))


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp(NANO),
        pd.Timestamp(NANO + "+01:00"),
        pd.Timestamp("2026-01-01", tz="Europe/Berlin"),
        pd.Timestamp("2026-10-25T00:30", tz="UTC").tz_convert("Europe/Berlin"),
        pd.Timestamp("2026-10-25T01:30", tz="UTC").tz_convert("Europe/Berlin"),
        pd.Timestamp(NANO, tz="America/New_York"),
        pd.Timestamp("1890-01-01", tz="Europe/Berlin").as_unit("s"),
        pd.Timestamp("2026-01-01", tz="UTC"),
        pd.Timestamp("3000-01-01"),
        pd.Timestamp("1677-10-01").as_unit("s"),
        pd.Timedelta(-5, "ns"),
        pd.Timedelta(3, "D"),
        pd.Timedelta(10**6, "s").as_unit("s"),
        np.datetime64(NANO),
        np.datetime64("2026", "Y"),
        np.datetime64(5, "25s"),
        np.datetime64(-5, "as"),
        np.timedelta64(7, "W"),
        np.timedelta64(7),
        np.timedelta64(-(2**63) + 1, "ns"),
    ],
    ids=repr,
)
def test_a_time_comes_back_as_it_was(value: object) -> None:
    """With its nanoseconds, its type, its unit and its time zone."""
    back = there_and_back({"at": [value]})["at"][0]
    assert (type(back), back) == (type(value), value)
    for fact in ("unit", "dtype", "nanosecond", "fold"):
        assert getattr(back, fact, None) == getattr(value, fact, None)
    assert str(getattr(back, "tzinfo", None)) == str(getattr(value, "tzinfo", None))


@pytest.mark.parametrize("value", [pd.NaT, pd.NA])
def test_what_is_missing_is_still_missing(value: object) -> None:
    """NaT is a datetime too, and was the year 1."""
    assert there_and_back(value) is value


@pytest.mark.parametrize("value", [np.datetime64("NaT"), np.datetime64("NaT", "ns"), np.timedelta64("NaT", "s")])
def test_a_missing_time_of_numpy_is_still_missing(value: np.generic) -> None:
    """With its unit."""
    back = there_and_back(value)
    assert np.isnat(back)
    assert back.dtype == value.dtype


@pytest.mark.parametrize(
    "value",
    [
        NAIVE.replace(fold=1),
        datetime(2026, 10, 25, 2, 30, tzinfo=UTC, fold=1),
        time(2, 30, fold=1),
        pd.Timestamp("2026-10-25T02:30:00").replace(fold=1),
    ],
    ids=repr,
)
def test_the_second_of_two_equal_hours_stays_the_second(value: datetime) -> None:
    """Clocks are set back once a year."""
    back = there_and_back(value)
    assert (back, back.fold, type(back)) == (value, 1, type(value))


def test_series_and_arrays_come_back_as_lists_of_times() -> None:
    """Not as numbers of nanoseconds, whatever their shape."""
    one, two = pd.Timestamp(1, unit="ns"), np.datetime64(1, "ns")
    assert there_and_back(pd.Series([one, pd.NaT])) == [one, pd.NaT]
    assert there_and_back(pd.Series([1, None], dtype="Int64")) == [1, pd.NA]
    assert there_and_back(pd.DatetimeIndex([one])) == [one]
    assert there_and_back(np.array([[two], [two]])) == [[two], [two]]
    assert there_and_back(np.array(two)) == two
    record = np.array([(two, 5)], dtype=[("at", "M8[ns]"), ("price", "i8")])
    assert there_and_back(record) == [(two, 5)]
    assert there_and_back({one: {pd.NaT}}) == {one: {pd.NaT}}


TIMES = np.array([[NANO, "NaT"]], dtype="M8[ns]")
PRICED = np.dtype([("at", "M8[ns]"), ("price", "i8")])


class Own(np.ndarray):
    """An array of somebody's own."""


@pytest.mark.parametrize(
    "value",
    [TIMES.view(Own), TIMES.view(np.matrix), np.ma.array(TIMES), TIMES - TIMES[0, 0], (TIMES - TIMES[0, 0]).view(Own)],
    ids=lambda value: f"{type(value).__name__}-{value.dtype.kind}",
)
def test_times_in_arrays_of_any_kind_are_no_numbers(value: np.ndarray) -> None:
    """Whoever made a subclass of an array."""
    [[at, missing]] = there_and_back(value)
    assert (at, at.dtype) == (np.asarray(value)[0, 0], value.dtype)
    assert np.isnat(missing)


def test_what_a_mask_hides_stays_hidden() -> None:
    """As None, beside times as beside numbers, and in records."""
    at = TIMES[0, 0]
    assert there_and_back(np.ma.array([at, at], mask=[False, True])) == [at, None]
    assert there_and_back(np.ma.array([1, 2], mask=[False, True])) == [1, None]
    assert there_and_back(np.ma.array(at)) == at
    assert there_and_back(np.ma.array([(at, 5)], dtype=PRICED, mask=[(False, True)])) == [(at, None)]
    assert there_and_back(np.ma.array([(at, 5)], dtype=PRICED, mask=[(True, False)])) == [(None, 5)]


def test_records_keep_their_times() -> None:
    """Of an array of them, and of one alone."""
    records = np.rec.array([(TIMES[0, 0], 5)], dtype=PRICED)
    assert there_and_back(records) == [(TIMES[0, 0], 5)]
    assert there_and_back(records[0]) == (TIMES[0, 0], 5)


@pytest.mark.parametrize(
    "value",
    [pd.Series({"BTC": 1.5, "ETH": 2}), pd.Series([1, 2, 3])[1:], pd.Series([1, 2], index=[1, 0])],
    ids=["labels", "slice", "order"],
)
def test_a_series_with_an_index_of_its_own_is_refused(value: pd.Series) -> None:
    """A list would lose which number is whose."""
    with pytest.raises(ValueError, match=r"^value\['x'\] is a Series with an index of its own"):
        plain({"x": value})
    assert there_and_back(value.to_dict()) == value.to_dict()
    assert there_and_back(value.reset_index(drop=True)) == value.tolist()


def test_an_empty_series_is_an_empty_list() -> None:
    """Its index has nothing to lose."""
    assert there_and_back(pd.Series([1, 2])[:0]) == []
    assert there_and_back(pd.Series({}, dtype=float)) == []


def test_a_zone_that_this_host_does_not_know_leaves_utc() -> None:
    """A restore elsewhere does not fail for want of its rules."""
    value = pd.Timestamp(NANO, tz="Europe/Berlin")
    written = plain(value)
    written["value"][2] = "Europe/Atlantis"
    back = revive(written)
    assert (back, str(back.tzinfo)) == (value, "UTC")


@pytest.mark.parametrize("value", [pd.Period("2026-01"), pd.Interval(1, 2), np.longdouble(1), pd.DataFrame({"a": [1]})])
def test_what_has_no_form_is_refused_by_name(value: object) -> None:
    """With its place."""
    with pytest.raises(ValueError, match=rf"value\['x'\] is a {type(value).__module__}.{type(value).__name__}, which"):
        plain({"x": value})


BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.NaT, None),
        (pd.NA, None),
        (np.datetime64("NaT"), None),
        (np.timedelta64("NaT"), None),
        (pd.Timestamp("2026-01-01T00:00:00.123456+01:00"), datetime(2026, 1, 1, 0, 0, 0, 123456, BERLIN)),
        (pd.Timestamp("2026-10-25T02:30:00").replace(fold=1), NAIVE.replace(fold=1)),
        (
            pd.Timestamp("2026-10-25T01:30Z").tz_convert("Europe/Berlin"),
            NAIVE.replace(fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        ),
        (pd.Timestamp(NANO), NANO),
        (pd.Timedelta(1, "s").as_unit("s"), timedelta(seconds=1)),
        (pd.Timedelta(1, "ns"), "1 ns"),
        (np.datetime64("2026-01-01"), NEW_YEAR),
        (np.datetime64("2026-01"), "2026-01"),
        (np.timedelta64(2, "D"), timedelta(days=2)),
        (np.timedelta64(2**62, "D"), f"{2**62} D"),
    ],
    ids=repr,
)
def test_without_the_library_a_plain_value_comes_back(
    value: object, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is exactly as much, or the text: a restore elsewhere must not fail for want of pandas."""
    text = json.dumps(plain(value))

    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("peak_observe.backup_recovery.state.scientific.import_module", missing)
    back = revive(json.loads(text))
    assert (back, type(back), getattr(back, "fold", 0)) == (expected, type(expected), getattr(expected, "fold", 0))
