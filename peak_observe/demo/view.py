"""Terminal output of the demo: plain lines in a pipe, a live screen on a terminal."""

from __future__ import annotations

import itertools
import math
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from peak_observe import catalog, events
from peak_observe.demo.script import SCRIPT, Phase
from peak_observe.measures import BREAKERS, ORDERS, RETRIES, STREAMS
from peak_observe.measures.streams import SEPARATOR
from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.measures import BreakerReading

TOLD = (
    events.Transition
    | events.HealthChanged
    | events.StreamBroken
    | events.StreamResumed
    | events.TradingChanged
    | events.GuardTripped
)
"""Events that the demo tells of."""

MOST_CHANGES, MOST_LINES = 8, 18
"""Changes of state and health that the live screen keeps, and its lines for them and the tables."""
WIDTHS = {
    "circuit": 14,
    "state": 9,
    "success": 7,
    "failure": 7,
    "rejected": 8,
    "retries": 7,
    "gave up": 7,
    "p95": 9,
}
"""Columns with widths that hold what will come, so that the table does not jump; together less than 80."""
COLORS = {"closed": "green", "half_open": "yellow", "open": "red"}


class View:
    """Output of the demo as plain lines; the subclass draws a live screen."""

    def __init__(self, console: Console, links: list[str]) -> None:
        self.console = console
        self.links = links
        self.phase = SCRIPT[0]
        self.changes: deque[Text] = deque(maxlen=MOST_CHANGES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def on_phase(self, phase: Phase) -> None:
        """Take in that the exchange behaves differently from now on."""
        self.phase = phase

    def on_event(self, event: events.Event) -> None:
        """Take in a rare fact; called from the workers' threads."""

    def refresh(self) -> None:
        """Show how things stand, a few times a second."""


class Lines(View):
    """Plain lines for pipes and logs."""

    def __enter__(self) -> Self:
        self._say(*self.links)
        return self

    def on_phase(self, phase: Phase) -> None:
        """Tell of the new phase."""
        self._say(f"exchange: {phase.name}")

    def on_event(self, event: events.Event) -> None:
        """Tell of changes of state, of health, of streams and of trading."""
        if isinstance(event, TOLD):
            self._say(_sentence(event))

    def _say(self, *lines: str) -> None:
        # One write, as workers' threads tell of events at the same time.
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


class Screen(View):
    """Live table for a terminal."""

    def __enter__(self) -> Self:
        self._live = Live(self._picture(), console=self.console, auto_refresh=False, transient=True)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def on_event(self, event: events.Event) -> None:
        """Keep the latest changes of state and of health for the list below the table."""
        if isinstance(event, TOLD):
            stamp = f"{event.at.astimezone():%H:%M:%S}  "
            line = Text.assemble((stamp, "dim"), (_sentence(event), _color(event)), no_wrap=True, overflow="ellipsis")
            self.changes.append(line)

    def refresh(self) -> None:
        """Draw anew."""
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        bad = self.phase.fault is not None
        title = Text.assemble("exchange: ", (self.phase.name, "bold red" if bad else "bold green"))
        table, streams = _table(), _streams()
        links = [Text(link, style="dim", overflow="fold") for link in self.links]
        tables = table.row_count + streams.row_count + 1
        used = 4 + tables + sum(-(-len(link) // self.console.width) for link in self.links)
        room = max(0, min(MOST_LINES - tables, self.console.height - used))  # less where rows have come
        changes = [*list(self.changes)[-room:], *[Text()] * room][:room]  # always as many lines, so that nothing jumps
        return Group(title, table, streams, Text(), *changes, *links, Text("Ctrl-C ends the demo", style="dim"))


def _color(event: TOLD) -> str:
    if isinstance(event, events.TradingChanged):
        return "green" if event.state == "trading" else "red"
    if isinstance(event, events.GuardTripped):
        return "red"
    if isinstance(event, events.Transition):
        return COLORS[event.new]
    good = event.healthy if isinstance(event, events.HealthChanged) else isinstance(event, events.StreamResumed)
    return "green" if good else "red"


def _sentence(event: TOLD) -> str:
    match event:
        case events.TradingChanged():
            return f"trading {event.name} is {event.state}: {event.reason}"
        case events.GuardTripped():
            return f"guard {event.guard} tripped: {event.message}"
        case events.HealthChanged():
            return f"check {event.name} is {'healthy' if event.healthy else 'unhealthy'}: {event.message[:90]}"
        case events.StreamBroken():
            return f"stream {event.stream} is broken: {event.reason}"
        case events.StreamResumed():
            return f"stream {event.stream} is back after {event.seconds:.1f} s: {event.reason}"
    error = f" ({describe(event.error)[:70]})" if event.error else ""
    return f"{event.name} {event.old} -> {event.new}: {event.reason}{error}"


def _table() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title, width in WIDTHS.items():
        table.add_column(title, min_width=width, justify="left" if title in ("circuit", "state") else "right")
    retries = dict(RETRIES.read())
    for name, reading in BREAKERS.read():
        success, failure, _, rejected, *_ = reading.calls
        retried = retries.get(name)
        state = "-" if reading.state is None else catalog.STATES[reading.state]
        table.add_row(
            name,
            Text(state, style=COLORS.get(state, "")),
            *map(str, (success, failure, rejected)),
            *((str(retried.retries), str(retried.calls[2])) if retried else ("-", "-")),
            _p95(reading),
        )
    return table


def _streams() -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stream")
    for title in ("messages", "gaps", "silence"):
        table.add_column(title, justify="right")
    for name, reading in STREAMS.read():
        silence, allowed = reading.silence or 0.0, reading.max_silence or math.inf
        shown = "-" if math.isnan(silence) else f"{silence:.1f} s"
        counts = str(reading.messages), str(reading.gaps)
        table.add_row(_stream(name), *counts, Text(shown, style="red" if silence > allowed else "green"))
    return table


def _stream(name: str) -> str:
    exchange, stream, _ = name.split(SEPARATOR)
    return f"{exchange}.{stream}"


def _p95(reading: BreakerReading) -> str:
    """Return the upper bound of the bucket in which the 95th percentile lies."""
    total = sum(reading.buckets)
    for bound, below in zip(reading.bounds, itertools.accumulate(reading.buckets), strict=False):
        if total and below >= 0.95 * total:
            return f"<{bound * 1000:.0f} ms"
    return "-"


def totals() -> Iterator[tuple[str, int, int, int, int]]:
    """Yield for each circuit its name, its calls by success, failure and rejection, and how often it opened."""
    for name, reading in BREAKERS.read():
        success, failure, _, rejected, *_ = reading.calls
        yield name, success, failure, rejected, reading.transitions[catalog.STATES.index("open")]


def summary(code: Path) -> Iterator[str]:
    """Yield the lines that end the demo: a table of the circuits, and where to read on.

    Args:
        code: The file with the code that ran.
    """
    yield f"{'circuit':16}{'succeeded':>11}{'failed':>9}{'rejected':>11}{'opened':>9}"
    for name, *counts in totals():
        yield "{:16}{:>11}{:>9}{:>11}{:>9}".format(name, *counts)
    for name, stream in STREAMS.read():
        yield f"stream {_stream(name)}: {stream.messages} messages, {stream.gaps} gaps"
    for name, orders in ORDERS.read():
        states = dict(zip(catalog.ORDER_STATES, orders.states, strict=True))
        yield f"order journal of {name}: {states['intended']} orders, {states['open']} placed"
    yield "A rejected call met an open circuit: it failed at once, and nothing was sent."
    folder = Path.cwd()
    yield f"The code: {code.relative_to(folder) if code.is_relative_to(folder) else code}"
