"""Lock that is waited for only so long, and that no exception of a signal's handler leaves held.

Python looks for signals when a call has returned and when a function of its own begins. So a handler can raise between
`acquire(timeout=...)` and the `try` after it, and nobody lets go of the lock any more. A `with` statement whose two
methods are written in C has no such moment.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any


class TimedLock:
    """Lock for `with` that is waited for no longer than some seconds, whereupon it raises `queue.Empty`.

    Args:
        seconds: How long to wait at most.
        free: An item for each that may hold it at a time; one by default.
    """

    def __init__(self, seconds: float, free: SimpleQueue[Any] | None = None) -> None:
        if free is None:
            free = SimpleQueue()
            free.put(None)
        self._free = free
        self._take = partial(self._free.get, timeout=seconds)

    if TYPE_CHECKING:

        def __enter__(self) -> object: ...
        def __exit__(self, *_: object) -> None: ...

    else:
        # Both are C all through. What is put back is the class of the exception, if any, which nobody looks at.
        __enter__ = property(attrgetter("_take"))
        __exit__ = property(attrgetter("_free.put"))
