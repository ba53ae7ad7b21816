"""A number of places, and the line of those that wait for one: threads and tasks alike, first come, first served.

A place is held by a `Permit`, an object as short-lived as its call. The set of holders knows it by a weak reference
whose callback takes it out, so a permit that Ctrl-C tore from its call before it could be returned returns by itself.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Self

from peak_observe import catalog
from peak_observe.errors import BulkheadFullError, DeadlineExceededError
from peak_observe.measures import BULKHEADS, BulkheadReading
from peak_observe.measures.forks import renew
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.limits import rejections
from peak_observe.resilience.limits.rejections import AFTER_WAIT, AT_ONCE, INTERRUPTED, OUT_OF_TIME, REFUSED, Refusals

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from types import TracebackType

    from peak_observe.clock import Clock
    from peak_observe.errors import RefusedError
    from peak_observe.events import LimitReached


class Waiter(NamedTuple):
    """One call in the line: whose permit it wants, and where it waits."""

    permit: weakref.ref[Permit]
    gate: ThreadGate | TaskGate


class Compartment:
    """Lets at most `limit` calls in at a time.

    It knows no bulkhead and no wrapper, so its counts outlive the bulkhead that it belongs to.

    Args:
        name: The bulkhead's name.
        limit: How many calls may be under way.
        wait: Seconds that a call waits at most.
        clock: Where the time comes from.
    """

    def __init__(self, *, name: str, limit: int, wait: float, clock: Clock) -> None:
        self.name = name
        self.limit = limit
        self.wait = wait
        self.clock = clock
        self.series = BULKHEADS.series(name)
        self.holders: set[weakref.ref[Permit]] = set()
        self.line: deque[Waiter] = deque()
        self.calls = [0] * len(catalog.LIMIT_OUTCOMES)
        self.wait_seconds = 0.0
        self._refusals = Refusals("bulkhead", name, limit, clock)
        self._lock = threading.RLock()  # the collector may close a generator, which leaves, while we are inside
        renew(self)

    def enter(self, permit: Permit) -> None:
        """Give the permit a place, and block this thread until there is one.

        Raises:
            BulkheadFullError: There was none within `wait` seconds.
            DeadlineExceededError: There was none before the deadline.
        """
        if not exclusively(self._lock, self._take, permit):
            seconds, otherwise = self._patience()
            gate = ThreadGate()
            with self._in_line(Waiter(permit.ref, gate), otherwise):
                gate.wait(seconds)

    async def async_enter(self, permit: Permit) -> None:
        """Give the permit a place, and let other tasks run until there is one; raises what `enter` raises."""
        if not exclusively(self._lock, self._take, permit):
            seconds, otherwise = self._patience()
            gate = TaskGate()
            with self._in_line(Waiter(permit.ref, gate), otherwise):
                await gate.wait(seconds)

    def leave(self, permit: Permit) -> None:
        """Take the place back, if it holds one, and give it to the next in line."""
        try:
            exclusively(self._lock, self._leave, permit)
        except BaseException:  # Ctrl-C in between: once more, as repeating it does no harm
            exclusively(self._lock, self._leave, permit)
            raise

    def _leave(self, permit: Permit) -> None:
        self.holders.discard(permit.ref)
        if self.line:
            self._serve()

    def _take(self, permit: Permit) -> bool:
        if self.line:
            self._serve()
        if self.line or len(self.holders) >= self.limit:
            return False
        self.holders.add(permit.ref)
        self.calls[AT_ONCE] += 1
        return True

    def _patience(self) -> tuple[float, int]:
        """Return how long to wait, and what it is called if that is too short; refuse at once where it is no time."""
        seconds, otherwise = rejections.patience(self.wait)
        if seconds <= 0:
            self._count(otherwise)
            raise self._refusal(otherwise)
        return seconds, otherwise

    @contextmanager
    def _in_line(self, waiter: Waiter, otherwise: int) -> Iterator[None]:
        outcome, start = INTERRUPTED, self.clock.monotonic()
        try:
            with rejections.waiting("bulkhead", self.name):
                exclusively(self._lock, self._queue, waiter)
                yield
                outcome = AFTER_WAIT if waiter.permit in self.holders else otherwise
                if outcome != AFTER_WAIT:
                    raise self._refusal(outcome)
        finally:
            exclusively(self._lock, self._unqueue, waiter)
            self._count(outcome, max(0.0, self.clock.monotonic() - start))

    def _queue(self, waiter: Waiter) -> None:
        self.line.append(waiter)
        self._serve()

    def _unqueue(self, waiter: Waiter) -> None:
        if waiter in self.line:
            self.line.remove(waiter)

    def _serve(self) -> None:
        """Give the free places to those that wait, in their order; repeating it after Ctrl-C does no harm."""
        while self.line:
            waiter = self.line[0]
            if waiter.permit() is not None and waiter.permit not in self.holders:
                if len(self.holders) >= self.limit:
                    return
                self.holders.add(waiter.permit)
            if not waiter.gate.open():
                self.holders.discard(waiter.permit)
            if self.line and self.line[0] is waiter:
                self.line.popleft()

    def _count(self, outcome: int, waited: float = 0.0) -> None:
        rejections.tell(exclusively(self._lock, self._counted, outcome, waited))

    def _counted(self, outcome: int, waited: float) -> LimitReached | None:
        self.calls[outcome] += 1
        self.wait_seconds += waited
        return self._refusals.count() if outcome in {REFUSED, OUT_OF_TIME} else None

    def _refusal(self, outcome: int) -> RefusedError:
        return BulkheadFullError(self.name, self.limit) if outcome == REFUSED else DeadlineExceededError(self.name)

    def read(self) -> BulkheadReading:
        """Return the counts of one moment."""
        return exclusively(self._lock, self._read)

    def _read(self) -> BulkheadReading:
        reading = BulkheadReading()
        if self.line:
            self._serve()
        reading.calls = self.calls.copy()
        reading.wait_seconds = self.wait_seconds
        reading.in_flight = len(self.holders)
        reading.waiting = len(self.line)
        reading.limit = self.limit
        return reading

    def after_fork(self) -> None:
        """Forget what only the parent has: its other threads, with the places that they hold and wait for."""
        self._lock = threading.RLock()
        self.line.clear()
        me = threading.get_ident()
        for ref in list(self.holders):
            permit = ref()
            if permit is None or permit.thread != me:
                self.holders.discard(ref)


class Permit:
    """One call's place in a compartment, as a context manager for functions and for coroutines."""

    __slots__ = ("__weakref__", "_compartment", "_kept", "ref", "thread")

    def __init__(self, compartment: Compartment) -> None:
        self._compartment = compartment
        self._kept = False
        self.thread = threading.get_ident()
        # Out of a set, which asks for its hash: one that was not asked while the permit lived has none to give later.
        (self.ref,) = {weakref.ref(self, compartment.holders.discard)}

    def keep(self) -> None:
        """Keep the place when the block ends: the call was only made ready, and somebody leaves for it later."""
        self._kept = True

    def leave(self) -> None:
        """Give the place back."""
        self._compartment.leave(self)

    def __enter__(self) -> Self:
        try:
            self._compartment.enter(self)
        except BaseException:
            self._compartment.leave(self)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None or not self._kept:
            self._compartment.leave(self)

    async def __aenter__(self) -> Self:
        try:
            await self._compartment.async_enter(self)
        except BaseException:
            self._compartment.leave(self)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._compartment.leave(self)


class ThreadGate:
    """Where one thread waits."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> bool:
        """Let the thread go on; return True, as it is there. A second time does no harm; one thread at a time."""
        if self._lock.locked():
            self._lock.release()
        return True

    def wait(self, seconds: float) -> None:
        """Return when the gate is opened, or `seconds` have passed."""
        self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))


class TaskGate:
    """Where the current task waits; it may be opened from any thread."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        import asyncio

        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def open(self) -> bool:
        """Let the task go on; return whether its loop still runs. A second time does no harm."""
        try:
            self._loop.call_soon_threadsafe(self._opened)
        except RuntimeError:  # the loop is closed, and nothing waits there any more
            return False
        return True

    def _opened(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Return when the gate is opened, or `seconds` have passed."""
        import asyncio

        await asyncio.wait((self._future,), timeout=seconds)
