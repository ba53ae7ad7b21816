"""Times of pandas and numpy as JSON, and back as they were; neither is imported unless a value of it is there.

Where the library is not installed when a value comes back, it comes as a plain value that is exactly as much:
`datetime` or `timedelta`, or its text where these are too coarse, and None for NaT and NA.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from peak_observe.backup_recovery.state import zones

if TYPE_CHECKING:
    from collections.abc import Callable

NAT = "NaT"


def encoded(value: object) -> tuple[str, Any] | None:
    """Return `$type` and `value` of a time of pandas or numpy, or None if it is something else."""
    for kind in type(value).__mro__:
        library = kind.__module__.partition(".")[0]
        write = _WRITERS.get((library, kind.__name__)) if library in ("numpy", "pandas") else None
        if write is not None:
            return write(value, kind)
    return None


def is_labelled(value: Any) -> bool:
    """Return whether it is a Series of pandas whose index says more than the places in a list do."""
    if not isinstance(value, _loaded("pandas", "Series")):
        return False
    index = value.index
    # False and 0.0 equal 0.
    plain = index.inferred_type == "integer" or not len(index)
    return not (plain and index.equals(import_module("pandas").RangeIndex(len(index))))


def unpacked(value: Any) -> Any:
    """Return what is in an array of numpy whose `tolist` makes numbers of times; None if it is something else."""
    of_numpy = isinstance(value, _loaded("numpy", "ndarray") + _loaded("numpy", "generic"))
    if not of_numpy or value.dtype.kind not in "mMV":
        return None
    if value.ndim:
        numpy = import_module("numpy")
        # A row of a matrix is a matrix again, for ever; what a mask hides stays hidden.
        return list(value if isinstance(value, numpy.ma.MaskedArray) else numpy.asarray(value))
    if value.dtype.names:  # a record, of whose fields each keeps its type
        return tuple(value[name] for name in value.dtype.names)
    return None if value.dtype.kind == "V" else value[()]


def _loaded(library: str, name: str) -> tuple[Any, ...]:
    """Return a class of a library, if that is imported; without it, there is no value of the class."""
    found = getattr(sys.modules.get(library), name, None)
    return () if found is None else (found,)


def _timestamp(value: Any, kind: Any) -> tuple[str, Any]:
    name = zones.name_of(value.tzinfo) or getattr(value.tzinfo, "zone", None)  # the latter of pytz
    if isinstance(name, str):
        return "pandas.timestamp.zone", [kind.isoformat(value.tz_convert("UTC")), value.unit, name]
    return "pandas.timestamp", [kind.isoformat(value), value.unit, value.fold]


def _timedelta(value: Any, _: object) -> tuple[str, Any]:
    return "pandas.timedelta", [value.asm8.astype("int64").item(), value.unit]


def _datetime64(value: Any, kind: Any) -> tuple[str, Any]:
    return "numpy.datetime64", [kind.__str__(value), *_unit(value)]


def _timedelta64(value: Any, kind: Any) -> tuple[str, Any]:
    text = kind.__str__(value)
    return "numpy.timedelta64", [text if text == NAT else value.astype("int64").item(), *_unit(value)]


def _unit(value: Any) -> tuple[str, int]:
    unit, count = import_module("numpy").datetime_data(value.dtype)
    return unit, count


_WRITERS: dict[tuple[str, str], Callable[[Any, Any], tuple[str, Any]]] = {
    ("pandas", "Timestamp"): _timestamp,
    ("pandas", "Timedelta"): _timedelta,
    ("pandas", "NaTType"): lambda *_: ("pandas.nat", None),
    ("pandas", "NAType"): lambda *_: ("pandas.na", None),
    ("numpy", "datetime64"): _datetime64,
    ("numpy", "timedelta64"): _timedelta64,
}


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def _as_timestamp(value: Any) -> Any:
    text, unit, fold = value
    pandas = _library("pandas")
    if pandas is None:
        return _as_datetime(text, fold)
    return pandas.Timestamp(text).as_unit(unit).replace(fold=fold)


def _as_timestamp_in_zone(value: Any) -> Any:
    text, unit, name = value
    found = _as_timestamp([text, unit, 0])
    convert = getattr(found, "tz_convert", None)
    if convert is not None:
        return found if zones.known(name) is None else convert(name)
    return zones.moved(found, name) if isinstance(found, datetime) else found


def _as_pandas_timedelta(value: Any) -> Any:
    count, unit = value
    pandas = _library("pandas")
    return _as_timedelta(count, unit) if pandas is None else pandas.Timedelta(count, unit).as_unit(unit)


def _as_datetime64(value: Any) -> Any:
    text, unit, count = value
    numpy = _library("numpy")
    if numpy is None:
        return None if text == NAT else _as_datetime(text, 0)
    return numpy.datetime64(text, (unit, count))


def _as_timedelta64(value: Any) -> Any:
    count, unit, step = value
    numpy = _library("numpy")
    if numpy is None:
        return None if count == NAT else _as_timedelta(count * step, unit)
    return numpy.timedelta64(count, (unit, step))


def _as_datetime(text: str, fold: int) -> datetime | str:
    try:
        found = datetime.fromisoformat(text).replace(fold=fold)
    except ValueError:
        return text  # a unit or a year that it does not know
    return text if len(text.partition(".")[2].partition("+")[0].partition("-")[0]) > 6 else found  # noqa: PLR2004 - digits


_MICROSECONDS = {"us": 1, "ms": 10**3, "s": 10**6, "m": 6 * 10**7, "h": 36 * 10**8, "D": 864 * 10**8}


def _as_timedelta(count: int, unit: str) -> timedelta | str:
    step = _MICROSECONDS.get(unit)
    try:
        return f"{count} {unit}" if step is None else timedelta(microseconds=count * step)
    except OverflowError:
        return f"{count} {unit}"


READERS: dict[str, Callable[[Any], Any]] = {
    "pandas.timestamp": _as_timestamp,
    "pandas.timestamp.zone": _as_timestamp_in_zone,
    "pandas.timedelta": _as_pandas_timedelta,
    "pandas.nat": lambda _: getattr(_library("pandas"), "NaT", None),
    "pandas.na": lambda _: getattr(_library("pandas"), "NA", None),
    "numpy.datetime64": _as_datetime64,
    "numpy.timedelta64": _as_timedelta64,
}
