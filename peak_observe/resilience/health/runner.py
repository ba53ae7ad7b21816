"""Running many checks side by side: each under its own timeout, each after those it depends on."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping

    from peak_observe.resilience.health.check import Check
    from peak_observe.resilience.health.execution import Execution
    from peak_observe.resilience.health.result import HealthCheckResult

SIDE_BY_SIDE = 256
HOUR = 3600.0  # no step waits longer: the system's locks have a longest timeout


class Coordinator:
    """Starts checks, waits for their ends and deadlines, and never for a check that hangs; for one thread.

    Args:
        known: All checks by name, among which those that are depended on are found.
        loop: Where coroutine functions run; without one, each in a thread with a loop of its own.
    """

    def __init__(self, known: Mapping[str, Check], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.results: dict[str, HealthCheckResult] = {}
        self._known = known
        self._loop = loop
        self._waiting: dict[str, Check] = {}
        self._running: dict[str, tuple[Check, Execution]] = {}
        self._ends: SimpleQueue[str] = SimpleQueue()

    @property
    def busy(self) -> bool:
        """Whether a check is still to be started or to end."""
        return bool(self._waiting or self._running)

    def add(self, checks: Iterable[Check]) -> None:
        """Let checks run as soon as those they depend on have ended; those under way are left alone."""
        self._waiting |= {check.name: check for check in checks if not self._runs(check)}
        self._start()

    def step(self, until: float = float("inf")) -> None:
        """Wait for the next end or deadline, at most until `until` of `time.perf_counter`, and take it in."""
        until = min([until, *(run.started + run.timeout for _, run in self._running.values())])
        wait = min(max(0.0, until - time.perf_counter()), HOUR)
        try:
            self._end(self._ends.get(timeout=wait))
            while True:
                self._end(self._ends.get_nowait())
        except Empty:
            pass
        for name, (_, run) in list(self._running.items()):
            if run.elapsed >= run.timeout:
                self._end(name)
        self._start()

    def wake(self) -> None:
        """End a `step()` that waits in another thread."""
        self._ends.put("")

    def finish(self) -> dict[str, HealthCheckResult]:
        """Wait until all have ended and return the results."""
        while self.busy:
            self.step()
        return self.results

    def _end(self, name: str) -> None:
        # The queue may name a check that was given up at its deadline already.
        if name in self._running:
            check, run = self._running.pop(name)
            self.results[name] = check.conclude(run)

    def _start(self) -> None:
        progress = True
        while progress:
            ready = [check for check in self._waiting.values() if not self._pending(check)]
            progress = False
            for check in ready:
                if len(self._running) >= SIDE_BY_SIDE:
                    return
                progress |= self._begin(check)

    def _runs(self, check: Check) -> bool:
        running = self._running.get(check.name)
        return running is not None and running[0] is check

    def _pending(self, check: Check) -> bool:
        # The check that had its name before may run as well.
        return check.name in self._running or any(
            name in self._waiting or name in self._running for name in check.settings.depends_on
        )

    def _begin(self, check: Check) -> bool:
        """Start a check or give its result at once; False if it has to wait for a thread."""
        failed = self._failed_dependency(check)
        if failed is not None:
            self.results[check.name] = check.skip(failed)
        else:
            try:
                run = check.begin(self._loop)
            except RuntimeError as error:
                if self._running:
                    return False  # the next one that ends gives its thread back
                self.results[check.name] = check.give_up(f"could not be started: {error}")
            else:
                if run is None:
                    self.results[check.name] = check.give_up()
                else:
                    self._running[check.name] = (check, run)
                    run.listen(self._ends)
        del self._waiting[check.name]
        return True

    def _failed_dependency(self, check: Check) -> str | None:
        for name in check.settings.depends_on:
            needed = self._known.get(name)
            if needed is None:
                return f"depends on '{name}', which is not registered"
            if needed.last is not None and not needed.last.healthy:
                return f"'{name}' is not healthy: {needed.last.message}"
        return None
