"""Shutdown of this process: waits that it ends, and calls of its own hooks, whose waits it does not end."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

from peak_observe.clock import SystemClock
from peak_observe.errors import ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from peak_observe.clock import Clock

exempt: ContextVar[bool] = ContextVar("peak_observe_exempt", default=False)
"""Whether this is a hook of the shutdown, which may have to wait for a rate limit to cancel its orders."""


class ShutdownState:
    """State of one process, for all threads.

    Attributes:
        armed: Whether anything will ever begin the shutdown: without it a wait costs what it always did.
        begun: Whether it has begun.
    """

    def __init__(self) -> None:
        self.armed = self.begun = False
        self._wakes: dict[object, Callable[[], object]] = {}

    def arm(self) -> None:
        """Let waits that begin from now on be ended by a shutdown."""
        self.armed, self.begun = True, False

    def disarm(self) -> None:
        """Forget that a shutdown has begun; for tests."""
        self.armed = self.begun = False

    def begin(self) -> None:
        """Begin the shutdown: end all waits. It takes no lock, as signal handlers call it."""
        self.begun = True
        # In a thread of its own: an event loop whose thread runs the signal handler has to be woken from outside.
        try:
            threading.Thread(target=self._wake_all, name="peak-observe-waker", daemon=True).start()
        except RuntimeError:  # the system has no thread to give, or the program is ending
            self._wake_all()

    def check(self, name: str) -> None:
        """Raise ShuttingDownError, if the shutdown has begun and this is none of its hooks."""
        if self.begun and not exempt.get():
            raise ShuttingDownError(name)

    def waking(self, wake: Callable[[], object]) -> Waking:
        """Return a context in which the shutdown wakes a wait."""
        return Waking(self, wake)

    def add(self, key: object, wake: Callable[[], object]) -> None:
        """Call a function when the shutdown begins, at once if it has begun; it has to bear a second call."""
        self._wakes[key] = wake
        if self.begun:
            wake()

    def discard(self, key: object) -> None:
        """Call it no more."""
        self._wakes.pop(key, None)

    def _wake_all(self) -> None:
        for wake in tuple(self._wakes.values()):
            wake()


class Waking:
    """Context of one wait."""

    __slots__ = ("_state", "_wake")

    def __init__(self, state: ShutdownState, wake: Callable[[], object]) -> None:
        self._state = state
        self._wake = wake

    def __enter__(self) -> None:
        if self._state.armed and not exempt.get():
            self._state.add(self, self._wake)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._state.discard(self)


SHUTDOWN = ShutdownState()


def sleep(clock: Clock, seconds: float, name: str) -> None:
    """Sleep, until the shutdown begins.

    Args:
        clock: Where sleep comes from.
        seconds: How long.
        name: What waits, for the error.

    Raises:
        ShuttingDownError: It has begun.
    """
    if not SHUTDOWN.armed or exempt.get():
        clock.sleep(seconds)
        return
    SHUTDOWN.check(name)
    if isinstance(clock, SystemClock):
        gate = _Gate()
        with SHUTDOWN.waking(gate.open):
            gate.wait(seconds)
    else:
        clock.sleep(seconds)
    SHUTDOWN.check(name)


async def async_sleep(clock: Clock, seconds: float, name: str) -> None:
    """Sleep, letting other tasks run, until the shutdown begins.

    Args:
        clock: Where sleep comes from.
        seconds: How long.
        name: What waits, for the error.

    Raises:
        ShuttingDownError: It has begun.
    """
    if not SHUTDOWN.armed or exempt.get():
        await clock.async_sleep(seconds)
        return
    SHUTDOWN.check(name)
    if isinstance(clock, SystemClock) and seconds > 0:
        from peak_observe.support.async_library import task_event  # late: a start does not sleep

        event = task_event()
        with SHUTDOWN.waking(event.set):
            await event.wait(seconds)
    else:
        await clock.async_sleep(seconds)
    SHUTDOWN.check(name)


class _Gate:
    """One-shot event for one thread, which a signal handler may open."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Wake the thread; a second time does no harm."""
        if self._lock.locked():
            self._lock.release()

    def wait(self, seconds: float) -> None:
        """Return when the gate is open, or `seconds` have passed."""
        self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))
