"""Event loop of an `async with stopping()`, of asyncio or trio: other threads cancel its task, and run hooks on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from peak_observe.support.async_library import running_trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType


class BlockLoop(Protocol):
    """Protocol of the event loop of one block, entered in the block's task."""

    def cancel(self) -> None:
        """Cancel what the block does, from any thread."""

    def run(self, func: Callable[[], Awaitable[object]]) -> bool:
        """Run a coroutine on the loop and wait for it, in another thread; return whether the loop still runs."""

    async def offload(self, func: Callable[[], object]) -> None:
        """Run a function in a thread and wait for it, whoever cancels the block meanwhile."""

    def leave(self, error: BaseException | None, traceback: TracebackType | None, *, asked: bool) -> bool:
        """Return whether the block ends by the cancellation that was asked for."""


def block_loop() -> BlockLoop:
    """Return the loop that runs here, for the task that runs."""
    trio = running_trio()
    return _Asyncio() if trio is None else _Trio(trio)


class _Asyncio:
    def __init__(self) -> None:
        import asyncio

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()

    def cancel(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)  # type: ignore[union-attr] # a block is in a task

    def run(self, func: Callable[[], Awaitable[object]]) -> bool:
        import asyncio

        if not self._loop.is_running():
            return False
        asyncio.run_coroutine_threadsafe(_awaited(func), self._loop).result()
        return True

    async def offload(self, func: Callable[[], object]) -> None:
        import asyncio

        await asyncio.to_thread(func)

    def leave(self, error: BaseException | None, _: TracebackType | None, *, asked: bool) -> bool:
        import asyncio

        if not asked or not isinstance(error, asyncio.CancelledError):
            return False
        self._task.uncancel()  # type: ignore[union-attr] # see above
        return True


class _Trio:
    def __init__(self, trio: Any) -> None:
        self._trio, self._token = trio, trio.lowlevel.current_trio_token()
        self._scope = trio.CancelScope()
        self._scope.__enter__()

    def cancel(self) -> None:
        self._token.run_sync_soon(self._scope.cancel)

    def run(self, func: Callable[[], Awaitable[object]]) -> bool:
        try:
            self._trio.from_thread.run(func, trio_token=self._token)
        except self._trio.RunFinishedError:
            return False
        return True

    async def offload(self, func: Callable[[], object]) -> None:
        with self._trio.CancelScope(shield=True):
            await self._trio.to_thread.run_sync(func)

    def leave(
        self,
        error: BaseException | None,
        traceback: TracebackType | None,
        *,
        asked: bool,  # noqa: ARG002 - as on asyncio, which needs it
    ) -> bool:
        return bool(self._scope.__exit__(type(error) if error is not None else None, error, traceback))


async def _awaited(func: Callable[[], Awaitable[object]]) -> object:
    return await func()
