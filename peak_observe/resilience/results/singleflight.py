"""Table of the calls under way, by key, and of results that are kept: one call serves all who ask the same.

After `singleflight` of Go. It makes no call and waits for nothing: callers do, in threads and in tasks of any loop.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from peak_observe import catalog
from peak_observe.errors import DeadlineExceededError
from peak_observe.measures import SHARES, forks
from peak_observe.measures.results import ResultReading
from peak_observe.resilience.common.locking import exclusively

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import TracebackType

    from peak_observe.clock import Clock

MADE, JOINED, CACHED, INTERRUPTED = range(len(catalog.SHARE_OUTCOMES))


class End(NamedTuple):
    """The end of a call: its result, or its exception with the traceback that it had then."""

    result: Any = None
    error: Exception | None = None
    traceback: TracebackType | None = None


class Caller:
    """One caller: the one that makes a call, or one that waits for it.

    The call goes with the one that makes it: if its frame ends in any way, others need not wait.

    Attributes:
        over: Whether the call it waits for has ended.
        end: How it ended; None if whoever made it was interrupted, so that somebody else has to make it.
    """

    __slots__ = ("__weakref__", "end", "over", "waker")

    def __init__(self) -> None:
        self.over = False
        self.end: End | None = None
        self.waker: Callable[[], object] | None = None


class Flight:
    """One call under way.

    Args:
        leader: The caller that makes it.
        abandon: Called if it is gone.

    Attributes:
        followers: The callers that wait for it.
        over: Whether it has ended.
    """

    # It does not keep how it ended: an exception would hold itself, by the frames of its traceback.
    __slots__ = ("_leader", "followers", "over")

    def __init__(self, leader: Caller, abandon: Callable[[Flight], None]) -> None:
        self._leader = ref(leader, lambda _: abandon(self))
        self.followers: list[Caller] = []
        self.over = False

    def led_by(self, caller: Caller) -> bool:
        """Return whether this is the caller that makes it."""
        return self._leader() is caller


class Kept(NamedTuple):
    """A result that is kept, and the second of the clock at which it is too old."""

    result: Any
    until: float


class Singleflight:
    """Calls under way and kept results of one function, for any number of threads and tasks.

    Args:
        name: The label value of the metrics.
        ttl: Seconds for which results are kept.
        max_size: How many results are kept at most; the oldest go first.
        clock: Source of the time.
    """

    def __init__(self, name: str, ttl: float, max_size: int, clock: Clock) -> None:
        self.name = name
        self.series = SHARES.series(name)
        self._ttl = ttl
        self._max_size = max_size
        self._clock = clock
        self._flights: dict[Hashable, Flight] = {}
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._counts = [0] * len(catalog.SHARE_OUTCOMES)
        self._lock = threading.RLock()
        forks.renew(self)

    def enter(self, key: Hashable, caller: Caller) -> Flight | Kept:
        """Return a kept result, the call under way, which the caller joins, or a new one, which it has to make."""
        return exclusively(self._lock, self._enter_locked, key, caller)

    def _enter_locked(self, key: Hashable, caller: Caller) -> Flight | Kept:
        if self._ttl:
            self._expire_locked()
            kept = self._kept.get(key)
            if kept is not None:
                self._counts[CACHED] += 1
                return kept
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(caller, lambda flight: self.end(key, flight, None))
            self._counts[MADE] += 1
        else:
            flight.followers.append(caller)
        return flight

    def wake(self, caller: Caller, waker: Callable[[], object]) -> None:
        """Call `waker` when the call has ended that the caller has joined, from whichever thread ends it."""
        caller.waker = waker
        if caller.over:  # a waker has to bear a second call
            waker()

    def leave(self, flight: Flight, caller: Caller, outcome: int | None) -> None:
        """Remove a caller that waits no more, and count it."""
        exclusively(self._lock, self._leave_locked, flight, caller, outcome)

    def _leave_locked(self, flight: Flight, caller: Caller, outcome: int | None) -> None:
        if outcome is not None:
            self._counts[outcome] += 1
        if caller in flight.followers:
            flight.followers.remove(caller)

    def end(self, key: Hashable, flight: Flight, end: End | None) -> None:
        """End a call, keep its result, and wake all who wait; a second time does nothing."""
        for follower in exclusively(self._lock, self._end_locked, key, flight, end):
            follower.end, follower.over = end, True
            if follower.waker is not None:
                follower.waker()

    def _end_locked(self, key: Hashable, flight: Flight, end: End | None) -> list[Caller]:
        followers, flight.followers = flight.followers, []
        if flight.over:
            return []
        flight.over = True
        if self._flights.get(key) is flight:
            del self._flights[key]
            if self._ttl and end is not None and end.error is None:
                self._kept[key] = Kept(end.result, self._clock.monotonic() + self._ttl)
                self._kept.move_to_end(key)
                self._expire_locked()
        return followers

    def _expire_locked(self) -> None:
        """Drop what is too old, and what is too much; all is kept for as long, so the oldest stand first."""
        now = self._clock.monotonic()
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.until > now and len(self._kept) <= self._max_size:
                return
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all kept results; calls under way go on for those who wait, and nobody joins them any more."""
        exclusively(self._lock, self._clear_locked)

    def _clear_locked(self) -> None:
        self._kept.clear()
        self._flights.clear()

    def count(self, outcome: int) -> None:
        """Count one call."""
        exclusively(self._lock, self._count_locked, outcome)

    def _count_locked(self, outcome: int) -> None:
        self._counts[outcome] += 1

    def read(self) -> ResultReading:
        """Return the counts of this moment."""
        return ResultReading(exclusively(self._lock, self._counts.copy))

    def after_fork(self) -> None:
        """Renew the lock in a forked child and drop the calls of the parent's threads."""
        self._lock = threading.RLock()
        self._flights = {}


def end_of(error: BaseException) -> End | None:
    """Return the end that an exception is for all; None where it concerns nobody but the caller that made the call."""
    # Cancellation, Ctrl-C, exit and a deadline are those of one caller: another one makes the call again.
    if not isinstance(error, Exception) or isinstance(error, DeadlineExceededError):
        return None
    return End(error=error, traceback=error.__traceback__)


def error_for_one(end: End) -> Exception:
    """Return the exception of a call for one of those who waited: a copy, as each adds to traceback and notes.

    An exception that cannot be copied without its constructor is the same for all, with the traceback it had first.
    """
    error = end.error
    assert error is not None  # noqa: S101 - for type checkers
    return (_copy(error) or error).with_traceback(end.traceback)


def _copy(error: Exception) -> Exception | None:
    kind = type(error)
    if any(vars(base).get("__slots__") for base in kind.__mro__):
        return None
    try:
        copy = kind.__new__(kind, *error.args)  # without the constructor, which may want other arguments
        vars(copy).update(vars(error))
        notes = vars(error).get("__notes__")
        if notes is not None:
            vars(copy)["__notes__"] = list(notes)
        for name in ("__cause__", "__context__", "__suppress_context__"):
            BaseException.__setattr__(copy, name, getattr(error, name))  # as a frozen dataclass refuses its own
        same = type(copy) is kind and copy.args == error.args and str(copy) == str(error)
    except Exception:  # noqa: BLE001 - an exception of a shape of its own
        return None
    return copy if same else None
