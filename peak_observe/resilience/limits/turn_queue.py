"""Queue of the calls of one process for its one turn at a time in a shared rate limit."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from peak_observe.measures.forks import renew
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.limits.semaphore import ThreadEvent

if TYPE_CHECKING:
    from peak_observe.support.async_library import TaskEvent

    Event = ThreadEvent | TaskEvent


class TurnQueue:
    """First come, first served, for threads and tasks together."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._places: deque[Place] = deque()  # the first one has its turn
        renew(self)

    def __len__(self) -> int:
        return max(0, len(self._places) - 1)

    def enter(self, place: Place) -> bool:
        """Take a place; return whether it is the first one."""
        return exclusively(self._lock, self._enter_locked, place)

    def is_first(self, place: Place) -> bool:
        """Return whether it is the turn of a place."""
        return exclusively(self._lock, lambda: bool(self._places) and self._places[0] is place)

    def leave(self, place: Place) -> None:
        """Give up a place; if it was the first one, wake the next. Twice is once."""
        exclusively(self._lock, self._leave_locked, place)

    def after_fork(self) -> None:
        """Forget the places of the parent."""
        self._lock = threading.RLock()
        self._places.clear()

    def _enter_locked(self, place: Place) -> bool:
        self._places.append(place)
        return self._places[0] is place

    def _leave_locked(self, place: Place) -> None:
        first = bool(self._places) and self._places[0] is place
        if place in self._places:
            self._places.remove(place)
        while first and self._places and not self._places[0].event.set():
            self._places.popleft()  # its loop is closed


class Place:
    """Place of one call in the queue.

    Args:
        event: Wakes the call.
    """

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event
