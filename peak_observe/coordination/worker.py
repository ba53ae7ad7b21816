"""Daemon threads of one shared state: one tells and renews, one listens; each is made anew in a forked child."""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe.coordination.engine import EngineError
from peak_observe.support.timed_lock import TimedLock

if TYPE_CHECKING:
    from collections.abc import Callable

SETTLING = 0.05
"""Seconds that a thread waits in a forked child, by when all locks are made anew."""

T = TypeVar("T")
Task = tuple[float, int, "Callable[[], object]"]


class Daemon:
    """Daemon thread that is started when it is first needed, and where that fails at the next need.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._starts = TimedLock(0)
        self._pause = 0.0
        self._closed = False

    def start(self) -> None:
        """Start the thread, if it does not run."""
        # Who finds the lock taken leaves the start to another thread, or to the code that a signal interrupted.
        if self._thread is None and not self._closed:
            with suppress(queue.Empty), self._starts:
                self._start_locked()

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread."""
        if self._thread is not None and not self.is_current:
            self._thread.join(seconds)

    @property
    def is_current(self) -> bool:
        """Whether this is called in the thread."""
        return self._thread is threading.current_thread()

    def after_fork(self) -> None:
        """Start a thread anew, if the parent had one: others are heard without a call, and an engine that was away."""
        ran, self._thread = self._thread is not None, None
        self._starts, self._pause = TimedLock(0), SETTLING
        if ran:
            self.start()

    def _start_locked(self) -> None:
        if self._thread is None:
            thread = self._thread = threading.Thread(target=self._begin, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the program is ending, or the system has no thread to give
                self._thread = None
            except BaseException:  # a signal's handler raised: if it has started all the same, it ends by itself
                self._thread = None
                raise

    def _begin(self) -> None:
        time.sleep(self._pause)
        self._run()

    @property
    def _goes_on(self) -> bool:
        return not self._closed and self.is_current

    def _run(self) -> None:
        raise NotImplementedError


class Worker(Daemon):
    """Runs small tasks one after the other in a thread, at once or later.

    Args:
        name: The thread's name.
        idle: Called when nothing is to be done; returns the seconds until it is due again.
    """

    def __init__(self, name: str, idle: Callable[[], float]) -> None:
        super().__init__(name)
        self._idle = idle
        # Of all queues this one may be put to from a signal handler, and while the collector runs.
        self._inbox: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._due: list[Task] = []
        self._numbers = itertools.count()

    def post(self, task: Callable[[], object], after: float = 0.0) -> None:
        """Run a task in the thread, `after` seconds from now, if the thread still runs then."""
        self._inbox.put((time.monotonic() + after, next(self._numbers), task))

    def close(self) -> None:
        """Let the thread end."""
        self._closed = True
        self.post(lambda: None)

    def after_fork(self) -> None:
        """Forget the parent's tasks, and start a thread anew."""
        self._inbox, self._due = queue.SimpleQueue(), []
        super().after_fork()

    def _run(self) -> None:
        idle_at = 0.0
        while self._goes_on:
            now = time.monotonic()
            if now >= idle_at:
                idle_at = now + _guarded(self._idle, 1.0)
            next_at = min(idle_at, self._due[0][0]) if self._due else idle_at
            with suppress(queue.Empty):
                heapq.heappush(self._due, self._inbox.get(timeout=max(0.0, next_at - time.monotonic())))
            while self._due and self._due[0][0] <= time.monotonic() and not self._closed:
                _guarded(heapq.heappop(self._due)[2], None)


class Listener(Daemon):
    """Thread that waits for news until it is closed.

    Args:
        name: The thread's name.
        step: Called again and again; it waits itself.
    """

    def __init__(self, name: str, step: Callable[[], object]) -> None:
        super().__init__(name)
        self._step = step

    def close(self) -> None:
        """Let the thread end after its present wait."""
        self._closed = True

    def _run(self) -> None:
        while self._goes_on:
            _guarded(self._step, None)


def _guarded(task: Callable[[], T], otherwise: T) -> T:
    """Run a task; a mistake of ours is logged and ends neither the thread nor the program."""
    try:
        return task()
    except Exception:  # noqa: BLE001 - whatever it is, the threads go on
        from peak_observe.support.loggers import logger

        logger("peak_observe.shared").exception("a task of the shared state failed")
        time.sleep(0.05)
        return otherwise


class Answer:
    """Answer of the worker to a task that waits for it."""

    def __init__(self) -> None:
        self._value: Any = None
        self._error: BaseException | None = EngineError("the worker did not answer in time")

    def fill(self, event: Any, ask: Callable[[], Any]) -> None:
        """Ask, keep what comes, and wake who waits."""
        try:
            self._value, self._error = ask(), None
        except Exception as error:  # noqa: BLE001 - it is raised again where it was asked for
            self._error = error
        event.set()

    def get(self) -> Any:
        """Return the answer, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._value
