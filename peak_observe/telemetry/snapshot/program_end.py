"""End of the program: tell a crash from an orderly end, and write the last snapshot before SIGTERM ends it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from peak_observe.errors import ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_RECORDED = "_peak_observe_recorded"


def recorded(error: BaseException | None) -> None:
    """Mark an exception that a job has recorded as its outcome, so that it is not a crash as well."""
    if error is not None:
        with suppress(AttributeError, TypeError):  # a class of the program may refuse attributes
            setattr(error, _RECORDED, True)


def crashed() -> bool:
    """Return whether an uncaught exception ends this process, as seen from `atexit` or a worker's finalizer."""
    if hasattr(sys, "ps1"):  # the errors of an interactive session do not end it
        return False
    # A worker of multiprocessing runs its finalizers while the exception passes; elsewhere Python has noted it.
    error = sys.exc_info()[1] or getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    orderly = isinstance(error, SystemExit | KeyboardInterrupt | ShuttingDownError | None)
    return not orderly and not hasattr(error, _RECORDED)


def on_sigterm(last_word: Callable[[], object]) -> None:
    """Have something done before SIGTERM ends this process, where the signal has its default disposition.

    Args:
        last_word: Called in a thread of its own; takes a bounded time.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    import signal

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second signal ends the process at once
        # Not here: the code that was interrupted may hold any lock that the last word needs. It goes on meanwhile.
        try:
            threading.Thread(target=_finish, args=(last_word, number), daemon=True).start()
        except RuntimeError:  # the system has no thread to give, or the program is ending
            os.kill(os.getpid(), number)

    with suppress(ValueError):  # a subinterpreter
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, handle)


def _finish(last_word: Callable[[], object], number: int) -> None:
    try:
        last_word()
    finally:
        os.kill(os.getpid(), number)
