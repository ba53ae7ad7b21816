"""Bounded table of names, with the sum over the living and the collected primitives of each name."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from copy import copy
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from peak_observe.measures import forks
from peak_observe.observers import EVERYBODY, emit
from peak_observe.support.shown import label, shown

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_LIMIT = 1000
EXCEPTION_LIMIT = 20
OVERFLOW = "_overflow"
OTHER = "_other"


class Reading(Protocol):
    """Protocol of a reading that can be summed over a name."""

    def add(self, other: Self, /) -> None:
        """Take in another reading of the same name."""
        ...

    def retire(self) -> None:
        """Forget what only the living have."""
        ...


class Sweeper(Protocol):
    """Protocol of what takes idle names away."""

    def sweep(self) -> None:
        """Take away what is idle."""
        ...


R = TypeVar("R", bound=Reading)

_waiting: list[Callable[[], object]] = []
_any_name = False


def when_named(callback: Callable[[], object]) -> None:
    """Call `callback`, from any thread, as soon as there is a name of any kind; it has to bear a second call."""
    _waiting.append(callback)
    if _any_name:
        callback()


def _named() -> None:
    global _any_name  # noqa: PLW0603 - the first name of the process is made once
    _any_name = True
    for callback in tuple(_waiting):
        callback()


class Series(Generic[R]):
    """All primitives of one name: the living ones, and the sum of those that were collected.

    Args:
        name: The label value.
        bounds: Upper bounds of the latency buckets, the same for all of the name.
    """

    def __init__(self, name: str, bounds: tuple[float, ...]) -> None:
        self.name = name
        self.bounds = bounds
        self._retired: R | None = None
        self._members: list[tuple[weakref.ref[object], Callable[[], R]]] = []
        self._exceptions: set[str] = set()
        self._lock = threading.Lock()
        self._sweep_at = 16

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def join(self, owner: object, read: Callable[[], R]) -> None:
        """Count what `read` tells as long as `owner` lives, and its last word after that; `read` must not hold it."""
        with self._lock:
            self._members.append((weakref.ref(owner), read))
            if len(self._members) >= self._sweep_at:
                self._sweep()
                self._sweep_at = 2 * len(self._members) + 16

    def owners(self) -> list[object]:
        """Return the living primitives, oldest first."""
        with self._lock:
            members = list(self._members)
        return [owner for ref, _ in members if (owner := ref()) is not None]

    def exception_label(self, exception: str) -> str:
        """Return the class name to count an exception under: its own, or `_other` when there are 20 already."""
        with self._lock:
            if exception not in self._exceptions:
                if len(self._exceptions) >= EXCEPTION_LIMIT:
                    return OTHER
                self._exceptions.add(exception)
        return exception

    def read(self) -> R | None:
        """Return the sum of all members at this moment; None before there was one."""
        with self._lock:
            if len(self._members) == 1 and self._retired is None and self._members[0][0]() is not None:
                return self._members[0][1]()
            self._sweep()
            readings = [read() for _, read in self._members]
            if self._retired is not None:
                readings.insert(0, copy(self._retired))
        if not readings:
            return None
        total = readings[0]
        for reading in readings[1:]:
            total.add(reading)
        return total

    def _sweep(self) -> None:
        if all(ref() is not None for ref, _ in self._members):
            return
        living = []
        for ref, read in self._members:
            if ref() is not None:
                living.append((ref, read))
            elif self._retired is None:
                self._retired = read()
                self._retired.retire()
            else:
                self._retired.add(read())
                self._retired.retire()
        self._members = living


class Names(Generic[R]):
    """Bounded table of the names of one kind.

    Args:
        kind: What is named, for the warning: `breaker`, `operation`.
        limit: How many names get series of their own.
    """

    def __init__(self, kind: str, limit: int = NAME_LIMIT) -> None:
        self.kind = kind
        self.limit = limit
        self._series: dict[str, Series[R]] = {}
        self._gone: OrderedDict[str, Series[R]] = OrderedDict()
        self._sweepers: weakref.WeakSet[Sweeper] = weakref.WeakSet()
        self._lock = threading.Lock()
        forks.renew(self)

    def after_fork(self) -> None:
        """Make all locks anew in a forked child."""
        self._lock = threading.Lock()
        for series in (*self._series.values(), *self._gone.values()):
            series.after_fork()

    def series(self, name: str, bounds: tuple[float, ...] = ()) -> Series[R]:
        """Return the series of `name`, without the secrets that it may hold, made when it is new.

        Raises:
            ValueError: The name is not a string that UTF-8 can hold, or was used with other buckets before.
        """
        check_name(name)
        name = label(name)
        with self._lock:
            full = name not in self._series and len(self._series) >= self.limit
            key = OVERFLOW if full else name
            first_too_many = full and OVERFLOW not in self._series
            if not full and key in self._gone:
                self._series[key] = self._gone.pop(key)
            found = self._series.setdefault(key, Series(key, bounds))
        if not _any_name:
            _named()
        if first_too_many:
            from peak_observe.events import NamesOverflowed  # late, as in most programs it never happens

            emit(NamesOverflowed(self.kind, name, self.limit))
        if not full and found.bounds != bounds:
            raise ValueError(
                f"buckets of {self.kind} {name!r} are {found.bounds} already: use the same or another name"
            )
        return found

    def retire(self, series: Series[R]) -> None:
        """Take the series of a name away; if the name comes back its counts go on where they were.

        As many are remembered as there may be names; one that was forgotten begins at 0 again.
        """
        with self._lock:
            if self._series.get(series.name) is series:
                self._gone[series.name] = self._series.pop(series.name)
                self._gone.move_to_end(series.name)
                while len(self._gone) > self.limit:
                    self._gone.popitem(last=False)

    def revive(self, series: Series[R]) -> None:
        """Bring a series back that was taken away, if its name is not taken."""
        with self._lock:
            if series.name not in self._series and len(self._series) < self.limit:
                self._gone.pop(series.name, None)
                self._series[series.name] = series

    def swept_by(self, sweeper: Sweeper) -> None:
        """Let `sweeper` take idle names away before each reading, for as long as it lives."""
        self._sweepers.add(sweeper)

    def known(self) -> list[Series[R]]:
        """Return all series in the order of their creation."""
        with self._lock:
            return list(self._series.values())

    def get(self, name: str) -> Series[R] | None:
        """Return the series of `name` if there is one."""
        return self._series.get(label(name))

    def read(self) -> list[tuple[str, R]]:
        """Return every name with its reading."""
        for sweeper in tuple(self._sweepers):
            sweeper.sweep()
        pairs = ((series.name, series.read()) for series in self.known())
        return [(name, reading) for name, reading in pairs if reading is not None]


forks.renew(EVERYBODY)


def check_name(name: object) -> None:
    """Raise ValueError unless `name` can be a label value."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be a string that is not empty, not {shown(name)}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"name {shown(name)} cannot be written as UTF-8") from None
