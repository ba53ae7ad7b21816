"""A clock that stands still until a test moves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """Time by hand: sleeping does not wait, it moves the time on; for threads and for tasks.

    Args:
        start: The wall-clock time at the beginning.

    Attributes:
        sleeps: The seconds of every sleep so far, in order.
    """

    def __init__(self, start: datetime = EPOCH) -> None:
        self.sleeps: list[float] = []
        self._start = start
        self._elapsed = 0.0
        self._jump = timedelta()
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """Return the seconds that were advanced or slept so far."""
        return self._elapsed

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return self._start + self._jump + timedelta(seconds=self._elapsed)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass.

        Raises:
            ValueError: `seconds` is negative; only `jump` turns time back, and only the wall clock's.
        """
        if seconds < 0:
            raise ValueError(f"a monotonic clock does not go back: {seconds!r}; use jump() for the wall clock")
        with self._lock:
            self._elapsed += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forth or back by `seconds`, as NTP or daylight saving would; monotonic time goes on."""
        with self._lock:
            self._jump += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """Note the sleep and let its time pass at once."""
        with self._lock:
            self.sleeps.append(seconds)
        self.advance(seconds)

    async def async_sleep(self, seconds: float) -> None:
        """Note the sleep, let its time pass, and give other tasks a turn."""
        import asyncio

        self.sleep(seconds)
        await asyncio.sleep(0)
