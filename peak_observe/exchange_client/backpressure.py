"""Backpressure: delay or reject calls until the exchange's rate limit or ban has passed."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from peak_observe.errors import HeldBackError
from peak_observe.exchange_client.ccxt_errors import also_ccxt
from peak_observe.support import shutdown_state

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.coordination.joinable import Joinable

SPREAD = 0.1
SPREAD_LEAST, SPREAD_MOST = 0.05, 5.0
"""By which share, and within which seconds, each waiting call comes later than it might."""


class Backpressure:
    """One deadline before which no call may be made, for all calls of a client.

    Args:
        name: The client's name.
        max_wait: Seconds a call waits at most; where it would be more, it is refused at once.
        clock: Where time and sleep come from.
    """

    def __init__(self, name: str, max_wait: float, clock: Clock) -> None:
        self.name = name
        self.max_wait = max_wait
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._reason = ""
        self._waiter = f"exchange {name!r}"
        self._shared: Joinable | None = None
        self._exchange = ""

    def join(self, shared: Joinable, exchange: str) -> None:
        """Share rate limits and bans of an exchange with other processes."""
        self._shared, self._exchange = shared, exchange
        shared.watch_hold(self, exchange, Backpressure.extend)

    def set(self, until: float, reason: str) -> None:
        """Delay all calls until a Unix time; an earlier one than is known changes nothing."""
        seconds = until - self._clock.now().timestamp()
        if self.extend(seconds, reason) and self._shared is not None:
            self._shared.hold(self._exchange, seconds, reason)

    def extend(self, seconds: float, reason: str) -> bool:
        """Delay all calls for some seconds; return whether that is longer than was known."""
        moment = self._clock.monotonic() + seconds
        with self._lock:
            if moment <= self._until:
                return False
            self._until, self._reason = moment, reason
            return True

    @property
    def remaining(self) -> float:
        """Seconds until calls may be made again."""
        return max(0.0, self._until - self._clock.monotonic()) if self._until else 0.0

    def wait(self) -> None:
        """Sleep until a call may be made.

        Raises:
            HeldBackError: That would be too long; also ccxt's `RateLimitExceeded`.
        """
        while delay := self._delay():
            shutdown_state.sleep(self._clock, delay, self._waiter)

    async def async_wait(self) -> None:
        """Sleep until a call may be made, letting other tasks run.

        Raises:
            HeldBackError: That would be too long; also ccxt's `RateLimitExceeded`.
        """
        while delay := self._delay():
            await shutdown_state.async_sleep(self._clock, delay, self._waiter)

    def _delay(self) -> float:
        remaining = self.remaining
        if not remaining:
            return 0.0
        if remaining > self.max_wait:
            raise also_ccxt(HeldBackError(self.name, remaining, self._reason))
        spread = min(max(SPREAD_LEAST, SPREAD * remaining), SPREAD_MOST)
        return remaining + spread * random.random()  # noqa: S311 - so that not all come at once, no secret
