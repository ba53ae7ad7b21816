"""Registry of health checks: one place that says whether the system may trade."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import forks
from peak_observe.measures.series import check_name
from peak_observe.resilience.common import validation
from peak_observe.resilience.common.event_loop import BlockingWarning, running_loop
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.health import report
from peak_observe.resilience.health.check_functions import CheckFunctions
from peak_observe.resilience.health.execution import current_execution
from peak_observe.resilience.health.registered_check import Check, CheckSettings, normalized
from peak_observe.resilience.health.result import HealthCheckResult
from peak_observe.resilience.health.selection import selected, with_dependencies
from peak_observe.support.async_library import task_event
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from peak_observe.resilience.common.event_loop import Loop
    from peak_observe.resilience.health.execution import Execution
    from peak_observe.resilience.health.scheduler import Scheduler

C = TypeVar("C", bound=Callable[[], Any])
R = TypeVar("R")
FOREIGN = {"period": "interval", "cache_ttl": "ttl", "max_time": "timeout", "requires": "depends_on", "labels": "tags"}
"""Names of other libraries for the settings of a check."""


class HealthCheck:
    """Named checks that are run side by side, each under its timeout.

    The system is *healthy* when all checks are, *degraded* when only checks that are not critical fail, and *unhealthy*
    otherwise. Without any check it is healthy. Safe for any number of threads.

    Args:
        clock: Where timestamps and the age of results come from; for tests. Timeouts are always real time.
    """

    @check_keywords()
    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._registered: dict[str, Check] = {}
        self._strays: dict[str, list[Execution]] = {}
        self._lock = threading.Lock()
        self._scheduler: Scheduler | None = None
        self._needed: Counter[str] = Counter()
        self._blocking = BlockingWarning(
            "health", "health checks hold up the event loop that runs here: await the async_… method of the same name"
        )
        forks.renew(self)

    @check_keywords(FOREIGN)
    def register(
        self,
        name: str,
        check_func: Callable[[], Any],
        *,
        timeout: float = 5.0,
        interval: float | None = None,
        ttl: float | None = None,
        critical: bool = True,
        tags: Iterable[str] = (),
        failure_threshold: int = 1,
        success_threshold: int = 1,
        depends_on: Iterable[str] = (),
    ) -> None:
        """Add a check, or put it in the place of the one that has the name.

        Args:
            name: Name of the check, also the label of its metrics.
            check_func: A function or coroutine function without arguments that returns `bool`, `(bool, str)` or
                `(bool, str, dict)`. A check that raises, or returns something else, is unhealthy.
            timeout: Seconds after which it is reported as `timeout`; it is not started again before it has ended.
            interval: Seconds between its runs in the background; that of `start()` if not given.
            ttl: Seconds for which `is_system_healthy()`, `get_status()`, their async twins and the HTTP answers use its
                last result again. Without it they run it anew, unless it runs in the background.
            critical: Whether its failure makes the system unhealthy, and not only degraded.
            tags: Words by which runs can select it.
            failure_threshold: Consecutive failures until it counts as unhealthy; its first run counts at once.
            success_threshold: Consecutive successes until it counts as healthy again.
            depends_on: Names of checks that have to be healthy; otherwise it is not run and reported as `skipped`.

        Raises:
            TypeError: The check cannot be called.
            ValueError: An argument makes no sense, or checks would depend on each other in a circle.
        """
        check_name(name)
        if not callable(check_func):
            raise TypeError(f"check {name!r} must be a function without arguments, not {shown(check_func)}")
        wanted = CheckSettings(
            timeout,
            interval,
            ttl,
            critical,
            tags,  # type: ignore[arg-type] # - `normalized` makes it a tuple
            failure_threshold,
            success_threshold,
            depends_on,  # type: ignore[arg-type] # the same
        )
        settings = normalized(wanted)
        with self._lock:
            self._refuse_circle(name, settings.depends_on)
            strays = self._strays.setdefault(name, [])
            check = Check(name, check_func, settings, strays, self._clock)
            earlier = self._registered.get(name)
            self._retire(earlier)
            self._needed.update(settings.depends_on)
            self._registered[name] = check
        if earlier is not None and earlier.func != check_func:
            _tell_replaced(name, earlier.func, check_func)
        self._wake()

    @check_keywords(FOREIGN)
    def check(
        self,
        name: str,
        *,
        timeout: float = 5.0,
        interval: float | None = None,
        ttl: float | None = None,
        critical: bool = True,
        tags: Iterable[str] = (),
        failure_threshold: int = 1,
        success_threshold: int = 1,
        depends_on: Iterable[str] = (),
    ) -> Callable[[C], C]:
        """Return a decorator that registers a function, or coroutine function, under `name`; see `register`.

        Args:
            name: Name of the check, also the label of its metrics.
            timeout: Seconds after which it is reported as `timeout`; it is not started again before it has ended.
            interval: Seconds between its runs in the background; that of `start()` if not given.
            ttl: Seconds for which `is_system_healthy()`, `get_status()`, their async twins and the HTTP answers use its
                last result again. Without it they run it anew, unless it runs in the background.
            critical: Whether its failure makes the system unhealthy, and not only degraded.
            tags: Words by which runs can select it.
            failure_threshold: Consecutive failures until it counts as unhealthy; its first run counts at once.
            success_threshold: Consecutive successes until it counts as healthy again.
            depends_on: Names of checks that have to be healthy; otherwise it is not run and reported as `skipped`.

        Raises:
            TypeError: It was used without a name, which would leave the function unregistered.
        """
        if not isinstance(name, str):
            raise TypeError(f"@health_check.check takes the check's name: @health_check.check('…'), not {shown(name)}")

        def registered(check_func: C) -> C:
            self.register(
                name,
                check_func,
                timeout=timeout,
                interval=interval,
                ttl=ttl,
                critical=critical,
                tags=tags,
                failure_threshold=failure_threshold,
                success_threshold=success_threshold,
                depends_on=depends_on,
            )
            return check_func

        return registered

    def unregister(self, name: str) -> bool:
        """Remove a check and return whether there was one; its counters stay, its gauges go."""
        with self._lock:
            check = self._registered.pop(name, None)
            self._retire(check)
            if not self._strays.get(name):
                self._strays.pop(name, None)
        self._wake()
        return check is not None

    @property
    def _checks(self) -> MutableMapping[str, Callable[[], Any]]:
        """The registered functions by name, which code for the original code base looks up, replaces and clears."""
        return CheckFunctions(self._registered, self.register, self.unregister)

    def names(self) -> list[str]:
        """Return the names of all checks in the order of their registration."""
        return list(self._registered)

    def run_all(
        self,
        *,
        only: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
    ) -> dict[str, HealthCheckResult]:
        """Run checks now and return their results by name, in the order of registration.

        Args:
            only: Names to run, with those they depend on; all if not given.
            tags: Run checks that carry one of these, with those they depend on; all if not given.

        Raises:
            KeyError: There is no check of a name in `only`, or none with one of `tags`; the message lists what is near.
        """
        return self._run(selected(dict(self._registered), only, tags), self._loop())

    async def async_run_all(
        self,
        *,
        only: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
    ) -> dict[str, HealthCheckResult]:
        """Do what `run_all` does without blocking the event loop, on which coroutine functions are run."""
        checks = selected(dict(self._registered), only, tags)
        return await self._in_thread(lambda loop: self._run(checks, loop))

    def is_system_healthy(self) -> bool:
        """Return whether no critical check fails; uses results that are not older than their `ttl`."""
        return report.verdict(self.results().values()) != report.UNHEALTHY

    def get_status(self) -> dict[str, Any]:
        """Return verdict, time, all results and their summary; uses results that are not older than their `ttl`."""
        return report.status(self.results(), self._clock.now())

    async def async_is_system_healthy(self) -> bool:
        """Do what `is_system_healthy` does without blocking the event loop."""
        return report.verdict((await self.async_results()).values()) != report.UNHEALTHY

    async def async_get_status(self) -> dict[str, Any]:
        """Do what `get_status` does without blocking the event loop."""
        return report.status(await self.async_results(), self._clock.now())

    async def async_results(self, max_age: float | None = None) -> dict[str, HealthCheckResult]:
        """Do what `results` does without blocking the event loop, on which coroutine functions are run."""
        results = self._known(max_age)
        if all(found is not None for found in results.values()):
            return self._updated(results, {})
        return await self._in_thread(lambda loop: self._updated(results, self._run(self._old(results), loop)))

    def results(
        self,
        max_age: float | None = None,
        *,
        tags: Iterable[str] | None = None,
    ) -> dict[str, HealthCheckResult]:
        """Return results not older than each check's `ttl`, or else `max_age` seconds, and run what is older.

        While checks run in the background, a result stays good for twice the check's interval.

        Args:
            max_age: Seconds that a result may be old.
            tags: Return checks that carry one of these, with those they depend on; all if not given.

        Raises:
            KeyError: There is no check with one of `tags`; the message lists what is near.
        """
        results = self._known(max_age, tags)
        old = self._old(results)
        return self._updated(results, self._run(old, self._loop()) if old else {})

    def start(self, interval: float = 30.0, *, jitter: float = 0.1) -> None:
        """Run the checks in the background, each at its interval, from a daemon thread; twice is once.

        Called on an event loop, coroutine functions are run on that loop, otherwise each in a thread with its own loop.

        Args:
            interval: Seconds between the runs of a check that has no interval of its own.
            jitter: Share by which each interval varies at random, from 0 to 1, so that not all run at the same instant.

        Raises:
            ValueError: An argument makes no sense.
        """
        from peak_observe.resilience.health.scheduler import Scheduler

        validation.check_period("interval", interval)
        validation.check_share("jitter", jitter)
        with self._lock:
            if self._scheduler is None or not self._scheduler.alive:
                self._scheduler = Scheduler(self._registered, interval, jitter, running_loop())

    def stop(self) -> None:
        """End the runs in the background; a check under way is not waited for. Twice is once."""
        with self._lock:
            scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.stop()

    def have_run(self) -> bool:
        """Return whether each check has a result, whatever it is."""
        return all(check.last is not None for check in list(self._registered.values()))

    def _known(self, max_age: float | None, tags: Iterable[str] | None = None) -> dict[str, HealthCheckResult | None]:
        """Return by name the results that are young enough, and None for the others."""
        checks = selected(dict(self._registered), None, tags)
        return {check.name: check.fresh(self._max_age(check, max_age)) for check in checks}

    def _old(self, results: Mapping[str, HealthCheckResult | None]) -> list[Check]:
        known = dict(self._registered)
        return [known[name] for name, found in results.items() if found is None and name in known]

    @staticmethod
    def _updated(
        results: Mapping[str, HealthCheckResult | None], fresh: Mapping[str, HealthCheckResult]
    ) -> dict[str, HealthCheckResult]:
        return {name: found for name in results if (found := fresh.get(name) or results[name]) is not None}

    def _run(self, checks: list[Check], loop: Loop | None) -> dict[str, HealthCheckResult]:
        from peak_observe.resilience.health.runner import CheckRunner

        self._blocking.check()
        runner = CheckRunner(self._registered, loop, current_execution())
        runner.add(checks)
        found = runner.finish()
        return {check.name: found[check.name] for check in checks if check.name in found}

    async def _in_thread(self, run: Callable[[Loop], R]) -> R:
        """Return what `run` gives in a daemon thread, which is handed the loop of the caller."""
        from concurrent.futures import Future

        loop, ended = running_loop(), task_event()
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()

        def call() -> None:
            try:
                future.set_result(run(loop))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
                future.set_exception(error)
            ended.set()

        # Not asyncio.to_thread(): a loop waits at its end for such threads, and so for a check that hangs.
        threading.Thread(target=copy_context().run, args=(call,), name="peak-observe-health", daemon=True).start()
        await ended.wait(math.inf)
        return future.result()

    def after_fork(self) -> None:
        """Make the lock anew in a forked child: a thread of the parent may have held it."""
        self._lock = threading.Lock()

    def _loop(self) -> Loop | None:
        scheduler = self._scheduler
        loop = scheduler.loop if scheduler is not None else None
        # On its own thread the loop stands still while this run waits, and nothing on it would ever end.
        return None if loop is running_loop() else loop

    def _max_age(self, check: Check, max_age: float | None) -> float | None:
        scheduler = self._scheduler
        if scheduler is None or not scheduler.alive:
            return max_age
        return max(max_age or 0.0, 2 * scheduler.interval_of(check))

    def _retire(self, check: Check | None) -> None:
        if check is not None:
            check.retire()
            self._needed.subtract(check.settings.depends_on)

    def _refuse_circle(self, name: str, depends_on: tuple[str, ...]) -> None:
        # Nothing leads back to a check that nobody needs: without that look, a long chain takes its time squared.
        if (self._needed[name] or name in depends_on) and name in with_dependencies(depends_on, self._registered):
            raise ValueError(f"check {name!r} would depend on itself: {' and '.join(depends_on)} leads back to it")

    def _wake(self) -> None:
        scheduler = self._scheduler
        if scheduler is not None:
            scheduler.wake()


def _tell_replaced(name: str, earlier: Callable[[], Any], later: Callable[[], Any]) -> None:
    from peak_observe.resilience.common.wrapping import default_name  # late, as it is rare
    from peak_observe.support.loggers import logger

    message = "check '%s' is registered twice: %s takes the place of %s, which does not run any more"
    logger("peak_observe.health").warning(message, name, default_name(later), default_name(earlier))
