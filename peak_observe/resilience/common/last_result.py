"""Fallback that returns the last good result of the same call, as long as that is not too old."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe import catalog
from peak_observe.measures import FALLBACKS, forks
from peak_observe.measures.results import ResultReading
from peak_observe.resilience.common import idempotency, validation, wrapping
from peak_observe.resilience.common.call_keys import CallKeys, Key, key_callback
from peak_observe.resilience.common.fallback import LastGood
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.locking import exclusively

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from peak_observe.clock import Clock

VALUE, LAST_GOOD, NONE = range(len(catalog.FALLBACK_OUTCOMES))


@check_keywords(
    {
        "ttl seconds age max_stale stale_if_error staleness": "max_age",
        "key_func key_builder keyfunc by": "key",
        "maxsize max_entries size limit": "max_size",
    },
    surplus="key and max_size are given by name, as in last_good(5, key=lambda symbol: symbol)",
)
def last_good(max_age: float, *, key: Key | None = None, max_size: int = 1024) -> LastGood:
    """Return a fallback that gives the last good result of the same call, if it is at most `max_age` seconds old.

    `circuit_breaker(fallback=last_good(max_age=5))` answers with it where a call failed or was refused; without one
    that is young enough the error comes through. Calls of other arguments, or of another object's method, have other
    results. Results are handed out as they are, not copied. Only for reads: a function marked `@idempotent(False)` is
    refused.

    Args:
        max_age: Seconds since the result arrived.
        key: A function of the call's arguments that returns what they ask for; by default all of them tell calls apart.
        max_size: How many results of a function are kept at most; the oldest go first.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: There is no such option.
    """
    validation.check_period("max_age", max_age)
    validation.check_count("max_size", max_size)
    if key is not None:
        key_callback(key, "last_good")
    return LastGood(float(max_age), key, max_size)


class FallbackCounts:
    """Calls that a fallback answered, or could not, of one function.

    Args:
        name: The label value of the metrics.
    """

    def __init__(self, name: str) -> None:
        self.series = FALLBACKS.series(name)
        self._calls = [0] * len(catalog.FALLBACK_OUTCOMES)
        self._lock = threading.RLock()
        forks.renew(self)

    def count(self, outcome: int) -> None:
        """Count one call."""
        exclusively(self._lock, self._count_locked, outcome)

    def _count_locked(self, outcome: int) -> None:
        self._calls[outcome] += 1

    def read(self) -> ResultReading:
        """Return the counts of this moment."""
        return ResultReading(exclusively(self._lock, self._calls.copy))

    def after_fork(self) -> None:
        """Renew the lock in a forked child."""
        self._lock = threading.RLock()


class StandIn:
    """Stand-in for the results of one function: a value, a function of the error, or its last good results.

    Args:
        func: The function.
        given: What was given as `fallback`.
        name: The label value of the metrics.
        clock: Source of the time.

    Attributes:
        results: The last good results, if they were asked for.

    Raises:
        TypeError: The function is marked `@idempotent(False)` and its last good result was asked for.
    """

    def __init__(self, func: Callable[..., Any], given: Any, name: str, clock: Clock) -> None:
        self._given = given
        self.results: LastResults | None = None
        if isinstance(given, LastGood):
            advice = "the result of an earlier call must not stand for it; give fallback a value or a function"
            idempotency.refuse_write(func, advice)
            self.results = LastResults(func, given, name, clock)
        self._counts = FallbackCounts(name)
        self._counts.series.join(self, self._counts.read)

    def note(self, wrapper: Callable[..., Any]) -> None:
        """Mark the function's wrapper, which keeps this alive, so that nobody declares it a write later."""
        vars(wrapper)["__peak_observe_stand_in__"] = self
        if self.results is not None:
            idempotency.note_reused(wrapper, "has a last_good fallback")

    def find(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Result | None:
        """Return what stands for the result of a call that failed; None where no good result is young enough."""
        if self.results is None:
            self._counts.count(VALUE)
            return Result(self._given(error) if callable(self._given) else self._given)
        found = self.results.get(args, kwargs)
        self._counts.count(NONE if found is None else LAST_GOOD)
        return found


class Result(NamedTuple):
    """A result, and the second of the clock at which a good one arrived."""

    result: Any
    at: float = 0.0


class LastResults:
    """Last good results of one function by what was asked, thread-safe.

    Args:
        func: The function.
        wanted: For how long, how many, and what tells calls apart.
        name: The name of what has the fallback, for the log.
        clock: Source of the time.
    """

    def __init__(self, func: Callable[..., Any], wanted: LastGood, name: str, clock: Clock) -> None:
        self._keys = CallKeys(func, wanted.key, name)
        self._wanted = wanted
        self._clock = clock
        self._kept: OrderedDict[Hashable, Result] = OrderedDict()
        self._lock = threading.RLock()  # what is dropped may be finalized while we are inside
        forks.renew(self)

    def keep(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Keep the result of a call."""
        key = self._keys.of(args, kwargs)
        if key is not None and not wrapping.is_deferred(result):
            exclusively(self._lock, self._keep_locked, key, Result(result, self._clock.monotonic()))

    def get(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Result | None:
        """Return the result of the same call, if it is young enough."""
        key = self._keys.of(args, kwargs)
        return None if key is None else exclusively(self._lock, self._get_locked, key)

    def _keep_locked(self, key: Hashable, result: Result) -> None:
        self._kept[key] = result
        self._kept.move_to_end(key)
        self._expire_locked(result.at)

    def _get_locked(self, key: Hashable) -> Result | None:
        self._expire_locked(self._clock.monotonic())
        return self._kept.get(key)

    def _expire_locked(self, now: float) -> None:
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if now - oldest.at <= self._wanted.max_age and len(self._kept) <= self._wanted.max_size:
                return
            self._kept.popitem(last=False)

    def after_fork(self) -> None:
        """Renew the lock in a forked child."""
        self._lock = threading.RLock()
