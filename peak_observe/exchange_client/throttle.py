"""Rate limit of one ccxt object, by the weights that ccxt gives its requests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peak_observe.clock import Clock


class Throttle:
    """ccxt's rate limit for any number of threads: no two get the same turn.

    Args:
        clock: Where time and sleep come from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> Throttle:
        return self

    def wait(self, seconds: float) -> None:
        """Wait for this thread's turn and reserve `seconds` for it."""
        wait = self.reserve(seconds)
        if wait > 0:
            self._clock.sleep(wait)

    def reserve(self, seconds: float) -> float:
        """Reserve `seconds`, and return the seconds until this turn."""
        with self._lock:
            now = self._clock.monotonic()
            turn = max(now, self._next)
            self._next = turn + seconds
        return turn - now

    def postpone(self, seconds: float) -> None:
        """Let no turn begin for some seconds."""
        with self._lock:
            self._next = max(self._next, self._clock.monotonic() + seconds)
