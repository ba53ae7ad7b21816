"""Readings of bulkheads, rate limits and timeouts; readings of one name add up."""

from __future__ import annotations


class _LimitReading:
    """What both kinds of limits tell; `calls` follows `catalog.LIMIT_OUTCOMES`.

    What only the living have is None when none of the name lives any more.
    """

    __slots__ = ("calls", "wait_seconds")

    calls: list[int]
    wait_seconds: float
    _of_living: tuple[str, ...] = ()
    _settings: tuple[str, ...] = ()

    def add(self, other: _LimitReading) -> None:
        """Take in another reading of the same name; what several may at the same time adds up."""
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
        """Forget what only the living have."""
        for name in self._of_living:
            setattr(self, name, None)


class BulkheadReading(_LimitReading):
    """What a bulkhead, or all bulkheads of a name, have to tell at one moment."""

    __slots__ = ("in_flight", "limit", "waiting")

    in_flight: int | None
    waiting: int | None
    limit: int | None
    _of_living = ("in_flight", "waiting", "limit")
    _settings = ("limit",)


class RateLimitReading(_LimitReading):
    """What a rate limit, or all rate limits of a name, have to tell at one moment."""

    __slots__ = ("burst", "rate", "waiting")

    waiting: int | None
    rate: float | None
    burst: int | None
    _of_living = ("waiting", "rate", "burst")
    _settings = ("rate", "burst")


class TimeoutReading:
    """What a timeout, or all timeouts of a name, have to tell; `calls` follows `catalog.TIMEOUT_OUTCOMES`."""

    __slots__ = ("calls", "seconds")

    calls: list[int]
    seconds: float

    def add(self, other: TimeoutReading) -> None:
        """Take in another reading of the same name; settings are those of the later one."""
        self.calls = [a + b for a, b in zip(self.calls, other.calls, strict=True)]
        self.seconds = other.seconds

    def since(self, other: TimeoutReading) -> tuple[bool, bool, bool]:
        """Return whether calls or settings differ from an earlier reading."""
        return self.calls != other.calls, False, self.seconds != other.seconds

    def retire(self) -> None:
        """Keep everything: a timeout has no state of its own."""
