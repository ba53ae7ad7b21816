"""Time at which this process began."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path

_SINCE_COMMAND = 19  # where /proc/<pid>/stat has the start time, counted behind the command's name


def started() -> float:
    """Return the Unix time at which this process began: each time the same, whatever the clocks do since.

    Without a /proc as Linux has it, that of the first call.
    """
    return _started(os.getpid())


@lru_cache(maxsize=1)
def _started(_: int) -> float:
    try:
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[_SINCE_COMMAND])
        return round(time.time() - since_boot + ticks / os.sysconf("SC_CLK_TCK"), 3)
    except (AttributeError, OSError):
        return round(time.time(), 3)
