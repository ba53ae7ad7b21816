"""Retry budget: retries are at most a share of the calls, so that an outage is not amplified.

After "Handling Overload" in Google's Site Reliability Engineering and Finagle's RetryBudget: a bucket of tokens, into
which each call puts a fraction of one and out of which each retry takes a whole one.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import BUDGETS, BudgetReading, Ticker, forks
from peak_observe.resilience.common import validation
from peak_observe.resilience.common.keywords import UNCHANGED, Unchanged, changes, check_keywords
from peak_observe.support.shown import label, shown

if TYPE_CHECKING:
    from collections.abc import Callable


FOREIGN_NAMES = {
    "retry_ratio percent_can_retry token_ratio": "ratio",
    "min_retries_per_sec min_retries_per_second rate": "min_per_second",
    "max_tokens tokens size capacity": "burst",
}
"""Names of arguments in Finagle, Linkerd and gRPC, each with ours."""


class BudgetStats(NamedTuple):
    """Counts of a retry budget since it was made.

    Args:
        calls: Calls of all operations that share it.
        retries: Retries that it allowed.
        refused: Retries that it refused.
    """

    calls: int
    retries: int
    refused: int


class BudgetSnapshot(NamedTuple):
    """Settings, tokens and counts of a retry budget at one moment.

    Args:
        name: The label value of its metrics.
        at: The moment, in UTC.
        ratio: Retries allowed for each call.
        min_per_second: Retries allowed a second however few calls there are.
        burst: Retries that may be made at once after quiet times.
        tokens: Retries that it would allow at this moment.
        stats: Calls, and retries allowed and refused.
    """

    name: str
    at: datetime
    ratio: float
    min_per_second: float
    burst: float
    tokens: float
    stats: BudgetStats


class RetryTokens:
    """Pure token bucket driven by the time and the number of calls; it begins full and never holds more.

    Args:
        ratio: Tokens that a call puts in.
        rate: Tokens that a second puts in.
        size: How many it holds.
        now: The time in seconds.
    """

    __slots__ = ("_rate", "_ratio", "_seen", "_size", "_then", "tokens")

    def __init__(self, *, ratio: float, rate: float, size: float, now: float) -> None:
        self._ratio = ratio
        self._rate = rate
        self._size = size
        self._then = now
        self._seen = 0
        self.tokens = size

    def level(self, now: float, calls: int) -> float:
        """Return the tokens after so many calls in all, without changing them.

        A clock that was set back adds nothing and takes nothing away.
        """
        earned = self._ratio * max(0, calls - self._seen) + self._rate * max(0.0, now - self._then)
        return min(self._size, self.tokens + earned)

    def take(self, now: float, calls: int) -> bool:
        """Take one token and return whether there was one."""
        self._settle(now, calls)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def reconfigure(self, now: float, calls: int, *, ratio: float, rate: float, size: float) -> None:
        """Replace the rules; what was earned under the old ones stays, as far as it finds room."""
        self._settle(now, calls)
        self._ratio, self._rate, self._size = ratio, rate, size
        self.tokens = min(self.tokens, size)

    def _settle(self, now: float, calls: int) -> None:
        self.tokens = self.level(now, calls)
        self._then, self._seen = now, calls


class BudgetSettings(NamedTuple):
    """The rules of a retry budget; see `RetryBudget` for what each means."""

    ratio: float
    min_per_second: float
    burst: float

    def check(self) -> None:
        """Raise ValueError for a value that makes no sense."""
        validation.check_number("ratio", self.ratio)
        validation.check_number("min_per_second", self.min_per_second)
        validation.check_number("burst", self.burst, 1)


class _LockedTokens:
    """Thread-safe tokens of one budget; the registry of names holds these, so that it keeps no budget alive."""

    def __init__(self, settings: BudgetSettings, clock: Clock) -> None:
        self.calls = Ticker()
        self.clock = clock
        self.settings = settings
        ratio, rate, size = map(float, settings)
        self._bucket = RetryTokens(ratio=ratio, rate=rate, size=size, now=clock.monotonic())
        self._taken = self._refused = 0
        self._lock = threading.Lock()
        forks.renew(self)

    def level(self) -> float:
        """Return the tokens of this moment."""
        with self._lock:
            return self._bucket.level(self.clock.monotonic(), self.calls.value())

    def take(self) -> bool:
        """Take one token and return whether there was one."""
        with self._lock:
            taken = self._bucket.take(self.clock.monotonic(), self.calls.value())
            self._taken += taken
            self._refused += not taken
            return taken

    def reconfigure(self, changed: dict[str, float]) -> None:
        """Replace some of the rules."""
        with self._lock:
            settings = self.settings._replace(**changed)
            settings.check()
            ratio, rate, size = map(float, settings)
            now, calls = self.clock.monotonic(), self.calls.value()
            self._bucket.reconfigure(now, calls, ratio=ratio, rate=rate, size=size)
            self.settings = settings

    def snapshot(self, name: str) -> BudgetSnapshot:
        """Return settings, tokens and counts of one moment."""
        with self._lock:
            calls = self.calls.value()
            stats = BudgetStats(calls, self._taken, self._refused)
            tokens = self._bucket.level(self.clock.monotonic(), calls)
            return BudgetSnapshot(name, self.clock.now(), *self.settings, tokens, stats)

    def read(self) -> BudgetReading:
        """Return the metrics reading."""
        reading = BudgetReading()
        reading.tokens = self.level()
        return reading

    def after_fork(self) -> None:
        """Renew the lock in a forked child."""
        self._lock = threading.Lock()


class RetryBudget:
    """Budget for the retries of several operations together: a share of their calls and a few a second.

    In any stretch of time there are at most `burst` + `ratio` x calls + `min_per_second` x seconds retries; one that
    the budget refuses ends its operation as `out_of_budget`. Safe for any number of threads and tasks. Budgets of one
    name share their metrics, not their tokens.

    Args:
        ratio: Retries allowed for each call.
        min_per_second: Retries allowed a second however few calls there are.
        burst: Retries that may be made at once after quiet times, at least 1.
        name: The label value of its metrics, and by which `budget="…"` finds it.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """

    @check_keywords()
    def __init__(
        self,
        ratio: float = 0.1,
        min_per_second: float = 1.0,
        *,
        burst: float = 10.0,
        name: str = "retry_budget",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        settings = BudgetSettings(ratio, min_per_second, burst)
        settings.check()
        self.name = name
        self._account = _LockedTokens(settings, clock)
        self.count: Callable[[], object] = self._account.calls.tick
        series = BUDGETS.series(name)
        series.join(self, self._account.read)

    @property
    def tokens(self) -> float:
        """Retries that it would allow at this moment, with fractions of the next one."""
        return self._account.level()

    @property
    def stats(self) -> BudgetStats:
        """Calls, and retries allowed and refused so far, as a frozen record."""
        return self.snapshot().stats

    def snapshot(self) -> BudgetSnapshot:
        """Return settings, tokens and counts of this moment, as a frozen record."""
        return self._account.snapshot(self.name)

    @check_keywords(FOREIGN_NAMES)
    def configure(
        self,
        *,
        ratio: float | Unchanged = UNCHANGED,
        min_per_second: float | Unchanged = UNCHANGED,
        burst: float | Unchanged = UNCHANGED,
    ) -> None:
        """Change settings while calls go on; what is not given stays as it is, and so do the tokens.

        Args:
            ratio: Retries allowed for each call, from now on.
            min_per_second: Retries allowed a second however few calls there are, from now on.
            burst: Retries that may be made at once after quiet times, at least 1; tokens beyond it are lost.

        Raises:
            TypeError: There is no such setting; the message says which one was meant.
            ValueError: A value makes no sense; nothing is changed then.
        """
        self._account.reconfigure(changes(ratio=ratio, min_per_second=min_per_second, burst=burst))

    def take(self) -> bool:
        """Take the token of one retry; return whether there was one."""
        return self._account.take()

    def __repr__(self) -> str:
        return f"<RetryBudget {label(self.name)!r} {self.tokens:.1f} tokens>"


_making = threading.Lock()


def find_budget(budget: RetryBudget | str | None) -> RetryBudget | None:
    """Return a budget, or the oldest living one of a name, created with the defaults if there is none.

    Raises:
        ValueError: It is neither.
    """
    if budget is None or isinstance(budget, RetryBudget):
        return budget
    if not isinstance(budget, str) or not budget:
        raise ValueError(f"budget must be a RetryBudget or the name of one, not {shown(budget)}")
    with _making:
        series = BUDGETS.get(budget)
        owners: list[Any] = series.owners() if series else []
        return owners[0] if owners else RetryBudget(name=budget)
