"""What can go wrong at each call of a run."""

import errno
from collections.abc import Iterator
from pathlib import Path

from faulty import layer
from faulty.layer import Call, Fault

FAULTS = ("kill", "power", "interrupt", "again", "short", "error")
ERRORS = ("ENOSPC", "EIO", "EACCES", "EDQUOT")
LINK_ERRORS = ("EMLINK", "EXDEV", "EPERM")


class Point:
    """One call of one run, with what happens there.

    Args:
        call: The call.
        name: What happens, in words.
        fault: What happens.
        raises: Exceptions that the run may then end with.
    """

    def __init__(self, call: Call, name: str, fault: Fault, *raises: str) -> None:
        self.call = call
        self.name = name
        self.fault = fault
        self.raises = set(raises)

    def __str__(self) -> str:
        return f"{self.name} at {self.call}"


def points(calls: list[Call], root: Path, fault: str) -> Iterator[Point]:
    """Yield everything of one kind that can go wrong in a run."""
    for call in calls:
        if fault == "kill" and call.changes:
            yield Point(call, "kill before", layer.kill_before)
            yield Point(call, "kill after", layer.kill_after)
        if fault == "power" and call.changes:
            yield Point(call, "power cut", layer.power_cut(root))
        if fault == "interrupt":
            yield Point(call, "interrupt", layer.interrupt, "KeyboardInterrupt")
        if fault == "again":
            # The second one comes now at once, now when the undo is well under way.
            again = layer.interrupt_twice(1 + call.number % 13)
            yield Point(call, "interrupt twice", again, "KeyboardInterrupt")
        if fault == "short" and call.name in ("write", "pwrite"):
            yield Point(call, "short write", layer.short)
        for name in _errors(call) if fault == "error" else ():
            yield Point(call, name, layer.fails(getattr(errno, name)))


def _errors(call: Call) -> tuple[str, ...]:
    """Return the errors that a call may report; several of a kind take turns."""
    if call.name == "link":
        return LINK_ERRORS
    if call.name in ("flock", "lockf", "lseek"):
        return ()
    return (ERRORS[call.number % len(ERRORS)] if call.changes else ("EIO", "EACCES")[call.number % 2],)
