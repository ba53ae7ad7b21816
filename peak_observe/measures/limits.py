"""Readings of the bulkheads, rate limits and timeouts of one name at one moment; readings add up."""

from __future__ import annotations

Classes = dict[str, tuple[int, float]]
"""By priority class the calls that passed, and the seconds that calls waited."""


class _LimitReading:
    """Fields that bulkheads and rate limits share; `calls` follows `catalog.LIMIT_OUTCOMES`.

    Gauges are None when no limit of the name lives any more.
    """

    __slots__ = ("calls", "wait_seconds")

    calls: list[int]
    wait_seconds: float
    _of_living: tuple[str, ...] = ()
    _settings: tuple[str, ...] = ()

    def add(self, other: _LimitReading) -> None:
        """Add another reading of the same name; gauges and settings add up too."""
        self.calls = [a + b for a, b in zip(self.calls, other.calls, strict=True)]
        self.wait_seconds += other.wait_seconds
        for name in self._of_living:
            mine, its = getattr(self, name), getattr(other, name)
            setattr(self, name, its if mine is None else mine if its is None else mine + its)

    def since(self, other: _LimitReading) -> tuple[bool, bool, bool]:
        """Return whether calls, waits and settings differ from an earlier reading."""
        return (
            self.calls != other.calls,
            self.wait_seconds != other.wait_seconds,
            any(getattr(self, name) != getattr(other, name) for name in self._settings),
        )

    def retire(self) -> None:
        """Drop the gauges."""
        for name in self._of_living:
            setattr(self, name, None)


class BulkheadReading(_LimitReading):
    """Counts and gauges of a bulkhead, or of all bulkheads of a name, at one moment."""

    __slots__ = ("in_flight", "limit", "waiting")

    in_flight: int | None
    waiting: int | None
    limit: int | None
    _of_living = ("in_flight", "waiting", "limit")
    _settings = ("limit",)


class RateLimitReading(_LimitReading):
    """Counts and gauges of a rate limit, or of all rate limits of a name, at one moment.

    `classes` is empty where no share is reserved for a priority class; `pause` is the seconds until calls pass again.
    """

    __slots__ = ("burst", "classes", "pause", "rate", "waiting", "weight")

    waiting: int | None
    rate: float | None
    burst: float | None
    pause: float | None
    weight: float
    classes: Classes
    _of_living = ("waiting", "rate", "burst")
    _settings = ("rate", "burst")

    def add(self, other: _LimitReading) -> None:
        """Add another reading of the same name; of pauses the longest counts."""
        super().add(other)
        if isinstance(other, RateLimitReading):
            self.weight += other.weight
            self.pause = max((p for p in (self.pause, other.pause) if p is not None), default=None)
            for name, (calls, seconds) in other.classes.items():
                mine = self.classes.get(name, (0, 0.0))
                self.classes = {**self.classes, name: (mine[0] + calls, mine[1] + seconds)}

    def retire(self) -> None:
        """Drop the gauges."""
        super().retire()
        self.pause = None


class TimeoutReading:
    """Counts of a timeout, or of all timeouts of a name; `calls` follows `catalog.TIMEOUT_OUTCOMES`."""

    __slots__ = ("calls", "seconds")

    calls: list[int]
    seconds: float

    def add(self, other: TimeoutReading) -> None:
        """Add another reading of the same name; settings are those of the later one."""
        self.calls = [a + b for a, b in zip(self.calls, other.calls, strict=True)]
        self.seconds = other.seconds

    def since(self, other: TimeoutReading) -> tuple[bool, bool, bool]:
        """Return whether calls or settings differ from an earlier reading."""
        return self.calls != other.calls, False, self.seconds != other.seconds

    def retire(self) -> None:
        """Keep everything: a timeout has no gauges."""
