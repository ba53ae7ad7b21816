"""Child process in a session of its own, whose exit code is the one that it had, and that ends with all it started."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

GRACE = 5.0
"""Seconds that a process is waited for after a signal that should end it."""
UNKNOWN = (
    "an exit code that nobody knows, as this program ignores SIGCHLD or waits for all of its children (waitpid(-1))"
)


class ChildProcess(subprocess.Popen[bytes]):
    """`Popen` that does not take an exit code which it cannot get for 0.

    The system gives it to nobody where the program ignores SIGCHLD, and to another thread that waits for all children.
    `is_lost` says that it was so.

    Args:
        words: The program and its arguments.
        options: Those of `Popen`.

    Raises:
        OSError: It cannot be started.
        ValueError: The words or options are none that can be.
    """

    def __init__(self, words: Any, **options: Any) -> None:
        self.is_lost = False
        super().__init__(words, start_new_session=True, **options)

    def why(self) -> str:
        """Return why its end was no success, as `exit code 3`; empty if it was one."""
        if self.is_lost:
            return UNKNOWN
        code = self.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}" if code else ""

    def send(self, number: int) -> str:
        """Send a signal to it and all that it started, and return why that is refused, as by a program of `sudo`."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return ""
        except PermissionError as error:
            return str(error.strerror)
        return ""

    def end(self, grace: float = GRACE) -> str:
        """End what is left of it: first with SIGTERM, then with SIGKILL, at once if Ctrl-C comes meanwhile.

        Args:
            grace: Seconds between both.

        Returns:
            Why it goes on; empty if it has ended.
        """
        refused = ""
        try:
            if grace:
                self.send(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    self.wait(grace)
        finally:
            refused = self.send(signal.SIGKILL)
            # What waits for a disk that is gone does not end by that either, and is not waited for without end.
            with suppress(subprocess.TimeoutExpired):
                self.wait(GRACE)
        return "" if self.returncode is not None else refused or "it does not end"

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        try:
            return os.waitpid(self.pid, wait_flags)
        except ChildProcessError:
            self.is_lost = True
            return self.pid, 1 << 8
