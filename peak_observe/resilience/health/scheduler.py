"""Scheduler of checks in the background: one thread that starts each when it is due, and waits for none that hangs."""

from __future__ import annotations

import os
import random
import threading
import time
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING
from weakref import WeakSet

from peak_observe.resilience.common.event_loop import is_running
from peak_observe.resilience.health.runner import CheckRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from peak_observe.resilience.common.event_loop import Loop
    from peak_observe.resilience.health.registered_check import Check


class Scheduler:
    """Runs checks at their intervals from its creation until `stop()`.

    Args:
        checks: The registry's checks, which may come and go meanwhile.
        interval: Seconds between runs of a check that has no interval of its own.
        jitter: Share by which each interval varies at random.
        loop: Where coroutine functions run, if there is one.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        interval: float,
        jitter: float,
        loop: Loop | None,
    ) -> None:
        self._checks = checks
        self._interval = interval
        self._jitter = jitter
        self._loop = loop
        self._stopped = False
        self.begin()
        _schedulers.add(self)

    def begin(self) -> None:
        """Start the thread, with every check due at once."""
        self._runner = CheckRunner(self._checks, self._loop)
        self._queue: list[tuple[float, int, Check]] = []
        self._changed = True
        self._thread = threading.Thread(target=self._keep_running, name="peak-observe-health", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    @property
    def loop(self) -> Loop | None:
        """The loop it was given, while that can run anything."""
        return self._loop if self._loop is not None and is_running(self._loop) else None

    @property
    def stopped(self) -> bool:
        """Whether `stop()` was called."""
        return self._stopped

    def interval_of(self, check: Check) -> float:
        """Return the seconds between two runs of a check, before jitter."""
        return self._interval if check.settings.interval is None else check.settings.interval

    def wake(self) -> None:
        """Look at the registry again, as checks came or went."""
        self._changed = True
        self._runner.wake()

    def stop(self) -> None:
        """End the thread; called by a check itself, it ends as soon as that is possible."""
        self._stopped = True
        self._runner.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _keep_running(self) -> None:
        while not self._stopped:
            now = time.perf_counter()
            if self._changed:
                self._changed = False
                self._adopt(now)
            self._runner.add(list(self._due(now)))
            self._runner.step(self._queue[0][0] if self._queue else float("inf"))
            self._runner.results.clear()  # the checks know them; names that went away must not stay here

    def _adopt(self, now: float) -> None:
        """Take in the checks of the registry; new ones are due at once."""
        known = {check: at for at, _, check in self._queue}
        checks = list(self._checks.values())
        for check in checks:
            check.schedule(self.interval_of(check))
        self._queue = [(known.get(check, now), id(check), check) for check in checks]
        heapify(self._queue)

    def _due(self, now: float) -> Iterator[Check]:
        while self._queue and self._queue[0][0] <= now:
            _, number, check = heappop(self._queue)
            # From now and not from when it was due: after a night in suspend there is one run, not thousands.
            heappush(self._queue, (now + max(self._next(check), 1e-3), number, check))
            if self._checks.get(check.name) is check:
                yield check

    def _next(self, check: Check) -> float:
        factor = 1 + self._jitter * random.uniform(-1, 1)  # noqa: S311 - to spread load, not to keep a secret
        return self.interval_of(check) * factor


_schedulers: WeakSet[Scheduler] = WeakSet()


def _after_fork() -> None:
    # The threads did not follow into the child. They start when all locks are made anew, which `forks` does: it is
    # imported, and so registered, before this module.
    for scheduler in tuple(_schedulers):
        if not scheduler.stopped:
            scheduler.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
