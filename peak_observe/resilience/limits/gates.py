"""What a call waits at until somebody lets it in: a thread, or a task of any loop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class ThreadGate:
    """Where one thread waits."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> bool:
        """Let the thread go on; return True, as it is there. A second time does no harm; one thread at a time."""
        if self._lock.locked():
            self._lock.release()
        return True

    def wait(self, seconds: float) -> None:
        """Return when the gate is opened, or `seconds` have passed."""
        self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))


class TaskGate:
    """Where the current task waits; it may be opened from any thread."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        import asyncio

        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def open(self) -> bool:
        """Let the task go on; return whether its loop still runs. A second time does no harm."""
        try:
            self._loop.call_soon_threadsafe(self._opened)
        except RuntimeError:  # the loop is closed, and nothing waits there any more
            return False
        return True

    def _opened(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Return when the gate is opened, or `seconds` have passed."""
        import asyncio

        await asyncio.wait((self._future,), timeout=seconds)
