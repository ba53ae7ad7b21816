"""Runs in the background: one thread that starts each check when it is due and never waits for one that hangs."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from peak_observe.resilience.health.runner import Coordinator

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from peak_observe.resilience.health.check import Check


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
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self._checks = checks
        self._interval = interval
        self._jitter = jitter
        self._loop = loop
        self._coordinator = Coordinator(checks, loop)
        self._due: dict[Check, float] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._keep_running, name="peak-observe-health", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still runs; after a fork it does so only in the parent."""
        return self._thread.is_alive()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop it was given, while that can run anything."""
        return self._loop if self._loop is not None and self._loop.is_running() else None

    def interval_of(self, check: Check) -> float:
        """Return the seconds between two runs of a check, before jitter."""
        return self._interval if check.settings.interval is None else check.settings.interval

    def wake(self) -> None:
        """Look at the registry again, as checks came or went."""
        self._coordinator.wake()

    def stop(self) -> None:
        """End the thread; called by a check itself, it ends as soon as that is possible."""
        self._stopped = True
        self.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _keep_running(self) -> None:
        while not self._stopped:
            now = time.perf_counter()
            living = list(self._checks.values())
            self._due = {check: self._due.get(check, now) for check in living}
            due = [check for check in living if self._due[check] <= now]
            for check in due:
                # From now and not from when it was due: after a night in suspend there is one run, not thousands.
                self._due[check] = now + self._next(check)
            self._coordinator.add(due)
            self._coordinator.step(min(self._due.values(), default=float("inf")))
            self._coordinator.results.clear()  # the checks know them; names that went away must not stay here

    def _next(self, check: Check) -> float:
        factor = 1 + self._jitter * random.uniform(-1, 1)  # noqa: S311 - to spread load, not to keep a secret
        return self.interval_of(check) * factor
