"""Bandwidth limit: bytes a second on average, shared by all threads of a push."""

from __future__ import annotations

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import forks


class Throttle:
    """Bandwidth limit.

    Args:
        rate: Bytes a second; None without a limit.
        clock: What time it is.
    """

    def __init__(self, rate: float | None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = forks.RenewedLock()
        self._free_at = 0.0

    def reserve(self, count: int) -> float:
        """Take room for so many bytes, and return the seconds to wait before they go."""
        if self._rate is None or not count:  # nothing, with which a push that is interrupted gives its lease back
            return 0.0
        with self._lock:
            now = self._clock.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + count / self._rate
            return begin - now

    def wait(self, count: int) -> None:
        """Wait until so many bytes may go."""
        seconds = self.reserve(count)
        if seconds > 0:
            self._clock.sleep(seconds)
