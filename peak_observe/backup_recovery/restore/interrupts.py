"""Ctrl-C in a restore: the first one ends it, the second one does not disturb the undo, the third one ends that too."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Protocol, Self

from peak_observe.backup_recovery.restore.ways_out import recovers, repository_of
from peak_observe.errors import RestoreCutOff
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType, TracebackType

_log = logger("peak_observe.backup")
LAST = 3
"""Signals that are heard: the first one ends a restore, the last one ends its end."""
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupts:
    """Context in which a signal raises once, and while what was begun is being settled only after a warning.

    Only the main thread hears signals; in another one, and for signals that nobody handles, it does nothing.
    """

    def __init__(self) -> None:
        self._settling = ""
        self._heard = 0
        self._before: dict[int, object] = {}

    def settle(self, doing: str) -> None:
        """From now on something is brought to an end that must not be cut off; it is named in the warning."""
        self._settling = doing
        self._heard = max(self._heard, 1)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                # SIGHUP makes many a program read its settings again.
                if callable(handler) and (number in _SIGNALS[:2] or handler is signal.default_int_handler):
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # it was the handler before

    def _hear(self, number: int, frame: FrameType | None) -> None:
        # Counted here and not where the exception arrives: between the two another signal could come.
        self._heard += 1
        if self._heard > LAST:  # it would take the place of the error that tells where files stand
            return
        if self._heard == LAST - 1:
            _log.warning(
                "%s; Ctrl-C once more stops that in the middle", self._settling or "the restore is being taken back"
            )
            return
        self.pass_on(number, frame)

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """Let the handler of before raise: not a context around this one, which would take the third for its second."""
        handler = self._before[number]
        if isinstance(around := getattr(handler, "__self__", None), Interrupts):
            around.pass_on(number, frame)
        else:
            handler(number, frame)  # type: ignore[operator] # only those that can be called are replaced


class Unfinished(Protocol):
    """A restore that may be neither as before nor as afterwards."""

    @property
    def path(self) -> Path:
        """The file that says what is left to do."""
        ...

    @property
    def unsettled(self) -> bool:
        """Whether anything is left to do."""
        ...

    @property
    def done(self) -> bool:
        """Whether all files are new."""
        ...

    @property
    def untouched(self) -> bool:
        """Whether no live file has changed."""
        ...

    command: str
    """What brings it to its end."""
    bound: bool
    """Whether nothing else does, as its journal lies where others decide."""


class CutOff:
    """Context that tells of an interrupt which ended the end of a restore."""

    def __init__(self, transaction: Unfinished) -> None:
        self._transaction = transaction

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        work = self._transaction
        if isinstance(error, KeyboardInterrupt) and work.unsettled:
            command = work.command if work.bound else recovers(work.path)
            if work.done:
                _log.warning("all files are restored; old ones still lie beside them: `%s` removes those", command)
                return
            repository = "" if work.bound else str(repository_of(work.path))
            raise RestoreCutOff(repository, str(work.path), command, untouched=work.untouched) from error
