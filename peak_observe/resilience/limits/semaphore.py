"""Fair semaphore for threads and tasks: a number of permits, and a queue of callers, first come, first served.

A `Permit` is an object as short-lived as its call. The set of holders knows it by a weak reference whose callback
takes it out, so a permit that Ctrl-C tore from its call before it was released is released by itself.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.errors import BulkheadFullError, DeadlineExceededError
from peak_observe.measures import BULKHEADS, BulkheadReading
from peak_observe.measures.forks import renew
from peak_observe.resilience.common.context import SyncAsyncContext
from peak_observe.resilience.common.event_loop import BlockingWarning
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.common.modes import OBSERVE
from peak_observe.resilience.limits import rejections
from peak_observe.resilience.limits.rejections import (
    AT_ONCE,
    REFUSED,
    REJECTED,
    WOULD_REFUSE,
    WOULD_WAIT,
    RejectionEvents,
    Wait,
)
from peak_observe.support.async_library import task_event
from peak_observe.support.shutdown_state import SHUTDOWN

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.errors import RefusedError
    from peak_observe.events import LimitReached
    from peak_observe.resilience.common.modes import Mode
    from peak_observe.support.async_library import TaskEvent

    PermitRef = weakref.ref["Permit"]

# The permits under which this thread or task runs, of all bulkheads, the innermost last. Tasks that are started inside
# inherit them; whether one still counts, its semaphore knows.
_held: ContextVar[tuple[PermitRef, ...]] = ContextVar("peak_observe_permits", default=())


class FairSemaphore:
    """Admits at most `limit` calls at a time; it knows no bulkhead, so its counts outlive the one that it belongs to.

    Args:
        name: The bulkhead's name.
        limit: How many calls may be under way.
        wait: Seconds that a call waits at most.
        mode: `observe` admits every call and counts those that would have waited or been refused.
        clock: Where the time comes from.
    """

    def __init__(self, *, name: str, limit: int, wait: float, mode: Mode, clock: Clock) -> None:
        self.name = name
        self.limit = limit
        self.wait = wait
        self.mode = mode
        self.clock = clock
        self.series = BULKHEADS.series(name)
        self.holders: set[PermitRef] = set()
        self.queue: OrderedDict[PermitRef, ThreadEvent | TaskEvent] = OrderedDict()  # a dict finds its first slowly
        self.calls = [0] * len(catalog.LIMIT_OUTCOMES)
        self.wait_seconds = 0.0
        mend = "use `async with`, or decorate a coroutine function"
        self._blocking = BlockingWarning("limits", f"bulkhead {name!r} waits on a running event loop: {mend}")
        self._rejections = RejectionEvents("bulkhead", name, clock)
        self._lock = threading.RLock()  # the collector may close a generator, which releases, while we are inside
        renew(self)

    def held(self) -> PermitRef | None:
        """Return the permit under which the caller runs already, if there is one that is not released yet."""
        for ref in reversed(_held.get()):
            if ref in self.holders:
                return ref
        return None

    def acquire(self, permit: Permit) -> None:
        """Take a place for the permit, blocking this thread until there is one.

        Raises:
            BulkheadFullError: There was none within `wait` seconds.
            DeadlineExceededError: There was none before the deadline.
        """
        if not self._take(permit):
            seconds, otherwise = self._patience()
            self._blocking.check()
            event = ThreadEvent()
            with self._wait(permit.ref):
                exclusively(self._lock, self._queue_locked, permit.ref, event)
                with SHUTDOWN.waking(event.set):
                    event.wait(seconds)
                self._judge(permit.ref, otherwise)

    async def async_acquire(self, permit: Permit) -> None:
        """Take a place for the permit, letting other tasks run until there is one; raises what `acquire` raises."""
        if not self._take(permit):
            seconds, otherwise = self._patience()
            event = task_event()
            with self._wait(permit.ref):
                exclusively(self._lock, self._queue_locked, permit.ref, event)
                with SHUTDOWN.waking(event.set):
                    await event.wait(seconds)
                self._judge(permit.ref, otherwise)

    def release(self, permit: Permit) -> None:
        """Give the permit's place, if it holds one, to the next in the queue."""
        try:
            exclusively(self._lock, self._release_locked, permit)
        except BaseException:  # Ctrl-C in between: once more, as repeating it does no harm
            exclusively(self._lock, self._release_locked, permit)
            raise

    def adopt(self, limit: int, wait: float, mode: Mode) -> None:
        """Change the settings; callers in the queue enter at once where there is room now."""
        exclusively(self._lock, self._adopt_locked, limit, wait, mode)

    def read(self) -> BulkheadReading:
        """Return counts and gauges of this moment."""
        return exclusively(self._lock, self._read_locked)

    def after_fork(self) -> None:
        """Drop the permits and the queue of the parent's other threads, which do not exist in the child."""
        self._lock = threading.RLock()
        self.queue.clear()
        me = threading.get_ident()
        for ref in list(self.holders):
            permit = ref()
            if permit is None or permit.thread != me:
                self.holders.discard(ref)

    def _take(self, permit: Permit) -> bool:
        taken, event = exclusively(self._lock, self._take_locked, permit)
        rejections.tell(event)
        return taken

    def _take_locked(self, permit: Permit) -> tuple[bool, LimitReached | None]:
        if self.queue:
            self._serve_locked()
        outcome = AT_ONCE
        if self.queue or len(self.holders) >= self.limit:
            if self.mode != OBSERVE:
                return False, None
            outcome = WOULD_WAIT if self.wait else WOULD_REFUSE
        self.holders.add(permit.ref)
        return True, self._count_locked(outcome)

    def _release_locked(self, permit: Permit) -> None:
        self.holders.discard(permit.ref)
        if self.queue:
            self._serve_locked()

    def _patience(self) -> tuple[float, int]:
        """Return how long to wait, and the outcome if that is too short; reject at once where it is no time."""
        seconds, otherwise = rejections.patience(self.wait)
        if seconds <= 0:
            rejections.tell(exclusively(self._lock, self._count_locked, otherwise))
            raise self._rejection(otherwise)
        return seconds, otherwise

    def _wait(self, ref: PermitRef) -> Wait:
        return Wait("bulkhead", self.name, self.clock, partial(self._unqueue, ref))

    def _unqueue(self, ref: PermitRef, outcome: int, waited: float) -> LimitReached | None:
        return exclusively(self._lock, self._unqueue_locked, ref, outcome, waited)

    def _judge(self, ref: PermitRef, otherwise: int) -> None:
        if ref not in self.holders:
            SHUTDOWN.check(f"bulkhead {self.name!r}")
            raise self._rejection(otherwise)

    def _queue_locked(self, ref: PermitRef, event: ThreadEvent | TaskEvent) -> None:
        self.queue[ref] = event
        self._serve_locked()

    def _unqueue_locked(self, ref: PermitRef, outcome: int, waited: float) -> LimitReached | None:
        self.queue.pop(ref, None)
        self.wait_seconds += waited
        return self._count_locked(outcome)

    def _serve_locked(self) -> None:
        """Give free places to the queue in its order; repeating it after Ctrl-C does no harm."""
        while self.queue:
            ref, event = next(iter(self.queue.items()))
            if ref() is not None and ref not in self.holders:
                if len(self.holders) >= self.limit and self.mode != OBSERVE:
                    return
                self.holders.add(ref)
            if not event.set():
                self.holders.discard(ref)
            self.queue.pop(ref, None)

    def _count_locked(self, outcome: int) -> LimitReached | None:
        self.calls[outcome] += 1
        return self._rejections.count(self.limit, self.mode) if outcome in REJECTED else None

    def _rejection(self, outcome: int) -> RefusedError:
        return BulkheadFullError(self.name, self.limit) if outcome == REFUSED else DeadlineExceededError(self.name)

    def _adopt_locked(self, limit: int, wait: float, mode: Mode) -> None:
        self.limit, self.wait, self.mode = limit, wait, mode
        self._serve_locked()

    def _read_locked(self) -> BulkheadReading:
        reading = BulkheadReading()
        if self.queue:
            self._serve_locked()
        reading.calls = self.calls.copy()
        reading.wait_seconds = self.wait_seconds
        reading.in_flight = len(self.holders)
        reading.waiting = len(self.queue)
        reading.limit = self.limit
        return reading


