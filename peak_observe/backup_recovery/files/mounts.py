"""Mount points: a file that a container was handed cannot be renamed or replaced, and is without its own folder."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class _Mount(NamedTuple):
    """One line of `mountinfo`: the path `root` of the file system `device` is at `point`."""

    above: bytes
    device: bytes
    root: str
    point: str


def mount_points() -> frozenset[str]:
    """Return where something is mounted in this process's view (Linux); elsewhere nothing is known."""
    return frozenset(mount.point for mount in _mounts().values())


def mounted_from_elsewhere() -> frozenset[str]:
    """Return the mount points without those of files and folders that are mounted onto themselves, in their folder."""
    mounts = _mounts()
    return frozenset(mount.point for mount in mounts.values() if not _is_itself(mount, mounts.get(mount.above)))


def _is_itself(mount: _Mount, above: _Mount | None) -> bool:
    if above is None or above.device != mount.device:
        return False
    return mount.root == above.root.rstrip("/") + mount.point[len(above.point.rstrip("/")) :]


def _mounts() -> dict[bytes, _Mount]:
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = [line.split(b" ") for line in file.read().splitlines()]
    except OSError:
        return {}
    return {line[0]: _Mount(line[1], line[2], *map(_path, line[3:5])) for line in lines}


def _path(text: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(_byte, text))


def _byte(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 8)])
