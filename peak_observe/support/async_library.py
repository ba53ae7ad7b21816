"""Async library of the running task, asyncio or trio: sleep, time limit and event, with neither imported early."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType


def running_trio() -> Any:
    """Return the module trio if the running task is one of trio's, else None."""
    sniffio, trio = sys.modules.get("sniffio"), sys.modules.get("trio")
    if trio is None:
        return None
    try:
        if sniffio is not None:  # which knows of asyncio inside trio, and of trio inside asyncio
            return trio if sniffio.current_async_library() == "trio" else None
        return trio if trio.lowlevel.current_task() else None
    except (RuntimeError, AttributeError):  # nothing runs, or another thread is importing it at this moment
        return None


def cancelled_error() -> type[BaseException]:
    """Return the exception with which the library of the running task cancels it."""
    trio = running_trio()
    if trio is not None:
        cancelled: type[BaseException] = trio.Cancelled
        return cancelled
    import asyncio

    return asyncio.CancelledError


async def async_sleep(seconds: float) -> None:
    """Suspend the running task for `seconds`."""
    trio = running_trio()
    if trio is not None:
        await trio.sleep(seconds)
        return
    import asyncio

    if seconds > 0:
        _running_asyncio()
    await asyncio.sleep(seconds)


def _running_asyncio() -> asyncio.AbstractEventLoop:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError("coroutines wait and are timed by asyncio or trio, and neither runs here") from None


def time_limit(seconds: float) -> Any:
    """Return what `asyncio.timeout(seconds)` does, for the library of the running task."""
    trio = running_trio()
    if trio is not None:
        return _TrioLimit(trio.CancelScope(deadline=trio.current_time() + seconds))
    import asyncio

    _running_asyncio()
    return asyncio.timeout(seconds)


def task_event() -> TaskEvent:
    """Return an event for which the running task waits."""
    trio = running_trio()
    return _AsyncioEvent(_running_asyncio()) if trio is None else _TrioEvent(trio)


class TaskEvent(Protocol):
    """One-shot event for which one task waits; any thread may set it."""

    def set(self) -> bool:
        """Wake the task; return whether its loop still runs. A second time does no harm."""

    async def wait(self, seconds: float) -> None:
        """Return when the event is set, or `seconds` have passed."""


class _AsyncioEvent:
    """Event for a task of asyncio."""

    __slots__ = ("_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] = loop.create_future()

    def set(self) -> bool:
        import asyncio

        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - the public one raises where none runs
            self._wake()  # without the system call that wakes a loop in another thread
            return True
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop is closed, and nothing waits there any more
            return False
        return True

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float) -> None:
        timer = self._loop.call_later(seconds, self._wake)
        try:
            await self._future
        finally:
            timer.cancel()


class _TrioEvent:
    """Event for a task of trio."""

    __slots__ = ("_event", "_token", "_trio")

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()
        self._event = trio.Event()

    def set(self) -> bool:
        if running_trio() is not None and self._trio.lowlevel.current_trio_token() is self._token:
            self._event.set()
            return True
        try:
            self._token.run_sync_soon(self._event.set)
        except self._trio.RunFinishedError:  # nothing waits there any more
            return False
        return True

    async def wait(self, seconds: float) -> None:
        with self._trio.move_on_after(seconds):
            await self._event.wait()


class _TrioLimit:
    """Time limit of a block in a task of trio, which ends with TimeoutError, as asyncio's does.

    Args:
        scope: A cancel scope with the deadline.
    """

    def __init__(self, scope: Any) -> None:
        self._scope = scope

    def expired(self) -> bool:
        """Return whether the time of the block was over."""
        return bool(self._scope.cancel_called)

    async def __aenter__(self) -> Self:
        self._scope.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._scope.__exit__(kind, error, traceback)
        if self._scope.cancelled_caught:
            raise TimeoutError from error
