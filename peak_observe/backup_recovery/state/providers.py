"""Calls of state providers: each in a thread of its own with a time limit, also where it is a coroutine function."""

from __future__ import annotations

import contextvars
import inspect
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TIME_LIMIT = 30.0
"""Seconds that a provider may take, unless it was registered with another limit."""


class _Call:
    """One call of a provider; the thread may outlive the patience of who waits for it.

    Args:
        provider: The provider.
        seconds: How long it may take.
    """

    def __init__(self, provider: Callable[[], Any], seconds: float) -> None:
        self._provider = provider
        self._seconds = seconds
        self._context = contextvars.copy_context()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call the provider and keep what it returns or raises."""
        try:
            self.value = self._context.run(self._provider)
            if inspect.isawaitable(self.value):
                self.value = self._context.run(_awaited, self.value, self._seconds)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            self.error = error


def call(provider: Callable[[], Any], seconds: float = TIME_LIMIT) -> Any:
    """Return what a provider returns; a coroutine is awaited in an event loop of its own.

    Args:
        provider: The provider.
        seconds: How long it may take.

    Raises:
        TimeoutError: It takes longer; it is left to itself.
        BaseException: What it raises.
    """
    work = _Call(provider, seconds)
    thread = threading.Thread(target=work.run, name="peak-observe-state-provider", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"it took longer than {seconds:g} s")
    if isinstance(work.error, sqlite3.ProgrammingError):
        return provider()  # connections of SQLite answer the thread only that made them, which most likely is this one
    if work.error is not None:
        raise work.error
    return work.value


def _awaited(value: Awaitable[Any], seconds: float) -> Any:
    import asyncio

    async def wait() -> Any:
        try:
            return await asyncio.wait_for(value, seconds)
        except TimeoutError:
            raise TimeoutError(f"it took longer than {seconds:g} s") from None

    return asyncio.run(wait())
