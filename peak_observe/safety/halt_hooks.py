"""Hooks of a trading switch: functions that are called once in each halt, as to cancel all orders."""

from __future__ import annotations

import inspect
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine, Sequence


class Hook:
    """A function to call once in each halt, and the event loop that its coroutine runs on.

    Args:
        function: The function, without arguments.

    Raises:
        TypeError: It cannot be called.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        if not callable(function):
            raise TypeError(f"on_halt() takes a function without arguments, not {function!r}")
        self._function = function
        self._loop = _running_loop()
        self._done: dict[str, object] = {}

    def claim(self, halt: str) -> bool:
        """Return whether this halt is new to the hook."""
        mine = object()
        return self._done.setdefault(halt, mine) is mine  # at once, as several threads see a halt, without a lock

    def run(self, switch: str) -> None:
        """Call the function and wait for its coroutine; what it raises is logged."""
        try:
            found = self._function()
            if inspect.isawaitable(found):
                self._await(self._awaited(found, switch))
        except BaseException as error:  # noqa: BLE001 - the hooks after this one have to run
            self._complain(switch, error)

    async def _awaited(self, found: Awaitable[object], switch: str) -> None:
        try:
            await found
        except BaseException as error:  # noqa: BLE001 - the loop of the program would end by SystemExit
            self._complain(switch, error)

    def _complain(self, switch: str, error: BaseException) -> None:
        from peak_observe.support.loggers import logger
        from peak_observe.support.redact import describe

        name = getattr(self._function, "__qualname__", repr(self._function))
        logger("peak_observe.trading").error("hook %s of switch '%s' failed: %s", name, switch, describe(error))

    def _await(self, coroutine: Coroutine[Any, Any, object]) -> None:
        import asyncio

        loop = self._loop
        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(coroutine, loop).result()
        else:
            asyncio.run(coroutine)


def run(hooks: Sequence[Hook], switch: str, halt: str) -> None:
    """Run the hooks to which a halt is new, one after the other, in a thread that the end of the program waits for."""
    due = [hook for hook in tuple(hooks) if hook.claim(halt)]
    if not due:
        return

    def work() -> None:
        for hook in due:
            hook.run(switch)

    try:
        threading.Thread(target=work, name="peak-observe-halt", daemon=False).start()
    except RuntimeError:  # the program is ending, or the system has no thread to give
        work()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
