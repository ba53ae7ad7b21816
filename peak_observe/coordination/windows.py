"""Pure sliding windows of a shared rate limit: at most so much weight in any stretch of a window's length.

A log of all turns would grow with the limit, and a row of a file cannot. So turns that are close together are one
group, which counts from its last turn: no window ever holds more than its limit, a window has at most `PARTS` + 2
groups, and a turn comes later than in a full log by an eighth of the window at most. Calls at one moment lose nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = 8
"""A group spans one of so many parts of its window."""
ROUNDING = 1e-6
"""Weight by which sums of fractions may be wrong."""


class WindowLog(NamedTuple):
    """Turns of one window, in seconds of whoever keeps it.

    Args:
        start: The first turn of the last group.
        groups: Last turn and weight of each group, in the order of time.
    """

    start: float = 0.0
    groups: tuple[tuple[float, float], ...] = ()


class WindowRequest(NamedTuple):
    """Reservation that a process asks for, with what it knows of its own turns.

    Args:
        windows: Limit and seconds of each window; all of them hold.
        weight: The weight of the call; 0 to tell of turns alone.
        patience: Seconds that it would wait at most.
        delay: Seconds before which the turn must not come, as the limit is paused.
        known: The mark of the logs that the process saw last.
        own: Weight that the process took in each window.
        alone: The part of it that it took while the engine was away.
    """

    windows: tuple[tuple[float, float], ...]
    weight: float
    patience: float
    delay: float = 0.0
    known: str = ""
    own: tuple[float, ...] = ()
    alone: tuple[float, ...] = ()

    def missing(self, marks: Sequence[str | None]) -> list[float]:
        """Return what logs of these marks do not have: all that is its own, where one is not that it knows."""
        told = zip(marks, self.own, self.alone, strict=True)
        return [alone if mark == self.known else own for mark, own, alone in told]


def room_at(log: WindowLog, at: float, *, limit: float, per: float, weight: float) -> float:
    """Return the first moment, `at` or later, at which a window has room for a weight."""
    for last, taken in reversed(log.groups):
        weight += taken
        if weight > limit + ROUNDING:
            return max(at, last + per)
    return at


def noted(log: WindowLog, at: float, *, per: float, weight: float) -> WindowLog:
    """Note a turn, which is not before those that are noted, and forget those that its window has passed over."""
    if weight <= 0:
        return log
    groups = tuple(group for group in log.groups if group[0] > at - per)
    if groups and at < log.start + per / PARTS:
        return WindowLog(log.start, (*groups[:-1], (at, groups[-1][1] + weight)))
    return WindowLog(at, (*groups, (at, weight)))


def next_turn(logs: Sequence[WindowLog], at: float) -> float:
    """Return the moment before which no turn comes: `at`, or that of the last turn."""
    return max(at, *(log.groups[-1][0] if log.groups else at for log in logs))


def used(log: WindowLog, now: float, *, per: float) -> float:
    """Return the weight of the turns that still count in a window."""
    return sum(weight for last, weight in log.groups if last > now - per)


def reserved(
    logs: Sequence[WindowLog], now: float, *, request: WindowRequest, missing: Sequence[float] = ()
) -> tuple[float, bool, tuple[WindowLog, ...]]:
    """Reserve a turn in all windows of a limit.

    Args:
        logs: The log of each window.
        now: The present second.
        request: The reservation.
        missing: Weight to note in each window before, as other turns were taken that the logs do not have.

    Returns:
        The seconds until the turn, whether it is reserved, and the logs after it.
    """
    windows = request.windows
    first = next_turn(logs, now)
    for index, weight in enumerate(missing):
        logs = (*logs[:index], noted(logs[index], first, per=windows[index][1], weight=weight), *logs[index + 1 :])
    at = next_turn(logs, now + request.delay)
    at = max(
        room_at(log, at, limit=limit, per=per, weight=request.weight)
        for log, (limit, per) in zip(logs, windows, strict=True)
    )
    granted = at - now <= request.patience
    if granted:
        logs = [noted(log, at, per=per, weight=request.weight) for log, (_, per) in zip(logs, windows, strict=True)]
    return at - now, granted, tuple(logs)


def reserved_alone(
    logs: Sequence[WindowLog], now: float, *, request: WindowRequest, members: int
) -> tuple[float, bool, tuple[WindowLog, ...]]:
    """Reserve a turn in the part of a process: each limit, divided by the processes that were there last.

    A call that is heavier than the part passes in its turn, and stays in the log for as much longer.
    """
    at = next_turn(logs, now + request.delay)
    for log, (limit, per) in zip(logs, request.windows, strict=True):
        part = limit / members
        at = room_at(log, at, limit=part, per=per, weight=min(request.weight, part))
    granted = at - now <= request.patience
    if granted:
        kept = []
        for log, (limit, per) in zip(logs, request.windows, strict=True):
            longer = per * max(0.0, request.weight * members / limit - 1)
            kept.append(noted(log, at + longer, per=per, weight=request.weight))
        logs = kept
    return at - now, granted, tuple(logs)
