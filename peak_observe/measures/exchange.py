"""Counts and readings of exchange clients: requests, data age, clock skew and limits."""

from __future__ import annotations

import math
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from peak_observe import catalog
from peak_observe.measures.counts import BATCH, CallCounts, Exemplar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peak_observe.clock import Clock

SEPARATOR = "\x00"
"""Stands between exchange and endpoint in a name of `ENDPOINTS`; no label value has it."""

WATCHED = 900.0
"""Seconds after its last receipt in which a market counts as watched, so that its stale data shows."""

MINUTE = 60.0
SKEW_LASTS = 900.0
"""Seconds after which a measured clock skew is dropped, as a clock may have been set meanwhile."""

SKEW_SEEN = 2.0
"""Seconds of clock skew past which the clocks differ for sure: headers tell whole seconds, and answers travel."""

FRESH = 300.0
"""Seconds within which no data count as stale, however often they usually come."""

GAPS = 8
"""Times between receipts that are kept of each market; four of them tell how often its data usually come."""

MARKETS = 512
TICKER, TICKER_RECEIVED, CANDLES, CANDLES_RECEIVED = range(len(catalog.DATA_KINDS))


class EndpointReading:
    """Reading of one endpoint of an exchange; `requests` follows `catalog.EXCHANGE_OUTCOMES`."""

    __slots__ = ("bounds", "bucket_exemplars", "buckets", "duration_sum", "exemplars", "requests")

    bounds: tuple[float, ...]
    requests: list[int]
    buckets: list[int]
    duration_sum: float
    exemplars: dict[int, Exemplar]
    bucket_exemplars: dict[int, Exemplar]

    def add(self, other: EndpointReading) -> None:
        """Take in another reading of the same endpoint."""
        self.requests = [a + b for a, b in zip(self.requests, other.requests, strict=True)]
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.duration_sum += other.duration_sum
        self.exemplars = self.exemplars | other.exemplars
        self.bucket_exemplars = self.bucket_exemplars | other.bucket_exemplars

    def since(self, other: EndpointReading) -> tuple[bool, bool, bool]:
        """Return whether requests differ from an earlier reading; an endpoint has neither state nor settings."""
        now = (self.requests, self.buckets, self.duration_sum)
        return now != (other.requests, other.buckets, other.duration_sum), False, False

    def retire(self) -> None:
        """Keep everything: counts stay."""


