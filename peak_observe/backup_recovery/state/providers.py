"""Calls of state providers: each in a thread of its own with a time limit, also where it is a coroutine function."""

from __future__ import annotations

import contextvars
import inspect
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("peak_observe_state_provider", default=False)

TIME_LIMIT = 30.0
"""Seconds that a provider may take, unless it was registered with another limit."""


class Answer(NamedTuple):
    """Answer of a provider.

    Args:
        value: What it returned.
        error: What it raised, or why it was given up or not called at all.
    """

    value: Any = None
    error: Exception | None = None


def inside() -> bool:
    """Return whether a provider has called: it would wait for itself, or two for each other."""
    return _inside.get()


class ProviderCall:
    """One call of a provider in a thread of its own, which may outlive the patience of who waits for it.

    Args:
        provider: The provider.
        seconds: How long it may take.
        finish: Makes of its value what is kept, within the same limit, as a value can do work while it is read.
    """

    def __init__(self, provider: Callable[[], Any], seconds: float, finish: Callable[[Any], Any]) -> None:
        self._provider = provider
        self._seconds = seconds
        self._finish = finish
        self._context = contextvars.copy_context()
        self._deadline = time.monotonic() + seconds
        self._value: Any = None
        self._error: BaseException | None = None
        self._awaits = False
        self._thread = threading.Thread(target=self._run, name="peak-observe-state-provider", daemon=True)

    def start(self) -> None:
        """Begin, where the system has a thread to give."""
        self._deadline = time.monotonic() + self._seconds
        with suppress(RuntimeError):  # it has none, or the program is ending
            self._thread.start()

    @property
    def under_way(self) -> bool:
        """Whether it has not come back yet."""
        return self._thread.is_alive()

    def hangs(self) -> bool:
        """Wait for it, and return whether it takes longer than it may; it is left to itself then."""
        if self.under_way:
            self._thread.join(max(0.0, self._deadline - time.monotonic()))
        return self.under_way

    def answer(self) -> Answer:
        """Return how it ends; a coroutine is awaited in an event loop of its own.

        What this raises itself comes from a handler of a signal. What ends a program or a task ends only the provider.
        """
        if self._thread.ident is None:  # it could not be started: here, without a limit
            self._run()
        if self.hangs():
            return Answer(error=TimeoutError(f"it took longer than {self._seconds:g} s"))
        if self._belongs_here():
            self._error = None
            self._run()
        if self._error is not None and not isinstance(self._error, Exception):
            return Answer(error=RuntimeError(f"it raised {describe(self._error)}"))
        return Answer(self._value, self._error)

    def _belongs_here(self) -> bool:
        """Return whether it failed as it uses a connection of SQLite that answers this thread only, which made it."""
        made_here = f"created in thread id {threading.get_ident()} "
        if not isinstance(self._error, sqlite3.ProgrammingError) or made_here not in str(self._error):
            return False
        return not (self._awaits and _in_a_loop())  # in which no other one can run

    def _run(self) -> None:
        try:
            self._value = self._context.run(self._called)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            self._error = error

    def _called(self) -> Any:
        _inside.set(True)
        value = self._provider()
        self._awaits = inspect.isawaitable(value)
        return self._finish(_awaited(value, self._seconds) if self._awaits else value)


def _in_a_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _awaited(value: Awaitable[Any], seconds: float) -> Any:
    import asyncio

    async def wait() -> Any:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await value
        except TimeoutError:
            if not limit.expired():  # one of its own, as of an exchange
                raise
            raise TimeoutError(f"it took longer than {seconds:g} s") from None

    return asyncio.run(wait())
