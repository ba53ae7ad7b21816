"""Frame of every command of `peak-observe backup`: how it ends, and which warnings are shown."""

from __future__ import annotations

import functools
import logging
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer

from peak_observe.backup_recovery.repository.permissions import owners_rights
from peak_observe.cli.backup.progress import progress
from peak_observe.errors import BackupError, PeakObserveError, RestoreCutOff
from peak_observe.events import RestoreFinished
from peak_observe.observers import observe
from peak_observe.support.redact import printable
from peak_observe.support.streams import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peak_observe.events import Event

__all__ = ["INCOMPLETE", "INTERRUPTED", "guarded", "progress"]

INCOMPLETE, INTERRUPTED = 1, 130
_ENDS = [signal.SIGTERM, *(getattr(signal, name) for name in ("SIGHUP",) if hasattr(signal, name))]

P = ParamSpec("P")
T = TypeVar("T")


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """Return a command that ends in one line, whatever happens."""

    @functools.wraps(command)
    def guard(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with _warnings_shown(), _end_is_interrupt(), owners_rights():
                return command(*args, **kwargs)
        except (KeyboardInterrupt, typer.Abort) as interrupted:  # the latter at a question
            cut = _cut_off(interrupted) or "interrupted; no backup and no file is left half done"
            with suppress(OSError):  # to a terminal that is gone
                typer.echo(f"peak-observe: {printable(str(cut))}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            if isinstance(error, PeakObserveError | OutputError):
                raise
            where = f" ({error.filename})" if error.filename else ""
            raise BackupError(f"{error.strerror or error}{where}") from None

    return guard


def _cut_off(error: BaseException | None) -> BaseException | None:
    """Return what tells that files are between old and new, also if Ctrl-C came once more while that was on its way."""
    while error is not None and not isinstance(error, RestoreCutOff):
        error = error.__context__
    return error


@contextmanager
def _warnings_shown() -> Iterator[None]:
    log, notes = logging.getLogger("peak_observe"), _Notes(logging.WARNING)
    log.addHandler(notes)
    stop = observe(_tell_of_recovery)
    try:
        yield
    finally:
        stop()
        log.removeHandler(notes)


def _tell_of_recovery(event: Event) -> None:
    """Say that a restore which was cut off has been brought to its end, which no command does on purpose."""
    if isinstance(event, RestoreFinished) and event.message.startswith("a crash cut it off"):
        typer.echo(f"peak-observe: {printable(f'restore of {event.backup_id}: {event.message}')}", err=True)


@contextmanager
def _end_is_interrupt() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is gone, end a command as Ctrl-C does, so that what was begun is undone."""
    before = {number: signal.getsignal(number) for number in _ENDS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN or number == signal.SIGTERM:  # nohup ignores that the terminal is gone
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Notes(logging.Handler):
    """Shows warnings as lines; what is an event as well is told by the command itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one."""
        if not hasattr(record, "peak_event"):
            typer.echo(f"peak-observe: {printable(record.getMessage())}", err=True)
