"""Identity of a process: which life of which pid wrote a file, and whether it still runs."""

from __future__ import annotations

import os
import zlib
from functools import lru_cache
from typing import NamedTuple

from peak_observe.support import posix

PATIENCE = 3  # intervals without a new snapshot, after which doubt means death
_SINCE_COMMAND = 19  # where /proc/<pid>/stat has the start time, counted behind the command's name


class Identity(NamedTuple):
    """Identity of one life of one process.

    Args:
        pid: Its number, in its own namespace.
        start: When it began, in clock ticks since the machine did.
        boot: The machine's boot id.
        namespace: The inode of its pid namespace: in another container the same pid is another process.
        command: A checksum of its command line, by which a process that became another program is known.
    """

    pid: int
    start: int
    boot: str
    namespace: int
    command: int

    def is_life_of(self, other: Identity) -> bool:
        """Return whether both are one life; its command line may have changed."""
        return self[:-1] == other[:-1]


def mine() -> Identity:
    """Return this process's own.

    Raises:
        OSError: There is no /proc as Linux has it.
    """
    start, _ = _stat("self")
    return Identity(os.getpid(), start, boot(), namespace(), _command("self"))


def lives(process: Identity, age: float, interval: float, clock: int = 0) -> bool:
    """Return whether a process lives, where no lock tells.

    Args:
        process: Which one.
        age: Seconds since it last wrote.
        interval: Seconds between its writes; what cannot be seen counts as alive for three of them.
        clock: The inode of its time namespace; 0 where that is not known.
    """
    fresh = age <= PATIENCE * interval
    if not _visible(process, clock):
        return fresh
    try:
        start, state = _stat(process.pid)
        same_program = fresh or _command(process.pid) == process.command
    except (FileNotFoundError, ProcessLookupError):
        return fresh and _hidden(process.pid)
    except (OSError, ValueError):
        return fresh
    return start == process.start and state not in ("Z", "X") and same_program


def is_gone(process: Identity, clock: int = 0) -> bool:
    """Return whether a process has certainly ended; False where that cannot be seen.

    Args:
        process: Which one.
        clock: The inode of its time namespace; 0 where that is not known.
    """
    if not _visible(process, clock):
        return False
    try:
        start, state = _stat(process.pid)
    except (FileNotFoundError, ProcessLookupError):
        return not _hidden(process.pid)
    except (OSError, ValueError):
        return False
    return start != process.start or state in ("Z", "X")


def comparable(process: Identity, clock: int) -> bool:
    """Return whether the clock that does not jump is the same here as for a process."""
    return process.boot == boot() and clock in (0, time_namespace())


def _visible(process: Identity, clock: int) -> bool:
    return process.namespace == namespace() and comparable(process, clock)


def owner(process: Identity) -> int | None:
    """Return the user of a living process; None where that cannot be seen."""
    if process.namespace != namespace():
        return None
    try:
        return os.stat(f"/proc/{process.pid}").st_uid  # noqa: PTH116 - /proc is no place for Path
    except OSError:
        return None


@lru_cache(maxsize=1)
def boot() -> str:
    """Return what is different after each start of the machine.

    Raises:
        OSError: There is no /proc as Linux has it.
    """
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def namespace() -> int:
    """Return the inode of the pid namespace of this process; 0 where there is none."""
    return _namespace_of(os.getpid(), "pid")  # a forked child may be in another one


def time_namespace() -> int:
    """Return the inode of the time namespace of this process; 0 where there is none."""
    return _namespace_of(os.getpid(), "time")


@lru_cache(maxsize=2)
def _namespace_of(_: int, kind: str) -> int:
    try:
        return os.stat(f"/proc/self/ns/{kind}").st_ino  # noqa: PTH116 - as above
    except OSError:
        return 0


def _stat(pid: int | str) -> tuple[int, str]:
    """Return start time and state; the command's name before them may hold blanks and brackets."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[_SINCE_COMMAND]), fields[0].decode()


def _command(pid: int | str) -> int:
    return zlib.crc32(_read(f"/proc/{pid}/cmdline"))


def _hidden(pid: int) -> bool:
    """Return whether a process is there though /proc shows none, as it does for other users' with hidepid."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False  # it would be ours, and seen


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | posix.CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
