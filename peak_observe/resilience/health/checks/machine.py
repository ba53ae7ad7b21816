"""Checks of the machine: disk, memory and clock."""

from __future__ import annotations

import math
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import validation
from peak_observe.resilience.health.formatting import CheckFunction, Outcome, seconds, size

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


def disk_space(
    path: str | os.PathLike[str] = ".",
    *,
    min_free_ratio: float = 0.1,
    min_free_bytes: int = 0,
) -> CheckFunction:
    """Return a check that the file system of `path` has room.

    Args:
        path: Any file or folder on it.
        min_free_ratio: Share that has to be free for this user, from 0 to 1.
        min_free_bytes: Bytes that have to be free as well.

    Raises:
        ValueError: A limit makes no sense.
    """
    validation.check_share("min_free_ratio", min_free_ratio)
    validation.check_bytes("min_free_bytes", min_free_bytes)

    def check() -> Outcome:
        try:
            total, _, free = shutil.disk_usage(path)
        except OSError as error:
            return False, f"{path}: {error.strerror}", {}
        ratio = free / total if total else 0.0
        enough = ratio >= min_free_ratio and free >= min_free_bytes
        return enough, f"{size(free)} ({ratio:.1%}) free", {"free_bytes": free, "total_bytes": total}

    return check


def memory(*, min_available_ratio: float = 0.1, proc: Path = PROC, cgroup: Path = CGROUP) -> CheckFunction:
    """Return a check that memory is available, on the machine and in the container it runs in (Linux).

    Args:
        min_available_ratio: Share that has to be available without swapping, from 0 to 1.
        proc: Where the kernel describes the machine.
        cgroup: Where it describes the container, in the form of cgroup version 2.

    Raises:
        ValueError: The limit makes no sense.
    """
    validation.check_share("min_available_ratio", min_available_ratio)

    def check() -> Outcome:
        available, total = _machine_memory(proc)
        limit, used = _container_memory(cgroup)
        if limit < total:
            available, total = min(available, limit - used), limit
        ratio = max(0, available) / total
        details = {"available_bytes": available, "total_bytes": total}
        return ratio >= min_available_ratio, f"{size(max(0, available))} ({ratio:.1%}) available", details

    return check


def _machine_memory(proc: Path) -> tuple[float, float]:
    lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    found = {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)}
    return found["MemAvailable"], found["MemTotal"]


def _container_memory(cgroup: Path) -> tuple[float, int]:
    """Return limit and use, without what the kernel would drop at once; no limit is infinity."""
    try:
        limit = float((cgroup / "memory.max").read_text(encoding="ascii"))
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return math.inf, 0  # no container, none of version 2, or `max`
    return limit, used - int(stat.get("inactive_file", 0))


def clock_skew(
    reference: Callable[[], datetime | float],
    *,
    max_skew: float = 1.0,
    clock: Clock = SYSTEM_CLOCK,
) -> CheckFunction:
    """Return a check that this machine's clock agrees with another one, for instance an exchange's.

    Half of the time the question took is taken off, as NTP does. An exchange refuses signed requests from a clock that
    is off by more than a few seconds.

    Args:
        reference: Returns the other clock's time: an aware datetime or Unix time in seconds
            (`lambda: kraken.fetch_time() / 1000`).
        max_skew: Seconds they may differ.
        clock: This machine's clock; for tests.

    Raises:
        ValueError: The limit makes no sense.
    """
    validation.check_period("max_skew", max_skew)

    def check() -> Outcome:
        before, started = clock.now().timestamp(), clock.monotonic()
        theirs = reference()
        took = clock.monotonic() - started
        other = theirs.timestamp() if isinstance(theirs, datetime) else float(theirs)
        skew = before + took / 2 - other
        direction = "ahead of" if skew > 0 else "behind"
        message = f"this clock is {seconds(abs(skew))} {direction} the other" if skew else "both clocks agree"
        return abs(skew) <= max_skew, message, {"skew_seconds": round(skew, 3), "round_trip_seconds": round(took, 3)}

    return check