class EndpointTally:
    """Counters of one endpoint."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._counts = CallCounts(bounds, len(catalog.EXCHANGE_OUTCOMES))
        self._lock = threading.Lock()

    def succeeded(self, seconds: float) -> None:
        """Count one success, which needs no lock as a rule."""
        pending = self._counts.pending
        pending.append(seconds)
        if len(pending) >= BATCH:
            with self._lock:
                self._counts.fold()

    def add(self, outcome: int, seconds: float, exemplar: Exemplar | None = None) -> None:
        """Count one request."""
        with self._lock:
            self._counts.add(outcome, seconds, exemplar)

    def read(self) -> EndpointReading:
        """Return the counts of this moment."""
        reading = EndpointReading()
        with self._lock:
            counts = self._counts
            counts.fold()
            reading.bounds, reading.buckets = counts.bounds, counts.buckets
            reading.requests, reading.duration_sum = counts.outcomes, counts.duration_sum
            reading.exemplars, reading.bucket_exemplars = counts.exemplars, counts.bucket_exemplars
        return reading


class ExchangeReading:
    """Reading of an exchange; ages follow `catalog.DATA_KINDS` and are None when no object of it lives.

    `writes` follows `catalog.EXCHANGE_OUTCOMES`; `candle_gaps` are candles that were missing in answers.
    """

    __slots__ = ("banned_until", "candle_gaps", "clock_skew", "data_age", "data_max_age", "used_ratio", "writes")

    data_age: list[float] | None
    data_max_age: list[float] | None
    clock_skew: float | None
    used_ratio: float | None
    banned_until: float
    writes: list[int]
    candle_gaps: int

    def add(self, other: ExchangeReading) -> None:
        """Take in another object of the same exchange: its writes, the fresher data, the larger skew, use and ban."""
        self.writes = [a + b for a, b in zip(self.writes, other.writes, strict=True)]
        self.candle_gaps += other.candle_gaps
        self.banned_until = max(self.banned_until, other.banned_until)
        self.clock_skew = max(self.clock_skew, other.clock_skew, key=_size)
        self.used_ratio = max(self.used_ratio, other.used_ratio, key=_size)
        if self.data_age is None or other.data_age is None:
            self.data_age, self.data_max_age = self.data_age or other.data_age, self.data_max_age or other.data_max_age
        else:
            self.data_age = [_fresher(*ages) for ages in zip(self.data_age, other.data_age, strict=True)]
            limits = zip(self.data_max_age or (), other.data_max_age or (), strict=True)
            self.data_max_age = [_fresher(*pair) for pair in limits]

    def since(self, other: ExchangeReading) -> tuple[bool, bool, bool]:
        """Return whether writes, and skew, use and ban differ from an earlier reading; ages change by themselves."""
        now = (self.clock_skew, self.used_ratio, self.banned_until)
        changed = now != (other.clock_skew, other.used_ratio, other.banned_until)
        counted = (self.writes, self.candle_gaps) != (other.writes, other.candle_gaps)
        return counted, changed, False

    def retire(self) -> None:
        """Forget what only the living have."""
        self.data_age = self.data_max_age = self.clock_skew = self.used_ratio = None


def _size(value: float | None) -> float:
    return -1.0 if value is None else abs(value)


def _fresher(left: float, right: float) -> float:
    return min((age for age in (left, right) if not math.isnan(age)), default=math.nan)


class _Market(NamedTuple):
    """Last data of a market, and how often they come.

    Args:
        made: Unix time of the data by the exchange, NaN where it does not say.
        received: Monotonic time of the receipt.
        gaps: The last times between two receipts, in seconds.
        allowed: Seconds that the data may be old in any case.
    """

    made: float
    received: float
    gaps: tuple[float, ...]
    allowed: float

    @property
    def limit(self) -> float:
        """Seconds past which the data are stale: three usual gaps; NaN while nobody can tell what is usual.

        The longest gap does not count, as it may be the last outage.
        """
        return max(self.allowed, 3 * sorted(self.gaps)[-2]) if len(self.gaps) >= GAPS // 2 else math.nan


class ExchangeTally:
    """Counters of one ccxt object.

    Args:
        clock: Where the time comes from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[dict[str, _Market], ...] = ({}, {})
        self._skew = 0.0
        self._skew_until = math.inf
        self.banned_until = 0.0
        self._writes = [0] * len(catalog.EXCHANGE_OUTCOMES)
        self._candle_gaps = 0
        self._checked: dict[str, tuple[float, float]] = {}
        self._used = 0.0
        self._used_at = 0.0
        self._used_fades = 0.0

    def saw(self, kind: int, market: str, made: float | None, *, past: bool = False, spans: float = 0.0) -> None:
        """Note that data came in.

        Args:
            kind: `TICKER` or `CANDLES`.
            market: Which market it is of; never a label.
            made: When it was true, by the exchange's time; None where it does not say.
            past: Whether older data may have been asked for on purpose; it makes no market look stale.
            spans: Seconds of the timeframe of candles, for which they may be old.
        """
        seen, now = self._seen[kind // 2], self._clock.monotonic()
        before = seen.get(market)
        if past and made is not None:
            made = _not_from_the_past(made, before.made if before else math.nan, self._now() + self._offset())
        gaps = (*before.gaps[1 - GAPS :], now - before.received) if before else ()
        seen[market] = _Market(math.nan if made is None else made, now, gaps, max(FRESH, spans))
        if len(seen) > MARKETS:
            with self._lock:
                seen.pop(next(iter(seen)), None)

    def saw_candles(self, market: str, times: Sequence[float], spans: float) -> None:
        """Count the candles that are missing between others, each once, however often they are asked for.

        Args:
            market: Which market and timeframe they are of; never a label.
            times: When each begins, in seconds.
            spans: Seconds of the timeframe.
        """
        if not times:
            return
        with self._lock:
            first, last = self._checked.pop(market, (math.inf, -math.inf))
            for before, after in pairwise(sorted(times)):
                if before < first or after > last:
                    self._candle_gaps += max(0, round((after - before) / spans) - 1)
            self._checked[market] = (min(first, *times), max(last, *times))
            if len(self._checked) > MARKETS:
                self._checked.pop(next(iter(self._checked)))

    def wrote(self, outcome: int) -> None:
        """Count one request that changes something."""
        with self._lock:
            self._writes[outcome] += 1

    def used(self, ratio: float, fades: float = 0.0) -> None:
        """Set the share of the rate limit that is used up now, and what goes off it a second by itself."""
        with self._lock:
            self._used, self._used_at, self._used_fades = ratio, self._clock.monotonic(), fades

    def use(self, ratio: float, fades: float) -> None:
        """Add to the share that is used up, where the exchange does not say it and its rules are known."""
        with self._lock:
            present = self._present()
            self._used, self._used_at, self._used_fades = present + ratio, self._clock.monotonic(), fades

    def skew(self, seconds: float) -> None:
        """Set by how much the exchange's clock is ahead of ours."""
        with self._lock:
            self._skew, self._skew_until = seconds, self._clock.monotonic() + SKEW_LASTS

    def ban(self, until: float) -> bool:
        """Note the end of a rate limit or ban; return whether it is new or longer."""
        with self._lock:
            known = self.banned_until
            self.banned_until = max(until, known)
        return until > known and (known <= self._now() or until - known > MINUTE)

    def _present(self) -> float:
        return max(0.0, self._used - self._used_fades * (self._clock.monotonic() - self._used_at))

    def _offset(self) -> float:
        """Return by how much the exchange's clock is ahead, where that is more than its answers' whole seconds."""
        known = abs(self._skew) > SKEW_SEEN and self._clock.monotonic() < self._skew_until
        return self._skew if known else 0.0

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def read(self) -> ExchangeReading:
        """Return how it is at this moment."""
        reading, now, wall = ExchangeReading(), self._clock.monotonic(), self._now()
        with self._lock:
            theirs = wall + self._offset()
            found = [pair for seen in self._seen for pair in _ages(list(seen.values()), now, theirs)]
            reading.data_age, reading.data_max_age = [age for age, _ in found], [limit for _, limit in found]
            reading.used_ratio = self._present()
            reading.clock_skew = self._skew if now < self._skew_until else None
            reading.banned_until = self.banned_until
            reading.writes, reading.candle_gaps = self._writes.copy(), self._candle_gaps
        return reading


def _not_from_the_past(made: float, before: float, now: float) -> float:
    if math.isnan(before):
        return made if made >= now else math.nan
    return max(made, before)


def _ages(markets: list[_Market], now: float, wall: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return age and limit of the most overdue market that is watched, and those of the last receipt of any."""
    if not markets:
        return (math.nan, math.nan), (math.nan, math.nan)
    latest = max(market.received for market in markets)
    watched = [market for market in markets if latest - market.received < WATCHED]
    made = [(max(0.0, wall - market.made), market.limit) for market in watched if not math.isnan(market.made)]
    limits = [market.limit for market in watched if not math.isnan(market.limit)]
    return max(made, key=_overdue, default=(math.nan, math.nan)), (
        max(0.0, now - latest),
        min(limits, default=math.nan),
    )


def _overdue(found: tuple[float, float]) -> tuple[float, float]:
    """Order markets by how far they are beyond their limit; those without one by age, before all that have one."""
    age, limit = found
    return (0.0 if math.isnan(limit) else age / limit, age)
