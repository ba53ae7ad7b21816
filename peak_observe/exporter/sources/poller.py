"""Polling of sources: one thread per source, so that one that hangs delays no other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from peak_observe import catalog
from peak_observe.exporter.sources.merged_exposition import rendered
from peak_observe.support.redact import describe
from peak_observe.support.wake_event import WakeEvent

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.exporter.sources.merged_exposition import RenderedBlock
    from peak_observe.exporter.sources.metric_block import Block

SUCCESS, ERROR, TIMEOUT = range(len(catalog.SOURCE_OUTCOMES))


class Source(Protocol):
    """Protocol of a source of metric blocks."""

    @property
    def name(self) -> str:
        """Return the name of the source, also the label of its metrics."""
        ...

    def collect(self) -> list[Block]:
        """Return what there is to tell now; may take a while, and may raise."""
        ...


class Status(NamedTuple):
    """Status of a source at one moment.

    Args:
        up: Whether its last run told something in time; None before the first has ended.
        told: What it told; nothing unless it is up.
        duration: Seconds that the last run took, or that the present one is overdue.
        last_success: Unix time of the last run that told something, 0 for never.
        runs: How many ended how, in the order of `catalog.SOURCE_OUTCOMES`.
        problem: Why it is not up.
    """

    up: bool | None
    told: tuple[RenderedBlock, ...]
    duration: float
    last_success: float
    runs: tuple[int, int, int]
    problem: str


class SourcePoller:
    """Thread that polls one source at an interval.

    There is one thread for its whole life: while a run hangs nothing is begun, and what it tells too late is dropped.
    An old value would look like a new one, so a source that fails has none until it succeeds again.

    Args:
        source: The source.
        interval: Seconds between the end of a run and the next.
        timeout: Seconds a run may take.
        clock: Where timestamps and durations come from.
    """

    def __init__(self, source: Source, *, interval: float, timeout: float, clock: Clock) -> None:
        self.source = source
        self.timeout = timeout
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = WakeEvent()
        self._thread: threading.Thread | None = None
        self._began: float | None = None
        self._runs = [0] * len(catalog.SOURCE_OUTCOMES)
        self._known = Status(None, (), 0.0, 0.0, (0, 0, 0), "")

    @property
    def alive(self) -> bool:
        """Return whether the thread is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, or go on if the system had no thread to give; again is nothing."""
        if self.alive or self._stop.is_set():
            return
        name = f"peak-observe-source {self.source.name}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self.refuse(str(error))
        else:
            self._thread = thread

    def refuse(self, problem: str) -> None:
        """Note why it cannot run."""
        with self._lock:
            self._known = self._known._replace(up=False, told=(), problem=problem)

    def stop(self) -> None:
        """End after the run under way, without waiting for it."""
        self._stop.set()

    def status(self) -> Status:
        """Return how it fares; never waits for the source."""
        with self._lock:
            elapsed = 0.0 if self._began is None else self._clock.monotonic() - self._began
            if elapsed < self.timeout:
                return self._known
            runs = self._counted(TIMEOUT)
            problem = f"no answer within {self.timeout:g} s; it is asked again when it has ended"
            return self._known._replace(up=False, told=(), duration=elapsed, runs=runs, problem=problem)

    def _work(self) -> None:
        while not self._stop.is_set():
            self.run()
            self._stop.wait(self._interval)

    def run(self) -> None:
        """Ask it once."""
        began = self._clock.monotonic()
        with self._lock:
            self._began = began
        told: tuple[RenderedBlock, ...] = ()
        problem = ""
        try:
            told = rendered(self.source.collect())
        except BaseException as error:  # noqa: BLE001 - a function of the user may raise SystemExit, which ends nothing
            problem = describe(error)
        # The former object where nothing changed, by which it is known that nothing has to be joined anew.
        told = self._known.told if told == self._known.told else told
        self._end(told, problem, self._clock.monotonic() - began)

    def _end(self, told: tuple[RenderedBlock, ...], problem: str, seconds: float) -> None:
        late = seconds >= self.timeout
        outcome = TIMEOUT if late else ERROR if problem else SUCCESS
        problem = f"it took {seconds:.1f} s of {self.timeout:g} s" if late else problem
        with self._lock:
            self._began = None
            runs = self._counted(outcome)
            self._runs = list(runs)
            if outcome == SUCCESS:
                last_success = self._clock.now().timestamp()
            else:
                told, last_success = (), self._known.last_success
            self._known = Status(outcome == SUCCESS, told, seconds, last_success, runs, problem)

    def _counted(self, outcome: int) -> tuple[int, int, int]:
        success, error, timeout = (count + (index == outcome) for index, count in enumerate(self._runs))
        return success, error, timeout
