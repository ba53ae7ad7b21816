"""Thread that looks at the switches of this process a few times a second, so that hooks run without a call."""

from __future__ import annotations

import threading
from typing import Protocol
from weakref import WeakSet

from peak_observe.measures import forks
from peak_observe.support.wake_event import WakeEvent

INTERVAL = 0.25
"""Seconds for which a look at the file of a switch is good."""


class Watched(Protocol):
    """Protocol of an object that is looked at."""

    def look(self) -> object:
        """Take in what has changed."""


class SwitchWatcher:
    """Daemon thread that lives as long as there is anything to look at."""

    def __init__(self) -> None:
        self._watched: WeakSet[Watched] = WeakSet()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._wake = WakeEvent()
        forks.renew(self)

    def add(self, watched: Watched) -> None:
        """Look at an object from now on."""
        with self._lock:
            self._watched.add(watched)
            self._start()

    def discard(self, watched: Watched) -> None:
        """Look at it no more."""
        with self._lock:
            self._watched.discard(watched)
        self._wake.set()

    def watches(self, watched: Watched) -> bool:
        """Return whether the thread runs, and looks at it."""
        return self._thread is not None and self._thread.is_alive() and watched in self._watched

    def after_fork(self) -> None:
        """Make lock and thread anew in a forked child."""
        self._lock, self._wake, self._thread = threading.Lock(), WakeEvent(), None
        if self._watched:
            self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="peak-observe-trading", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the system has no thread to give: whoever asks looks for himself
                self._thread = None

    def _work(self) -> None:
        while True:
            self._wake.wait(INTERVAL)
            self._wake.clear()
            with self._lock:
                watched = tuple(self._watched)
                if not watched:
                    self._thread = None
                    return
            for one in watched:
                _look(one)
            del watched


def _look(watched: Watched) -> None:
    try:
        watched.look()
    except Exception:  # noqa: BLE001 - the other switches have to be looked at
        from peak_observe.support.loggers import logger

        logger("peak_observe.trading").exception("%r cannot be looked at", watched)


WATCHER = SwitchWatcher()
