"""Event loop of this thread, and one warning for calls that hold it up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from peak_observe.support.async_library import running_trio

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from contextvars import Context
    from typing import TypeAlias

    Loop: TypeAlias = Any  # an asyncio.AbstractEventLoop or a trio.lowlevel.TrioToken

_tasks: set[asyncio.Task[None]] = set()  # as a loop holds its tasks weakly


def running_loop() -> Loop | None:
    """Return the event loop that runs on this thread, of trio its token, without importing either for it."""
    trio = running_trio()
    if trio is not None:
        return trio.lowlevel.current_trio_token()
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_trio(loop: Loop) -> bool:
    """Return whether a loop is the token of a run of trio."""
    return hasattr(loop, "run_sync_soon")


def is_running(loop: Loop) -> bool:
    """Return whether a loop runs; called from any thread."""
    if not is_trio(loop):
        return bool(loop.is_running())
    try:
        loop.run_sync_soon(bool, idempotent=True)  # nothing that does harm: there is no other way to ask
    except RuntimeError:
        return False
    return True


def start_task(
    loop: Loop, func: Callable[[], Coroutine[Any, Any, None]], context: Context, refused: Callable[[], None]
) -> None:
    """Run a coroutine function on a loop, in its background; called from any thread.

    Args:
        loop: Where.
        func: What to run.
        context: The context of the task.
        refused: Called instead where the loop takes no more tasks.
    """
    if is_trio(loop):
        loop.run_sync_soon(_spawn, func, context, refused)
        return

    def start() -> None:
        task = loop.create_task(func(), context=context)
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    loop.call_soon_threadsafe(start)


def _spawn(func: Callable[[], Coroutine[Any, Any, None]], context: Context, refused: Callable[[], None]) -> None:
    try:
        sys.modules["trio"].lowlevel.spawn_system_task(func, context=context)
    except RuntimeError:  # the run is about to end
        refused()


class BlockingWarning:
    """Warning that a call is about to hold up a running event loop; it is logged once.

    Args:
        logger: The logger, below `peak_observe`.
        message: The problem and the mend.
    """

    def __init__(self, logger: str, message: str) -> None:
        self._logger = logger
        self._message = message
        self._logged = False

    def check(self) -> None:
        """Log the warning, if an event loop runs on this thread and it was not logged yet."""
        if self._logged or running_loop() is None:
            return
        import logging

        self._logged = True
        logging.getLogger(f"peak_observe.{self._logger}").warning("%s", self._message)
