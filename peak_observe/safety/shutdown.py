"""Shutdown in order: waits end, readiness is withdrawn, hooks run, and the last snapshot is written."""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from peak_observe.errors import ShuttingDownError
from peak_observe.support.shown import shown
from peak_observe.support.shutdown_state import SHUTDOWN, exempt
from peak_observe.support.wake_event import WakeEvent
from peak_observe.telemetry.snapshot import writer

if TYPE_CHECKING:
    from types import FrameType

    from peak_observe.safety.shutdown_loop import BlockLoop

PATIENCE = 1.0
"""Seconds that a program has to end by itself, when its hooks have run beside it."""
Hook = tuple[str, "Callable[[], object]"]
_blocks: list[stopping] = []
"""Blocks that the program is in, the outermost first; a forked child inherits its parent's."""


class stopping:  # noqa: N801 - it is used as a verb: `with stopping() as stop:`
    """Shut the program down in order, when SIGTERM comes or the block ends; a block inside another one ends it, too.

    From then on waits of retries, limits and bans end with `ShuttingDownError`, which ends the block and nothing more;
    `/readyz` answers 503; the hooks run one after the other, and their own waits go on. A program that does not leave
    the block within half of the deadline has its hooks run beside it, and is ended then. In a child that is forked
    inside, nothing happens at the end of the block. On asyncio or trio it is an `async with`.

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
        self._ended, self._leaving = WakeEvent(), False
        self._running = threading.Lock()
        self._began = 0.0
        self._before: Any = None
        self._loop: BlockLoop | None = None
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
        self._began = self._began or time.monotonic()
        if not SHUTDOWN.begun:
            SHUTDOWN.begin()
            writer.soon()

    def wait(self, seconds: float | None = None) -> bool:
        """Block this thread until the shutdown begins, or `seconds` have passed; return whether it has begun."""
        gate = WakeEvent()
        with SHUTDOWN.waking(gate.set):
            gate.wait(seconds)
        return self.requested

    def __enter__(self) -> Self:
        around = _living_blocks()
        if self in around:
            raise RuntimeError("this stopping() block is entered already: make another one")
        if not around:
            SHUTDOWN.arm()
        self._ended, self._leaving, self._began, self._owner = WakeEvent(), False, 0.0, os.getpid()
        _blocks.append(self)
        self._handle_sigterm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._owner != os.getpid():
            return False
        asked = self.requested
        self.begin()
        interrupt = self._run_hooks_in_thread()
        self._leave()
        if interrupt is not None and error is None:
            raise interrupt
        return asked and _is_the_end(error)

    async def __aenter__(self) -> Self:
        from peak_observe.safety.shutdown_loop import block_loop

        self._loop = block_loop()
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        loop = self._loop
        if loop is None or self._owner != os.getpid():
            return False
        asked, self._leaving = self.requested, True
        self.begin()
        try:
            await loop.offload(self._run_hooks)
        except RuntimeError:  # the system has no thread to give: better here than not at all
            await self._run_hooks_on_loop()
        finally:
            self._leave()
            cancelled = loop.leave(error, traceback, asked=asked)
        return cancelled or (asked and _is_the_end(error))

    def _leave(self) -> None:
        self._ended.set()
        _blocks.remove(self)
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
            self._loop.cancel()

    def _supervise(self) -> None:
        """See to it that the program ends by its deadline, with the blocks around this one."""
        blocks = _living_blocks()[::-1]
        for block in blocks:
            block.begin()
        if all(block._ends_in_time() for block in blocks):  # noqa: SLF001 - its own kind
            return
        for block in blocks:
            block._run_hooks()  # noqa: SLF001 - see above
        if not blocks[-1]._ended.wait(min(PATIENCE, self._left())):  # noqa: SLF001 - see above
            _end()

    def _ends_in_time(self) -> bool:
        if self._ended.wait(self._left() / 2):
            return True
        if self._loop is None or self._leaving:
            return False
        self._loop.cancel()
        return self._ended.wait(self._left() / 2)

    def _run_hooks(self) -> None:
        with self._running:
            while self._hooks:
                name, hook = self._hooks.pop(0)
                self._run(name, hook)

    def _run_hooks_in_thread(self) -> KeyboardInterrupt | None:
        """Run the hooks to their end, or the deadline, whoever presses Ctrl-C; return the last one."""
        done = WakeEvent()  # join() of a thread takes it for ended once Ctrl-C has interrupted it

        def work() -> None:
            self._run_hooks()
            done.set()

        interrupt = None
        with _ctrl_c_noted(self._tell_of_ctrl_c) as noted:
            try:
                threading.Thread(target=copy_context().run, args=(work,), daemon=True).start()
            except RuntimeError:  # no thread can start, or the program is ending: better here than not at all
                work()
            while not done.is_set():
                try:
                    done.wait()
                except KeyboardInterrupt as error:  # by a handler of the program's own
                    interrupt = error
                    self._tell_of_ctrl_c()
        return noted[-1] if noted else interrupt

    def _tell_of_ctrl_c(self) -> None:
        _complain("the hooks of the shutdown run for %.0f s at most: SIGTERM ends them at once", self._left())

    async def _run_hooks_on_loop(self) -> None:
        before = exempt.set(True)
        while self._hooks:
            name, hook = self._hooks.pop(0)
            try:
                found = hook()
                if inspect.isawaitable(found):
                    await found
            except BaseException as error:  # noqa: BLE001 - the hooks after this one have to run
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
                self._await(name, found)
        except BaseException as error:  # noqa: BLE001 - the hooks after this one have to run
            _complain_of(name, error)

    def _await(self, name: str, found: Any) -> None:
        async def awaited() -> None:
            exempt.set(True)
            try:
                await found
            except BaseException as error:  # noqa: BLE001 - a loop ends by SystemExit, and the hooks after this one with it
                _complain_of(name, error)

        if self._loop is None or not self._loop.run(awaited):
            import asyncio

            asyncio.run(awaited())

    def _left(self) -> float:
        return max(0.0, self._began + self._deadline - time.monotonic())


@contextmanager
def _ctrl_c_noted(tell: Callable[[], object]) -> Iterator[list[KeyboardInterrupt]]:
    """Note each Ctrl-C instead of raising it between any two lines of the block."""
    import signal

    noted: list[KeyboardInterrupt] = []

    def note(*_: object) -> None:
        noted.append(KeyboardInterrupt())
        tell()

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield noted
        return
    with suppress(ValueError):  # a subinterpreter
        signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _living_blocks() -> list[stopping]:
    return [block for block in _blocks if block._owner == os.getpid()]  # noqa: SLF001 - its own kind


def _is_the_end(error: BaseException | None) -> bool:
    """Return whether it is the end of waits and nothing else, as a group of tasks raises it, too."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(ShuttingDownError)[1] is None
    return isinstance(error, ShuttingDownError)


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
