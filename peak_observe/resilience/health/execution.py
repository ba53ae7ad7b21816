"""Execution of a check's function, in a daemon thread or on the caller's event loop."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from peak_observe.measures import forks
from peak_observe.resilience.common import wrapping
from peak_observe.resilience.common.event_loop import is_running, is_trio, start_task
from peak_observe.resilience.health.result import TIMEOUT, Finding, of_answer, of_error
from peak_observe.support.async_library import cancelled_error, time_limit
from peak_observe.telemetry.tracing import spans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from queue import SimpleQueue

    from peak_observe.resilience.common.event_loop import Loop
    from peak_observe.resilience.health.result import HealthCheckResult


# The execution that this thread or task is part of.
_current: ContextVar[Execution | None] = ContextVar("peak_observe_health_execution", default=None)


class _Graph:
    """Lock of the graph of executions that wait for each other."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        forks.renew(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_graph = _Graph()


class Execution:
    """Call of a check's function under way, in a daemon thread of its own or on the caller's event loop.

    It knows the function and not the check, so one that hangs keeps no check alive. Its time is always the machine's:
    no clock of a test can move a thread.

    Args:
        name: The check's name.
        func: The check's function.
        timeout: Seconds after which nobody waits any longer.

    Attributes:
        finding: What came out, once it has ended.
        duration: Seconds it took, once it has ended.
        result: What the check made of it; set by the check, once.
        loop: The event loop it is on, None if it has a thread.
        waits_for: The executions that it waits for itself, as its function runs checks.
    """

    def __init__(self, name: str, func: Callable[[], Any], timeout: float) -> None:
        self.name = name
        self.timeout = timeout
        self.started = time.perf_counter()
        self.finding: Finding | None = None
        self.duration = 0.0
        self.result: HealthCheckResult | None = None
        self.loop: Loop | None = None
        self._home: Loop | None = None
        self.span = spans.Operation(f"health.check {name}", {"peak_observe.check": name})
        self.waits_for: set[Execution] = set()
        self._func = func
        self._thread: threading.Thread | None = None
        self._queues: list[SimpleQueue[str]] = []
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def over(self) -> bool:
        """Whether nothing will come any more: it has ended, or its thread did not follow into a forked process."""
        return self.finding is not None or (self._thread is not None and not self._thread.is_alive())

    def wait_for(self, other: Execution) -> bool:
        """Note that this execution waits for another one; return False, and note nothing, if that waits for this."""
        with _graph.lock:
            if other.leads_to(self):
                return False
            self.waits_for.add(other)
            return True

    def leads_to(self, other: Execution) -> bool:
        """Return whether this is the other execution, or waits for it, directly or through others."""
        seen, ahead = set(), [self]
        while ahead:
            found = ahead.pop()
            if found is other:
                return True
            if found not in seen:
                seen.add(found)
                ahead.extend(found.waits_for)
        return False

    def start(self, loop: Loop | None) -> None:
        """Begin: coroutine functions on `loop` if it runs, everything else in a thread.

        Raises:
            RuntimeError: The system gives no more threads.
        """
        context = copy_context()  # the caller's span is the parent of the check's
        if loop is not None and wrapping.kind(self._func) == wrapping.COROUTINE and is_running(loop):
            self.loop = loop
            start_task(loop, self._on_loop, context, self._refused)
            return
        self._home = loop
        name = f"peak-observe-check {self.name}"
        thread = threading.Thread(target=context.run, args=(self._in_thread,), name=name, daemon=True)
        thread.start()
        self._thread = thread

    def listen(self, queue: SimpleQueue[str]) -> None:
        """Put the name into `queue` when the call has ended, or at once if it has."""
        with self._lock:
            if self.finding is None:
                self._queues.append(queue)
                return
        queue.put(self.name)

    def _in_thread(self) -> None:
        _current.set(self)
        try:
            with self.span:
                answer = self._func()
                finding = self._run(answer) if hasattr(answer, "__await__") else of_answer(answer)
                self.span.note(outcome=finding.status)
        except BaseException as error:  # noqa: BLE001 - whatever a check raises, SystemExit too, is its answer
            finding = of_error(error)
        self._finish(finding)

    def _run(self, answer: Awaitable[Any]) -> Finding:
        if self._home is not None and is_trio(self._home):
            try:
                finding: Finding = sys.modules["trio"].from_thread.run(self._awaited, answer, trio_token=self._home)
            except BaseException:
                if isinstance(answer, Coroutine):
                    answer.close()  # trio has ended meanwhile, and nobody awaits it any more
                raise
            return finding
        import asyncio

        from peak_observe.resilience.health.daemon_threads import DaemonExecutor

        async def main() -> Finding:
            asyncio.get_running_loop().set_default_executor(executor)
            return await self._awaited(answer)

        with DaemonExecutor() as executor:
            return asyncio.run(main())

    async def _on_loop(self) -> None:
        _current.set(self)
        try:
            with self.span:
                finding = await self._awaited(self._func())
                self.span.note(outcome=finding.status)
        except BaseException as error:
            finding = of_error(error)
            if isinstance(error, cancelled_error() | KeyboardInterrupt):
                raise  # these are meant for the loop's owner, who is told as well as the one who waits
        finally:
            self._finish(finding)

    async def _awaited(self, answer: Awaitable[Any]) -> Finding:
        limit = time_limit(self.timeout)
        try:
            async with limit:
                return of_answer(await answer)
        except TimeoutError:
            if not limit.expired():
                raise
        return Finding(TIMEOUT, "")

    def _refused(self) -> None:
        self._finish(of_error(RuntimeError("the event loop of the check is about to end")))

    def _finish(self, finding: Finding) -> None:
        with self._lock:
            self.duration = self.elapsed
            self.finding = finding
            queues, self._queues = self._queues, []
        for queue in queues:
            queue.put(self.name)


def current_execution() -> Execution | None:
    """Return the execution that this thread or task is part of, while it has not ended."""
    found = _current.get()
    return None if found is None or found.over else found
