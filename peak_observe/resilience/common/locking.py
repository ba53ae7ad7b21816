"""Call a function under an RLock that is released even if Ctrl-C interrupts the release."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def exclusively(lock: threading.RLock, action: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `action` with the lock held and return its result.

    A lock that knows its owner also lets a signal handler or a finalizer in that comes while this thread has it, where
    a plain one would wait for itself.
    """
    try:
        with lock:
            return action(*args, **kwargs)
    except BaseException:
        # Leaving a `with` is code too, and may be interrupted before it has let go.
        with suppress(RuntimeError):  # it has
            lock.release()
        raise
