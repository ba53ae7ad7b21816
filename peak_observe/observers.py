"""Observers: functions that receive events, of everything or of one breaker alone.

Observers run on the thread that noticed the fact, after every lock is released; one that raises is logged once and not
called again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from peak_observe.events import Event
else:
    Event = tuple  # each event is a named tuple, and to load them all would take as long as half of this package

Observer: TypeAlias = Callable[[Event], object]


_CO_COROUTINE = 0x80  # inspect's, which would be a slow import


class Observers:
    """Set of observers; one that raises is logged once and not called again."""

    __slots__ = ("__weakref__", "_known", "_lock", "_own")

    def __init__(self) -> None:
        # A tuple that is replaced can be read without the lock.
        self._known: tuple[Observer, ...] = ()
        self._own: tuple[Observer, ...] = ()
        self._lock = threading.Lock()

    def add(self, observer: Observer, *, own: bool = False) -> Callable[[], None]:
        """Tell `observer` of every event from now on, and return the function that ends it.

        Args:
            observer: The observer.
            own: Whether it is one of this package, which stays: what it raises comes from a handler of a signal.
        """
        if not callable(observer):
            raise TypeError(f"observe() takes a callable of one event, not {shown(observer)}")
        if getattr(getattr(observer, "__code__", None), "co_flags", 0) & _CO_COROUTINE:
            raise TypeError(
                f"observe() takes a plain function, as nobody awaits the coroutine function {shown(observer)}"
            )
        with self._lock:
            self._known = (*self._known, observer)
            self._own = (*self._own, observer) if own else self._own
        return lambda: self._forget(observer)

    def tell(self, event: Event) -> None:
        """Hand `event` to every observer; never raises for one that fails."""
        for observer in self._known:
            try:
                observer(event)
            except Exception:  # noqa: BLE001 - an observer's fault is not the trading program's
                if observer not in self._own:
                    self._forget(observer)
                    _log_failure(observer)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def _forget(self, observer: Observer) -> None:
        with self._lock:
            self._known = tuple(known for known in self._known if known is not observer)


EVERYBODY = Observers()
"""Those who are told of everything."""


def observe(observer: Observer) -> Callable[[], None]:
    """Tell `observer` of every event from now on.

    Args:
        observer: Called with one event at a time, from whichever thread noticed it; should return at once.

    Returns:
        A function that ends the observation; calling it again does nothing.
    """
    return EVERYBODY.add(observer)


def emit(event: Event) -> None:
    """Hand `event` to every observer; never raises for one that fails."""
    EVERYBODY.tell(event)


def _log_failure(observer: Observer) -> None:
    from peak_observe.support.loggers import logger

    logger("peak_observe.events").error(
        "observer %r raised and will not be called again",
        observer,
    )
