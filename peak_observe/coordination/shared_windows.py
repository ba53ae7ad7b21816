"""Reservations in the windows of a rate limit that processes share, and the memory of this process's own turns."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from peak_observe.coordination import windows
from peak_observe.coordination.engine import EngineError
from peak_observe.coordination.turns import SharedTurns, Turn
from peak_observe.coordination.windows import WindowLog, WindowRequest
from peak_observe.measures import forks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peak_observe.coordination.session import Session

Windows = tuple[tuple[float, float], ...]


class SharedWindows(SharedTurns):
    """Turns in the sliding windows of the rate limit of one name.

    Own turns are remembered as long as they count: while the engine is away they are what this process has used up of
    its part, and an engine that was away, or lost its data, is told of those that it does not know.

    Args:
        session: The session of this process.
        name: The name that the processes share.
        margin: Seconds that are added to each window, so that late and early calls do not meet in one.
    """

    def __init__(self, session: Session, name: str, margin: float) -> None:
        super().__init__(session, name, margin)
        self._lock = threading.RLock()
        self._windows: Windows = ()
        self._own: dict[float, WindowLog] = {}  # by the seconds of the window
        self._alone: dict[float, WindowLog] = {}
        self._mark = ""
        forks.renew(self)
        session.watch_returns(self)

    def reserve_window(self, weight: float, patience: float, *, given: Sequence[Any], delay: float) -> Turn | None:
        """Reserve a turn, blocking for one `timeout` at most; None where the process has to decide alone."""
        request, taken = self._request(weight, patience, given, delay)
        try:
            return self._noted(request, taken, self.session.ask("reserve_window", self.name, request=request))
        except EngineError:
            return None

    async def async_reserve_window(
        self, weight: float, patience: float, *, given: Sequence[Any], delay: float
    ) -> Turn | None:
        """Reserve a turn while other tasks run."""
        request, taken = self._request(weight, patience, given, delay)
        try:
            answer = await self.session.ask_async("reserve_window", self.name, request=request)
        except EngineError:
            return None
        return self._noted(request, taken, answer)

    def reserve_alone(self, weight: float, patience: float, *, given: Sequence[Any], delay: float) -> Turn:
        """Reserve a turn in the part of this process."""
        request, _ = self._request(weight, patience, given, delay)
        with self._lock:
            now, pers = self._now(), [per for _, per in request.windows]
            wait, granted, logs = windows.reserved_alone(
                _logs(self._own, request.windows), now, request=request, members=self.members
            )
            if granted:
                self._own = dict(zip(pers, logs, strict=True))
                self._alone = _with_turn(self._alone, request, now + wait)
        return Turn(wait, granted)

    def bring_back(self) -> None:
        """Tell an engine that was away, or lost its data, of the turns that it does not know."""
        if self._windows:
            request, taken = self._request(0, 0.0, None, 0.0)
            if any(request.own):
                self._noted(request, taken, self.session.ask("reserve_window", self.name, request=request))

    def after_fork(self) -> None:
        """Forget the turns of the parent, which tells of them itself."""
        self._lock = threading.RLock()
        self._own, self._alone = {}, {}

    def _request(
        self, weight: float, patience: float, given: Sequence[Any] | None, delay: float
    ) -> tuple[WindowRequest, dict[float, WindowLog]]:
        with self._lock:
            if given is not None:
                # Of two limits in the same seconds the lower one holds, and both are in one log.
                lowest = {per + self.margin: limit for limit, per in sorted(given, reverse=True)}
                self._windows = tuple((limit, per) for per, limit in lowest.items())
            now, found, taken = self._now(), self._windows, self._alone
            own, alone = (
                tuple(windows.used(log, now, per=per) for log, (_, per) in zip(logs, found, strict=True))
                for logs in (_logs(self._own, found), _logs(taken, found))
            )
            return WindowRequest(found, weight, patience, delay, self._mark, own, alone), taken

    def _noted(self, request: WindowRequest, taken: dict[float, WindowLog], answer: tuple[float, bool, str]) -> Turn:
        wait, granted, mark = answer
        with self._lock:
            self._mark = mark
            if self._alone is taken:  # what was taken alone meanwhile is told the next time
                self._alone = {}
            if granted:
                self._own = _with_turn(self._own, request, self._now() + wait)
        return Turn(wait, granted)

    def _now(self) -> float:
        return self.session.clock.monotonic()


def _logs(kept: dict[float, WindowLog], found: Windows) -> tuple[WindowLog, ...]:
    return tuple(kept.get(per, WindowLog()) for _, per in found)


def _with_turn(kept: dict[float, WindowLog], request: WindowRequest, at: float) -> dict[float, WindowLog]:
    logs = _logs(kept, request.windows)
    at = windows.next_turn(logs, at)
    told = zip(request.windows, logs, strict=True)
    return {**kept, **{per: windows.noted(log, at, per=per, weight=request.weight) for (_, per), log in told}}
