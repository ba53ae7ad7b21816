"""Renew locks in a forked child, where a lock held by another thread of the parent would stay locked for ever."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from typing import Protocol

    class Forked(Protocol):
        """Protocol of an object with locks."""

        def after_fork(self) -> None:
            """Make the locks anew; no other thread is there yet."""
            ...


_known: WeakSet[Forked] = WeakSet()


def renew(owner: Forked) -> None:
    """Have `owner.after_fork()` called in each forked child, for as long as it lives."""
    _known.add(owner)


class RenewedLock:
    """Lock for `with` that nobody holds in a forked child, for what is no object with locks of its own."""

    def __init__(self) -> None:
        self._lock = self._held = threading.Lock()
        renew(self)

    def after_fork(self) -> None:
        """Make it anew; what forks while it holds the lock lets go of the old one."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        lock = self._lock
        lock.acquire()
        self._held = lock

    def __exit__(self, *_: object) -> None:
        self._held.release()


def _after_fork() -> None:
    for owner in tuple(_known):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
