"""Clocks: the time source of all primitives, replaceable in tests."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Protocol

LONGEST_SLEEP = 3.2e9
"""Seconds of a century: the operating system refuses to sleep much longer."""


class Clock(Protocol):
    """Protocol of a time source: monotonic time, wall time and sleep."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        ...

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread for `seconds`."""
        ...

    async def async_sleep(self, seconds: float) -> None:
        """Suspend this task for `seconds`."""
        ...


class SystemClock:
    """Clock of the operating system."""

    # perf_counter is monotonic and system-wide on every platform, and on Windows far finer than time.monotonic.
    # As a static attribute the bound method is the C function itself, which the hot path can feel.
    monotonic = staticmethod(time.perf_counter)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Block this thread for `seconds`; `time.sleep` is looked up at the call, as tests may have patched it."""
        time.sleep(min(seconds, LONGEST_SLEEP))

    @staticmethod
    def now() -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        from datetime import UTC, datetime  # late: a start has no need of it

        return datetime.now(UTC)

    @staticmethod
    async def async_sleep(seconds: float) -> None:
        """Suspend this task for `seconds`."""
        import asyncio

        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
