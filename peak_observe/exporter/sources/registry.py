"""Registry of the running sources, replaced as a whole when the configuration is reloaded."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.exporter.sources import own_metrics
from peak_observe.exporter.sources.poller import Source, SourcePoller, Status
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from peak_observe.exporter.sources.metric_block import Block

MAX_STRAYS = 3  # threads of one name that may hang after their source was configured anew
_log = logger("peak_observe.exporter")


class Definition(NamedTuple):
    """Configuration of one source.

    Args:
        name: What it is called: the key of its table.
        settings: What it was configured with; one that stays the same goes on over a change of others.
        make: Returns the source.
        interval: Seconds between its runs.
        timeout: Seconds a run may take.
        about: What it watches, in words.
    """

    name: str
    settings: Mapping[str, Any]
    make: Callable[[], Source]
    interval: float
    timeout: float
    about: str

    def same(self, other: Definition) -> bool:
        """Return whether another one would watch just the same."""
        return (self.settings, self.interval, self.timeout) == (other.settings, other.interval, other.timeout)


class Sources:
    """Registry of the running sources.

    Args:
        clock: Where timestamps and durations come from.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._watched: dict[str, tuple[Definition, SourcePoller]] = {}
        self._strays: dict[str, list[SourcePoller]] = {}
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()

    def exchange(self, definitions: Iterable[Definition]) -> None:
        """Watch these from now on, and no others; those that did not change go on as if nothing had happened."""
        with self._lock:
            before = self._watched
            after = {}
            for definition in definitions:
                kept = before.get(definition.name)
                after[definition.name] = kept if kept and kept[0].same(definition) else self._new(definition)
            for name, pair in before.items():
                if pair is not after.get(name):
                    pair[1].stop()
                    self._strays.setdefault(name, []).append(pair[1])
            self._watched = after
            self._start()

    def _new(self, definition: Definition) -> tuple[Definition, SourcePoller]:
        interval, timeout = definition.interval, definition.timeout
        return definition, SourcePoller(definition.make(), interval=interval, timeout=timeout, clock=self._clock)

    def tick(self) -> None:
        """Start what is not at work, and log what has changed."""
        with self._lock:
            self._start()
            for name, status in self.statuses().items():
                self._tell(name, status)

    def _start(self) -> None:
        strays = {name: [stray for stray in known if stray.alive] for name, known in self._strays.items()}
        self._strays = {name: known for name, known in strays.items() if known}
        for name, (_, watcher) in self._watched.items():
            if not watcher.alive and len(self._strays.get(name, ())) >= MAX_STRAYS:
                watcher.refuse("runs from before the configuration was changed hang; it waits until they end")
            else:
                watcher.start()

    def _tell(self, name: str, status: Status) -> None:
        before = self._told.get(name, "")
        if status.up is None or status.problem == before:
            return
        self._told[name] = status.problem
        if status.problem:
            _log.warning("source %s: %s", name, status.problem)
        else:
            _log.info("source %s answers again", name)

    def stop(self) -> None:
        """End all, without waiting for one that hangs."""
        for _, watcher in self._watched.values():
            watcher.stop()

    def statuses(self) -> dict[str, Status]:
        """Return how each fares."""
        return {name: watcher.status() for name, (_, watcher) in self._watched.items()}

    def abouts(self) -> dict[str, str]:
        """Return what each watches, in words."""
        return {name: definition.about for name, (definition, _) in self._watched.items()}

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the sources of one class."""
        return [watcher.source for _, watcher in self._watched.values() if isinstance(watcher.source, kind)]

    @property
    def ready(self) -> bool:
        """Return whether each source has answered or had the time to."""
        return all(status.up is not None for status in self.statuses().values())


def told(statuses: Mapping[str, Status]) -> list[Block]:
    """Return the metrics of the sources themselves."""
    found = statuses.items()
    runs = (
        ((name, outcome), count)
        for name, status in found
        for outcome, count in zip(catalog.SOURCE_OUTCOMES, status.runs, strict=True)
    )
    return [
        own_metrics.of_values(catalog.EXPORTER_SOURCE_UP, (((name,), _number(status.up)) for name, status in found)),
        own_metrics.of_values(
            catalog.EXPORTER_SOURCE_DURATION_SECONDS, (((name,), status.duration) for name, status in found)
        ),
        own_metrics.of_values(
            catalog.EXPORTER_SOURCE_LAST_SUCCESS_TIMESTAMP_SECONDS,
            (((name,), status.last_success) for name, status in found),
        ),
        own_metrics.of_values(catalog.EXPORTER_SOURCE_RUNS_TOTAL, runs),
    ]


def _number(up: bool | None) -> float:
    return math.nan if up is None else float(up)
