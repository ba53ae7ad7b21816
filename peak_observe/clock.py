"""Clocks: the time source of all primitives, replaceable in tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

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
    # As a static attribute the bound method is the C function itself, which the hot path can feel;
    # as a global of the module, freezegun would replace it.
    _stopwatch = staticmethod(time.perf_counter)

    @staticmethod
    def monotonic() -> float:
        """Return `time.monotonic()`, which is looked up at the call, as tests may have patched it."""
        # Of time-machine, wall-clock time alone is moved: the rest has to follow it.
        if "time_machine" not in sys.modules:
            return time.monotonic()
        travel: Any = sys.modules["time_machine"]
        moved = time.time() - float(travel.escape_hatch.time.time()) if travel.escape_hatch.is_travelling() else 0.0
        return time.monotonic() + moved

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
        """Suspend this task, of asyncio or trio, for `seconds`."""
        from peak_observe.support.async_library import async_sleep  # late: a start does not sleep

        await async_sleep(seconds)


SYSTEM_CLOCK = SystemClock()


def stopwatch_of(clock: Clock) -> Callable[[], float]:
    """Return the quickest function of a clock that measures how long something takes.

    Its seconds begin elsewhere than those of `monotonic()`, and tests that patch time do not move it.
    """
    own = SystemClock._stopwatch  # noqa: SLF001 - of this module, and no part of the public clock
    return own if isinstance(clock, SystemClock) else clock.monotonic
