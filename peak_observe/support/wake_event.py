"""Event for threads that no exception of a signal's handler leaves locked.

That of `threading` takes its lock in Python code. A handler that raises in there leaves it held, and whoever sets the
event next waits for ever. This one has no lock: each that waits has a gate of its own.
"""

from __future__ import annotations

import threading
from contextlib import suppress


class WakeEvent:
    """`threading.Event`, which a handler of a signal may also set while the code that it interrupted does."""

    def __init__(self) -> None:
        self._flag = False
        self._gates: list[threading.Lock] = []

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._flag

    def set(self) -> None:
        """Wake all that wait, and let nobody wait from now on."""
        self._flag = True
        for gate in tuple(self._gates):
            with suppress(RuntimeError):  # it is open already
                gate.release()

    def clear(self) -> None:
        """Let those wait that come from now on."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether it is set, at the latest when `timeout` seconds have passed."""
        gate = threading.Lock()
        gate.acquire()
        try:
            self._gates.append(gate)  # before the look at the flag, as who sets it looks at the gates after that
            longest = threading.TIMEOUT_MAX
            return self._flag or gate.acquire(timeout=longest if timeout is None else max(0, min(timeout, longest)))
        finally:
            if gate in self._gates:
                self._gates.remove(gate)
