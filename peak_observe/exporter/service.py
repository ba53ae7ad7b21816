"""Exporter service without its HTTP server: the sources, and the answers made of them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import ConfigError
from peak_observe.exporter import config
from peak_observe.exporter.sources import merged_exposition, own_metrics
from peak_observe.exporter.sources.merged_exposition import Body, Text
from peak_observe.exporter.sources.process_source import ProcessDirectory
from peak_observe.exporter.sources.registry import Definition, Sources, told
from peak_observe.exporter.threads import WorkerThread
from peak_observe.resilience.health import HealthCheck
from peak_observe.resilience.health.http import answers
from peak_observe.resilience.health.result import SKIPPED, HealthCheckResult
from peak_observe.resilience.health.selection import selected
from peak_observe.support.loggers import logger
from peak_observe.support.redact import describe, printable
from peak_observe.support.secret_urls import origin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from peak_observe.exporter.sources.merged_exposition import RenderedBlock
    from peak_observe.exporter.sources.poller import Source

INTERVAL = 30.0  # seconds between the runs of a check that names no interval
OM_END = b"# EOF\n"
_log = logger("peak_observe.exporter")


class BackgroundChecks(HealthCheck):
    """Health checks that run in the background only; a request gets the latest results and never waits for a check."""

    def results(
        self,
        max_age: float | None = None,  # noqa: ARG002 - it is what it is
        *,
        tags: Iterable[str] | None = None,
    ) -> dict[str, HealthCheckResult]:
        """Return the last result of each; one that has not run yet has not passed."""
        checks = selected(dict(self._registered), None, tags)
        return {check.name: check.last or self._not_yet(check.name) for check in checks}

    def _not_yet(self, name: str) -> HealthCheckResult:
        return HealthCheckResult(
            name, healthy=False, message="has not run yet", timestamp=self._clock.now(), status=SKIPPED
        )


class ExporterService:
    """Sources, checks and configuration of the exporter of one host.

    Args:
        path: The configuration file; None for what there is by itself.
        clock: Source of the time; for tests.
        sum_processes: Whether processes are added up, whatever the file says.

    Raises:
        ConfigError: The file makes no sense.
    """

    def __init__(self, path: Path | None, clock: Clock = SYSTEM_CLOCK, *, sum_processes: bool = False) -> None:
        self.checks = BackgroundChecks()
        self.health = answers(self.checks)
        self.sources = Sources(clock)
        self.reload_success = True
        self.reloaded_at = 0.0
        self._path, self._sum_processes = path, sum_processes
        self.config = self._load()
        self._clock = clock
        self._described: dict[str, Mapping[str, Any]] = {}
        self._reloading = threading.Lock()
        self._rendering = asyncio.Lock()
        self.helper = WorkerThread("answers")
        self._texts: dict[bool, tuple[list[tuple[RenderedBlock, ...]], Text]] = {}

    def start(self) -> None:
        """Begin to watch."""
        self._exchange(self.config)
        self.checks.start(INTERVAL)

    def stop(self) -> None:
        """End, without waiting for what hangs."""
        self.checks.stop()
        self.sources.stop()

    def reload(self) -> str:
        """Look at the configuration anew, and return what is wrong with it; then everything stays as it was."""
        if not self._reloading.acquire(blocking=False):
            return "a reload is under way"
        try:
            found = self._load()
            self._exchange(found)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the exporter goes on
            self.reload_success = False
            problem = printable(str(error)) if isinstance(error, ConfigError) else describe(error)
            _log.error("configuration reload failed, the old one stays in force: %s", problem)
            return problem
        finally:
            self._reloading.release()
        return ""

    def _load(self) -> config.Config:
        return config.load(self._path, sum_processes=self._sum_processes)

    def _exchange(self, found: config.Config) -> None:
        pushed = [self._push(found.otlp)] if found.otlp else []
        self.sources.exchange([*found.sources, *pushed])  # first, as making one is the last thing that may go wrong
        wanted = {check.name: table for table, check in found.checks}
        for name, table in self._described.items():
            if wanted.get(name) != table:
                self.checks.unregister(name)
        for table, check in found.checks:
            if self._described.get(check.name) != table:
                check.register(self.checks)
        self._described = wanted
        self.config = found
        self.reload_success, self.reloaded_at = True, self._clock.now().timestamp()
        for about in self.abouts():
            _log.info("watching %s", about)

    def _push(self, otlp: config.Otlp) -> Definition:
        def make() -> Source:
            # The SDK takes half a second to load: only whoever pushes waits for it.
            from peak_observe.exporter.sources.otlp_push import OtlpPush

            return OtlpPush(otlp.endpoint, timeout=otlp.timeout * 0.9, text=self.text)

        about = f"metrics pushed to {origin(otlp.endpoint)}"
        return Definition("otlp", otlp._asdict(), make, otlp.interval, otlp.timeout, about)

    def text(self) -> str:
        """Return all metrics in the Prometheus text format."""
        statuses = self.sources.statuses()
        told_by_all = {name: status.told for name, status in statuses.items()}
        families = [*merged_exposition.merged(told_by_all), *merged_exposition.own([*told(statuses), *self._own()])]
        return b"".join([family.text(openmetrics=False) for family in families]).decode()

    def abouts(self) -> list[str]:
        """Return what is watched, in words."""
        checks = [f"check {name}" for name in self.checks.names()]
        return [*(about for name, about in self.sources.abouts().items() if name != "checks"), *checks]

    def problems(self) -> dict[tuple[str, str], str]:
        """Return what failing checks of the processes say, by process and check."""
        sources: list[ProcessDirectory] = self.sources.of(ProcessDirectory)
        return {key: message for source in sources for key, message in source.problems().items()}

    async def metrics(
        self,
        *,
        openmetrics: bool,
        gzipped: bool,
        names: Collection[str] = (),
        only: Collection[str] = (),
    ) -> Body:
        """Return the metrics.

        Args:
            openmetrics: In the OpenMetrics format.
            gzipped: As one gzip stream.
            names: Families, or samples of them, to choose; all without.
            only: Sources to choose; all without.
        """
        statuses = self.sources.statuses()
        chosen = {name: status.told for name, status in statuses.items() if not only or name in only}
        own = [*told({name: statuses[name] for name in chosen}), *([] if only else self._own())]
        families = merged_exposition.chosen(merged_exposition.own(own), names)
        tail = b"".join([family.text(openmetrics=openmetrics) for family in families])
        if openmetrics:
            tail += OM_END
        async with self._rendering:
            if names or only:
                text = await self.helper(lambda: _text(chosen, names, openmetrics=openmetrics))
            else:
                text = await self._kept(chosen, openmetrics=openmetrics)
            if not gzipped:
                return text.whole(tail)
            return text.compressed(tail) if text.packed else await self.helper(lambda: text.compressed(tail))

    async def _kept(self, chosen: dict[str, tuple[RenderedBlock, ...]], *, openmetrics: bool) -> Text:
        parts = list(chosen.values())
        known = self._texts.get(openmetrics)
        if known and len(known[0]) == len(parts) and all(a is b for a, b in zip(known[0], parts, strict=True)):
            return known[1]
        text = await self.helper(lambda: _text(chosen, (), openmetrics=openmetrics))
        self._texts[openmetrics] = parts, text
        return text

    def _own(self) -> list[Any]:
        now = self._clock.now().timestamp()
        values = {
            catalog.EXPORTER_CONFIG_RELOAD_SUCCESS: float(self.reload_success),
            catalog.EXPORTER_CONFIG_LAST_RELOAD_TIMESTAMP_SECONDS: self.reloaded_at,
            catalog.EXPORTER_TIME_SECONDS: now,
        }
        return [own_metrics.of_values(metric, [((), value)]) for metric, value in values.items()]


def _text(chosen: Mapping[str, tuple[RenderedBlock, ...]], names: Collection[str], *, openmetrics: bool) -> Text:
    return Text(merged_exposition.chosen(merged_exposition.merged(chosen), names), openmetrics=openmetrics)
