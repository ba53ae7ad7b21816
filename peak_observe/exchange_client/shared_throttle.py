"""Rate limit of an exchange by ccxt's weights, shared by processes, and corrected by the exchange's own count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.throttle import Throttle
from peak_observe.resilience.limits.semaphore import ThreadEvent
from peak_observe.resilience.limits.turn_queue import Place, TurnQueue
from peak_observe.support.async_library import task_event

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.exchange_client.dialects import UsageWindow

_LOOK = 60.0
_PACE = {"limit": 1.0, "per": 1.0, "burst": 0.0}
"""A weight is the seconds that ccxt would reserve for a request, of which one may pass in a second."""
_PATIENCE = 1e9
LEAST = 0.05
"""Seconds below which the limit is not corrected."""


class SharedThrottle:
    """ccxt's rate limit for all processes that share; one of this process's calls at a time asks for its turn.

    Args:
        turns: The reservations that the processes share.
        clock: Where time and sleep come from.
    """

    def __init__(self, turns: Any, clock: Clock) -> None:
        self._turns = turns
        self._clock = clock
        self._queue = TurnQueue()
        self._alone = Throttle(clock)
        self._postponed_until = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedThrottle:
        return self

    def wait(self, seconds: float) -> None:
        """Wait for this thread's turn and reserve `seconds` for it."""
        if seconds <= 0:
            return
        place, begun = Place(ThreadEvent()), self._clock.monotonic()
        try:
            if not self._queue.enter(place):
                while not self._queue.is_first(place):
                    place.event.wait(_LOOK)
            turn = self._turns.reserve(seconds, _PATIENCE, **_PACE)
            wait = self._reserve_alone(seconds) if turn is None else turn.wait
            if wait > 0:
                self._clock.sleep(wait)
        finally:
            self._queue.leave(place)
        self._turns.waited(self._clock.monotonic() - begun)

    async def async_wait(self, seconds: float) -> None:
        """Wait for this task's turn while others run."""
        if seconds <= 0:
            return
        place, begun = Place(task_event()), self._clock.monotonic()
        try:
            if not self._queue.enter(place):
                while not self._queue.is_first(place):
                    await place.event.wait(_LOOK)  # type: ignore[misc] # an event of a task
            turn = await self._turns.async_reserve(seconds, _PATIENCE, **_PACE)
            wait = self._reserve_alone(seconds) if turn is None else turn.wait
            if wait > 0:
                await self._clock.async_sleep(wait)
        finally:
            self._queue.leave(place)
        self._turns.waited(self._clock.monotonic() - begun)

    def correct(self, used: float, window: UsageWindow | None) -> None:
        """Take later turns where the exchange counts more than these processes know of, and never earlier ones.

        Args:
            used: The share of the window's limit that is used up, by the exchange's count.
            window: The window; None where it tells nothing of the exchange as a whole.
        """
        if window is None:
            return
        # What is left of the limit lasts for as long a part of the window as it would at an even pace.
        wait = window.left - max(0.0, 1.0 - used) * window.seconds
        until = self._clock.monotonic() + wait
        if wait >= LEAST and until > self._postponed_until + LEAST:
            self._postponed_until = until
            self._alone.postpone(wait)
            self._turns.postpone(wait)

    def _reserve_alone(self, seconds: float) -> float:
        """Return the seconds until a turn in this process's part of the rate, as the engine is away."""
        return self._alone.reserve(seconds * self._turns.members)
