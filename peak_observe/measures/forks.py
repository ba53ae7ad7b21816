"""Renew locks in a forked child, where a lock held by another thread of the parent would stay locked for ever."""

from __future__ import annotations

import os
import threading
from operator import attrgetter
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable
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
    """Lock for `with` that nobody holds in a forked child, for what is no object with locks of its own.

    Args:
        make: Makes the lock.
    """

    def __init__(self, make: Callable[[], threading.Lock | threading.RLock] = threading.Lock) -> None:
        self._make = make
        self._lock = make()
        renew(self)

    def after_fork(self) -> None:
        """Make it anew; what forks while it holds the lock lets go of the old one."""
        self._lock = self._make()

    if TYPE_CHECKING:

        def __enter__(self) -> object: ...
        def __exit__(self, *_: object) -> None: ...

    else:
        # `with` is given the methods of the lock itself, before it calls any: in one of our own a handler of a signal
        # could raise after the lock was taken, and nobody would ever let go of it.
        __enter__ = property(attrgetter("_lock.__enter__"))
        __exit__ = property(attrgetter("_lock.__exit__"))


def _after_fork() -> None:
    for owner in tuple(_known):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
