"""Registered check: its settings, its thresholds, and the one run that may be under way."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe import catalog
from peak_observe.events import HealthChanged
from peak_observe.measures import CHECKS
from peak_observe.observers import emit
from peak_observe.resilience.common import validation
from peak_observe.resilience.common.event_loop import running_loop
from peak_observe.resilience.health.counts import CheckCounts
from peak_observe.resilience.health.execution import Execution
from peak_observe.resilience.health.result import (
    HEALTHY,
    SKIPPED,
    TIMEOUT,
    Finding,
    HealthCheckResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock
    from peak_observe.resilience.common.event_loop import Loop

MAX_STRAYS = 3
OUTCOMES = {status: index for index, status in enumerate(catalog.HEALTH_OUTCOMES)}


class CheckSettings(NamedTuple):
    """Settings of a check; see `HealthCheck.register`."""

    timeout: float = 5.0
    interval: float | None = None
    ttl: float | None = None
    critical: bool = True
    tags: tuple[str, ...] = ()
    failure_threshold: int = 1
    success_threshold: int = 1
    depends_on: tuple[str, ...] = ()


def normalized(settings: CheckSettings) -> CheckSettings:
    """Return settings in their normal form.

    Raises:
        ValueError: One of them makes no sense; the message names it.
    """
    validation.check_period("timeout", settings.timeout)
    if settings.interval is not None:
        validation.check_period("interval", settings.interval)
    if settings.ttl is not None:
        validation.check_seconds("ttl", settings.ttl)
    validation.check_count("failure_threshold", settings.failure_threshold)
    validation.check_count("success_threshold", settings.success_threshold)
    validation.check_flag("critical", settings.critical)
    tags = validation.names("tags", settings.tags)
    return settings._replace(tags=tags, depends_on=validation.names("depends_on", settings.depends_on))


class Check:
    """Check of a registry.

    At most one run of it is under way; whoever wants a result meanwhile waits for that one.

    Args:
        name: The name, also the label of its metrics.
        func: Returns `bool`, `(bool, str)` or `(bool, str, dict)`, or a coroutine of one.
        settings: How to run it.
        strays: Runs of checks that had the name before and may still hang; kept by the registry.
        clock: Where timestamps and the age of results come from.
    """

    def __init__(
        self,
        name: str,
        func: Callable[[], Any],
        settings: CheckSettings,
        strays: list[Execution],
        clock: Clock,
    ) -> None:
        self.name = name
        self.settings = settings
        self.last: HealthCheckResult | None = None
        self.func = func
        self._clock = clock
        self._last_at = 0.0
        self._strays = strays
        self._execution: Execution | None = None
        self._healthy: bool | None = None
        self._streak = 0
        series = CHECKS.series(name, catalog.BUCKETS)
        self._counts = CheckCounts(series.bounds)
        series.join(self, self._counts.read)

    def fresh(self, max_age: float | None) -> HealthCheckResult | None:
        """Return the last result if it is younger than the check's `ttl`, or else than `max_age` seconds."""
        max_age = max_age if self.settings.ttl is None else self.settings.ttl
        with self._counts.lock:
            young = max_age is not None and self._clock.monotonic() - self._last_at < max_age
            return self.last if young else None

    @property
    def under_way(self) -> Execution | None:
        """The run that has not ended."""
        running = self._execution
        return None if running is None or running.over else running

    def begin(self, loop: Loop | None) -> Execution | None:
        """Return the run under way, a new one if there is none; None if an earlier one hangs past its timeout.

        Raises:
            RuntimeError: The system gives no more threads.
        """
        with self._counts.lock:
            running = self._execution
            if running is not None and not running.over:
                if running.loop is None or running.loop is not running_loop():
                    return running if running.elapsed < running.timeout else None
                self._strays.append(running)  # it is on the very loop that this call holds up, and cannot go on
            if self._count_strays() >= MAX_STRAYS:
                return None
            execution = Execution(self.name, self.func, self.settings.timeout)
            execution.start(loop)
            self._execution = execution
            if self._counts.retired:
                self._strays.append(execution)  # it was replaced or removed before its turn came
            return execution

    def _count_strays(self) -> int:
        for stray in [stray for stray in self._strays if stray.over]:
            with suppress(ValueError):  # another check of the name may have removed it
                self._strays.remove(stray)
        return len(self._strays)

    def conclude(self, execution: Execution) -> HealthCheckResult:
        """Return the result of a run that has ended or whose time is up; the same one to everybody who waited."""
        with self._counts.lock:
            if execution.result is not None:
                return execution.result
            ended = execution.finding is not None
            seconds = execution.duration if ended else execution.elapsed
            found = execution.finding
            if found is None or found.status == TIMEOUT or seconds >= execution.timeout:
                found = Finding(TIMEOUT, f"no answer within {execution.timeout:g} s")
            exemplar = execution.span.exemplar(seconds, self._clock) if ended else None
            self._counts.add(OUTCOMES[found.status], seconds, exemplar)
            result, news = self._judge(found, seconds)
            execution.result = result
        _tell(news)
        return result

    def give_up(self, reason: str | None = None) -> HealthCheckResult:
        """Return a timeout without a run: an earlier one still hangs, or `reason` is why none could begin."""
        with self._counts.lock:
            self._counts.add(OUTCOMES[TIMEOUT], None, None)
            result, news = self._judge(Finding(TIMEOUT, reason or self._hanging()), 0.0)
        _tell(news)
        return result

    def skip(self, reason: str) -> HealthCheckResult:
        """Return a result without a run, as one of the checks it depends on is not healthy."""
        with self._counts.lock:
            before = self._shown()
            result = self._result(Finding(SKIPPED, reason), 0.0, healthy=False)
            news = self._news(before, result)
        _tell(news)
        return result

    def schedule(self, interval: float) -> None:
        """Show the seconds between its runs in the background."""
        self._counts.scheduled = interval

    def retire(self) -> None:
        """Retire the check: its gauges go, its counts stay, and a run that hangs is remembered under its name."""
        with self._counts.lock:
            if self._execution is not None and not self._execution.over:
                self._strays.append(self._execution)
            self._counts.retire()

    def _hanging(self) -> str:
        running = self._execution
        if running is not None and not running.over:
            return f"still running after {running.elapsed:.1f} s; not started again until it has ended"
        return f"{len(self._strays)} runs of checks that had this name before still hang; not started until they end"

    def _shown(self) -> bool | None:
        return None if self.last is None else self.last.healthy

    def _judge(self, found: Finding, seconds: float) -> tuple[HealthCheckResult, HealthChanged | None]:
        """Apply the thresholds; with the lock held."""
        before, passed = self._shown(), found.status == HEALTHY
        if self._healthy in (None, passed):
            self._healthy, self._streak = passed, 0
        else:
            self._streak += 1
            needed = self.settings.success_threshold if passed else self.settings.failure_threshold
            if self._streak >= needed:
                self._healthy, self._streak = passed, 0
            else:
                kind = "success" if passed else "failure"
                found = found._replace(message=f"{found.message} ({kind} {self._streak} of {needed})".lstrip())
        result = self._result(found, seconds, healthy=bool(self._healthy))
        return result, self._news(before, result)

    def _result(self, found: Finding, seconds: float, *, healthy: bool) -> HealthCheckResult:
        now = self._clock.now()
        ran = None if found.status == SKIPPED else now.timestamp()
        self._counts.show(healthy=healthy, ran=ran, message=found.message)
        self._last_at = self._clock.monotonic()
        self.last = HealthCheckResult(
            self.name,
            healthy,
            found.message,
            now,
            found.details,
            found.status,
            seconds,
            self.settings.critical,
            self.settings.tags,
        )
        return self.last

    def _news(self, before: bool | None, result: HealthCheckResult) -> HealthChanged | None:
        if self._counts.retired or result.healthy == before or (before is None and result.healthy):
            return None
        return HealthChanged(
            result.name, result.healthy, result.status, result.timestamp, result.message, result.critical
        )


def _tell(news: HealthChanged | None) -> None:
    if news is not None:
        emit(news)
