"""Shutdown in order: waits end, readiness is withdrawn, hooks run, and the last snapshot is written."""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from peak_observe.errors import ShuttingDownError
from peak_observe.support.shown import shown
from peak_observe.support.shutdown_state import SHUTDOWN, exempt
from peak_observe.telemetry.snapshot import writer

if TYPE_CHECKING:
    import asyncio
    from types import FrameType

PATIENCE = 1.0
"""Seconds that a program has to end by itself, when its hooks have run beside it."""
Hook = tuple[str, "Callable[[], object]"]


class stopping:  # noqa: N801 - it is used as a verb: `with stopping() as stop:`
    """Shut the program down in order, when SIGTERM comes or the block ends; one block a program.

    From then on waits of retries, limits and bans end with `ShuttingDownError`, which ends the block and nothing more;
    `/readyz` answers 503; the hooks run one after the other, and their own waits go on. A program that does not leave
    the block within half of the deadline has its hooks run beside it, and is ended then.

    Args:
        deadline: Time for all of it, in seconds or as `30s`: less than the one of whoever sends SIGKILL next.

    Attributes:
        requested: Whether the shutdown has begun.

    Raises:
        ValueError: The deadline is invalid.
    """

    def __init__(self, deadline: float | str = 10.0) -> None:
        self._deadline = _seconds(deadline)
        self._hooks: list[Hook] = []
        self._ended, self._leaving = threading.Event(), False
        self._running = threading.Lock()
        self._began = 0.0
        self._before: Any = None
        self._task: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owner = os.getpid()

    @property
    def requested(self) -> bool:
        """Whether the shutdown has begun, for loops: `while not stop.requested:`."""
        return SHUTDOWN.begun

    def then(self, hook: Callable[[], object], *, name: str | None = None) -> Callable[[], object]:
        """Run a function at the end, after those that were added before; also a decorator.

        Args:
            hook: A function without arguments; a coroutine runs on the event loop of the block. Its exception is
                logged, and the next one runs.
            name: What it is called in the log.

        Raises:
            TypeError: It cannot be called.
        """
        if not callable(hook):
            raise TypeError(f"then() takes a function without arguments, not {shown(hook)}")
        self._hooks.append((name or str(getattr(hook, "__qualname__", "hook")), hook))
        return hook

    def begin(self) -> None:
        """Begin the shutdown, from any thread; a second time changes nothing."""
        if SHUTDOWN.begun:
            return
        self._began = time.monotonic()
        SHUTDOWN.begin()
        writer.soon()

    def wait(self, seconds: float | None = None) -> bool:
        """Block this thread until the shutdown begins, or `seconds` have passed; return whether it has begun."""
        gate = threading.Event()
        with SHUTDOWN.waking(gate.set):
            gate.wait(seconds)
        return self.requested

    def __enter__(self) -> Self:
        SHUTDOWN.arm()
        self._handle_sigterm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        asked = self.requested
        self.begin()
        self._run_hooks()
        self._leave()
        return asked and isinstance(error, ShuttingDownError)

    async def __aenter__(self) -> Self:
        import asyncio

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        import asyncio

        asked, task, self._leaving = self.requested, self._task, True
        self.begin()
        if asked and isinstance(error, asyncio.CancelledError):
            task.uncancel()
        try:
            await asyncio.to_thread(self._run_hooks)
        except RuntimeError:  # the system has no thread to give: better here than not at all
            await self._run_hooks_on_loop()
        self._leave()
        return asked and isinstance(error, ShuttingDownError | asyncio.CancelledError)

    def _leave(self) -> None:
        self._ended.set()
        if self._before is not None:
            import signal

            with suppress(ValueError):
                signal.signal(signal.SIGTERM, self._before)

    def _handle_sigterm(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        import signal

        with suppress(ValueError):  # a subinterpreter
            self._before = signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, _: FrameType | None) -> None:
        import signal

        if self.requested or os.getpid() != self._owner:  # a second one, or a child that was forked inside the block
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.begin()
        # The handler may have interrupted code that holds any lock: all that takes one happens elsewhere.
        try:
            threading.Thread(target=self._supervise, name="peak-observe-shutdown", daemon=True).start()
        except RuntimeError:  # the system has no thread to give: nobody would end the block at the deadline
            self._end_block()

    def _end_block(self) -> None:
        if self._loop is None:
            raise ShuttingDownError("the program")
        if not self._leaving:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _supervise(self) -> None:
        """See to it that the program ends by its deadline."""
        if self._ended.wait(self._left() / 2):
            return
        if self._loop is not None and not self._leaving:
            self._loop.call_soon_threadsafe(self._task.cancel)
            if self._ended.wait(self._left() / 2):
                return
        self._run_hooks()
        if not self._ended.wait(min(PATIENCE, self._left())):
            _end()

    def _run_hooks(self) -> None:
        with self._running:
            while self._hooks:
                name, hook = self._hooks.pop(0)
                self._run(name, hook)

    async def _run_hooks_on_loop(self) -> None:
        before = exempt.set(True)
        while self._hooks:
            name, hook = self._hooks.pop(0)
            try:
                found = hook()
                if inspect.isawaitable(found):
                    await found
            except Exception as error:  # noqa: BLE001 - the hooks after this one have to run
                _complain_of(name, error)
        exempt.reset(before)

    def _run(self, name: str, hook: Callable[[], object]) -> None:
        left = self._left()
        if left <= 0:
            _complain("the deadline of the shutdown is over: hook %s did not run", name)
            return
        # In a thread of its own, as one that hangs must not hold up the end.
        thread = threading.Thread(target=copy_context().run, args=(self._call, name, hook), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread to give, or the program is ending: better here than not at all
            copy_context().run(self._call, name, hook)
            return
        thread.join(left)
        if thread.is_alive():
            _complain("the deadline of the shutdown is over: hook %s has not ended", name)

    def _call(self, name: str, hook: Callable[[], object]) -> None:
        exempt.set(True)
        try:
            found = hook()
            if inspect.isawaitable(found):
                self._await(found)
        except BaseException as error:  # noqa: BLE001 - the hooks after this one have to run
            _complain_of(name, error)

    def _await(self, found: Any) -> None:
        import asyncio

        async def awaited() -> None:
            exempt.set(True)
            await found

        if self._loop is not None and self._loop.is_running():
            asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()
        else:
            asyncio.run(awaited())

    def _left(self) -> float:
        return max(0.0, self._began + self._deadline - time.monotonic())


def _end() -> None:
    """End the process with its last snapshot, and the exit code of a shell for SIGTERM: no handler runs any more."""
    import signal

    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    writer.last_word()
    os._exit(128 + signal.SIGTERM)


def _complain_of(name: str, error: BaseException) -> None:
    from peak_observe.support.redact import describe

    _complain("hook %s of the shutdown failed: %s", name, describe(error))


def _complain(message: str, *values: object) -> None:
    from peak_observe.support.loggers import logger

    logger("peak_observe.shutdown").error(message, *values)


def _seconds(value: float | str) -> float:
    from peak_observe.support.durations import seconds

    try:
        return seconds(value)
    except ValueError as error:
        raise ValueError(f"deadline: {error}") from None
