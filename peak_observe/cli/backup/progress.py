"""Progress of what takes more than a second: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from peak_observe.resilience.health import formatting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peak_observe.backup_recovery import Progress as Done

PATIENCE = 1.0  # seconds before anything is shown
PICTURES = 0.1  # seconds between two pictures of the bar
LINES = (1.0, 10.0, 30.0)  # seconds of work after which lines are printed; then each time the last one has passed again


@contextmanager
def progress(doing: str, *, quiet: bool) -> Iterator[Callable[[Done], object] | None]:
    """Show how far something has come; yield the function that is told of it, None where nobody wants to know.

    Args:
        doing: What is done, in a word, until something else is told.
        quiet: Whether nothing is shown.
    """
    if quiet:
        yield None
        return
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines()
        return
    with Bars(console, doing) as bars:
        yield bars


class Lines:
    """Progress as plain lines, for logs and pipes."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._doing = ""
        self._next = 0

    def __call__(self, done: Done) -> None:
        """Take in how far it has come."""
        now = time.monotonic()
        if done.doing != self._doing:
            self._doing, self._began, self._next = done.doing, now, 0
        seconds = now - self._began
        due = LINES[self._next] if self._next < len(LINES) else LINES[-1] * (self._next - len(LINES) + 2)
        if seconds < due or done.files == done.total_files:
            return
        self._next += 1
        typer.echo(f"peak-observe: {line(done, seconds)}", err=True)


def line(done: Done, seconds: float) -> str:
    """Return how far something has come after a time, with bytes, rate and the time that is left."""
    rate = done.size_bytes / seconds
    left = max(0, done.total_bytes - done.size_bytes)
    until = f", {formatting.seconds(left / rate)} left" if rate > 0 and left else ""
    files = f"{done.files} of {done.total_files} files"
    size = f"{formatting.size(done.size_bytes)} of {formatting.size(done.total_bytes)}"
    return f"{done.doing}: {files}, {size}, {formatting.size(int(rate))}/s{until}"


class Rate(ProgressColumn):
    """Bytes in a second, in the units of everything else here."""

    def render(self, task: Task) -> Text:
        """Return the text of it."""
        speed = task.finished_speed or task.speed
        return Text(f"{formatting.size(int(speed))}/s" if speed else "")


class Bars:
    """One bar for what is being done; none if all ends within a second."""

    def __init__(self, console: Console, doing: str) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=14),
            DownloadColumn(binary_units=True),
            Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[files]}"),
        )
        self._shown = Progress(*columns, console=console, transient=True)
        self._doing = doing
        self._task: TaskID = self._shown.add_task(doing, total=None, files="")
        self._drawn = 0.0
        self._late = threading.Timer(PATIENCE, self._shown.start)
        self._late.daemon = True

    def __enter__(self) -> Self:
        self._late.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._late.cancel()
        self._late.join()
        self._shown.stop()

    def __call__(self, done: Done) -> None:
        """Take in how far it has come."""
        now, ended = time.monotonic(), done.files == done.total_files
        if done.doing == self._doing and not ended and now - self._drawn < PICTURES:
            return
        self._drawn = now
        total, files = done.total_bytes, f"{done.files}/{done.total_files} files"
        if done.doing != self._doing:
            self._shown.remove_task(self._task)
            self._doing, self._task = done.doing, self._shown.add_task(done.doing, total=total, files=files)
        self._shown.update(self._task, completed=done.size_bytes, total=total, files=files)
