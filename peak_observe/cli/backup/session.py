"""What all commands of `peak-observe backup` have in common: how they end, and how far they have come."""

from __future__ import annotations

import errno
import functools
import logging
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from peak_observe.errors import BackupError, PeakObserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peak_observe.backup_recovery import Progress as Done

INCOMPLETE, INTERRUPTED = 1, 130
PICTURES = 0.1  # seconds between two pictures of the progress bar

P = ParamSpec("P")
T = TypeVar("T")


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """Return a command that ends in one line, whatever happens."""

    @functools.wraps(command)
    def guard(*args: P.args, **kwargs: P.kwargs) -> T:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # for names of any bytes
        try:
            with _warnings_shown(), _terminate_is_interrupt():
                return command(*args, **kwargs)
        except (KeyboardInterrupt, typer.Abort):  # the latter at a question
            typer.echo("peak-observe: interrupted; no backup and no file is left half done", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            if isinstance(error, PeakObserveError) or error.errno == errno.EPIPE:
                raise
            where = f" ({error.filename})" if error.filename else ""
            raise BackupError(f"{error.strerror or error}{where}") from None

    return guard


@contextmanager
def _warnings_shown() -> Iterator[None]:
    log, notes = logging.getLogger("peak_observe"), _Notes(logging.WARNING)
    log.addHandler(notes)
    try:
        yield
    finally:
        log.removeHandler(notes)


@contextmanager
def _terminate_is_interrupt() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that what was begun is undone."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Notes(logging.Handler):
    """Shows warnings as lines; what is an event as well is told by the command itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one."""
        if not hasattr(record, "peak_event"):
            typer.echo(f"peak-observe: {record.getMessage()}", err=True)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Done], object] | None]:
    """Show a bar while something is under way; yield what is to be told of it, None where nobody watches."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        yield None
        return
    files = TextColumn("{task.fields[files]}")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), files, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        yield _Bars(shown)


class _Bars:
    """One bar for each thing that is done."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._tasks: dict[str, TaskID] = {}
        self._drawn = 0.0

    def __call__(self, done: Done) -> None:
        """Take in how far it has come."""
        now, ended = time.monotonic(), done.files == done.total_files
        if done.doing in self._tasks and not ended and now - self._drawn < PICTURES:
            return
        self._drawn = now
        total, files = done.total_bytes, f"{done.files} of {done.total_files} files"
        if done.doing not in self._tasks:
            self._tasks[done.doing] = self._shown.add_task(done.doing, total=total, files=files)
        self._shown.update(self._tasks[done.doing], completed=done.size_bytes, total=total, files=files)
