"""Mount points: a file that a container was handed cannot be renamed or replaced, and is without its own folder."""

from __future__ import annotations

import os
import re

_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mount_points() -> frozenset[str]:
    """Return where something is mounted in this process's view (Linux); elsewhere nothing is known."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return frozenset()
    return frozenset(os.fsdecode(_ESCAPE.sub(_byte, line.split(b" ")[4])) for line in lines)


def _byte(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 8)])