class Permit(SyncAsyncContext):
    """Place of a call in a bulkhead, for `with` and `async with`; a call inside a call that has one needs none."""

    __slots__ = ("__weakref__", "_kept", "_semaphore", "blocks", "ref", "thread")

    def __init__(self, semaphore: FairSemaphore) -> None:
        self._semaphore = semaphore
        self._kept = False
        self.blocks = 0  # `with` blocks inside the call or block that it belongs to
        self.thread = threading.get_ident()
        # Out of a set, which asks for its hash: one that was not asked while the permit lived has none to give later.
        (self.ref,) = {weakref.ref(self, semaphore.holders.discard)}

    def keep(self) -> None:
        """Keep the place when the block ends without an error: somebody releases it later."""
        self._kept = True

    def release(self) -> None:
        """Give the place back."""
        self.leave()
        self._semaphore.release(self)

    def enter(self) -> None:
        """Have all that this thread or task calls from here on belong to this permit."""
        # Those that were released are dropped, or a task that starts its successor for ever would collect them.
        _held.set((*(ref for ref in _held.get() if (held := ref()) is not None and held.holds), self.ref))

    def leave(self) -> None:
        """Have what this thread or task calls from here on not belong to this permit."""
        held = _held.get()
        if self.ref in held:
            _held.set(tuple(ref for ref in held if ref is not self.ref))

    @property
    def holds(self) -> bool:
        """Whether it has a place."""
        return self.ref in self._semaphore.holders

    def _enter(self) -> None:
        if self._semaphore.held() is None:
            try:
                self._semaphore.acquire(self)
            except BaseException:
                self._semaphore.release(self)
                raise
            self.enter()

    async def _async_enter(self) -> None:
        if self._semaphore.held() is None:
            try:
                await self._semaphore.async_acquire(self)
            except BaseException:
                self._semaphore.release(self)
                raise
            self.enter()

    def _exit(self, error: BaseException | None) -> None:
        try:
            self.leave()
        finally:
            if error is not None or not self._kept:
                self._semaphore.release(self)


class GeneratorPermit(Permit):
    """A generator's place: held from its first item to its end, while only its own steps run under it."""

    __slots__ = ()

    def _enter(self) -> None:
        super()._enter()
        self.leave()

    async def _async_enter(self) -> None:
        await super()._async_enter()
        self.leave()


class ThreadEvent:
    """One-shot event for which one thread waits."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> bool:
        """Wake the thread; return True, as it is there. A second time does no harm; one thread at a time."""
        if self._lock.locked():
            self._lock.release()
        return True

    def wait(self, seconds: float) -> None:
        """Return when the event is set, or `seconds` have passed."""
        self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))
