"""Runner of many checks side by side: each under its own timeout, each after those it depends on."""

from __future__ import annotations

import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from peak_observe.support.redact import redact_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peak_observe.resilience.common.event_loop import Loop
    from peak_observe.resilience.health.execution import Execution
    from peak_observe.resilience.health.registered_check import Check
    from peak_observe.resilience.health.result import HealthCheckResult

SIDE_BY_SIDE = 256
HOUR = 3600.0  # no step waits longer: the system's locks have a longest timeout


class CheckRunner:
    """Starts checks, waits for their ends and deadlines, and never for a check that hangs; for one thread.

    Used inside a check, it leaves out that check, and all that wait for it: they could only wait for each other.

    Args:
        known: All checks by name, among which those that are depended on are found.
        loop: Where coroutine functions run; without one, each in a thread with a loop of its own.
        asker: The execution of the check inside which it is used, if it is.
    """

    def __init__(
        self,
        known: Mapping[str, Check],
        loop: Loop | None = None,
        asker: Execution | None = None,
    ) -> None:
        self.results: dict[str, HealthCheckResult] = {}
        self._known = known
        self._loop = loop
        self._asker = asker
        self._waiting: dict[str, Check] = {}
        self._ready: deque[str] = deque()
        self._unmet: dict[str, set[str]] = {}
        self._dependents: dict[str, list[str]] = {}
        self._running: dict[str, tuple[Check, Execution]] = {}
        self._ends: SimpleQueue[str] = SimpleQueue()

    @property
    def busy(self) -> bool:
        """Whether a check is still to be started or to end."""
        return bool(self._waiting or self._running)

    def add(self, checks: Iterable[Check]) -> None:
        """Run checks as soon as those they depend on have ended; those under way are left alone."""
        added = {check.name: check for check in checks if not self._runs(check)}
        self._waiting |= added
        for name, check in added.items():
            # The check that had its name before may run as well.
            needed = {need for need in check.settings.depends_on if need in self._waiting or need in self._running}
            unmet = needed | ({name} & self._running.keys())
            if unmet:
                self._unmet[name] = unmet
                for need in unmet:
                    self._dependents.setdefault(need, []).append(name)
            else:
                self._unmet.pop(name, None)
                self._ready.append(name)
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
            if self._asker is not None:
                self._asker.waits_for.discard(run)
            self.results[name] = check.conclude(run)
            self._release(name)

    def _release(self, name: str) -> None:
        """Let those run that wait for nothing else than this check."""
        for dependent in self._dependents.pop(name, ()):
            unmet = self._unmet.get(dependent)
            if unmet is not None:
                unmet.discard(name)
                if not unmet:
                    del self._unmet[dependent]
                    self._ready.append(dependent)

    def _start(self) -> None:
        while self._ready and len(self._running) < SIDE_BY_SIDE:
            check = self._waiting.get(self._ready[0])
            # A check that was added twice stands there twice.
            if check is not None and check.name not in self._unmet and not self._begin(check):
                return
            self._ready.popleft()

    def _runs(self, check: Check) -> bool:
        running = self._running.get(check.name)
        return running is not None and running[0] is check

    def _begin(self, check: Check) -> bool:
        """Start a check or give its result at once; False if it has to wait for a thread."""
        failed = self._failed_dependency(check)
        if failed is not None:
            self.results[check.name] = check.skip(failed)
        elif not self._waits_for_asker(check):
            try:
                run = check.begin(self._loop)
            except RuntimeError as error:
                if self._running:
                    return False  # the next one that ends gives its thread back
                self.results[check.name] = check.give_up(f"could not be started: {error}")
            else:
                if run is None:
                    self.results[check.name] = check.give_up()
                elif self._asker is None or self._asker.wait_for(run):
                    self._running[check.name] = (check, run)
                    run.listen(self._ends)
        del self._waiting[check.name]
        if check.name not in self._running:
            self._release(check.name)
        return True

    def _waits_for_asker(self, check: Check) -> bool:
        run = check.under_way
        return self._asker is not None and run is not None and run.leads_to(self._asker)

    def _failed_dependency(self, check: Check) -> str | None:
        for name in check.settings.depends_on:
            needed = self._known.get(name)
            if needed is None:
                return f"depends on '{name}', which is not registered"
            if needed.last is not None and not needed.last.healthy:
                why = f": {needed.last.message}" if needed.last.message else ""
                return redact_line(f"'{name}' is not healthy{why}")
        return None
