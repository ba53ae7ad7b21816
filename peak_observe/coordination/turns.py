"""Reservations of turns in a rate limit that processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.coordination.engine import EngineError
from peak_observe.coordination.names import key_of

if TYPE_CHECKING:
    from typing import Self

    from peak_observe.coordination.session import Session


class SharedTurns:
    """Turns of the rate limit of one name.

    Args:
        session: The session of this process.
        name: The name that the processes share.
        margin: Seconds that are added to the limit's own, so that late and early calls do not meet in one window.
    """

    def __init__(self, session: Session, name: str, margin: float) -> None:
        self.session = session
        self.name = name
        self.margin = margin
        self._shares: dict[str, Self] = {}

    def of_share(self, priority: str) -> Self:
        """Return the turns of a priority class, which are those of all calls where the class is `default`."""
        if priority == "default":
            return self
        found = self._shares.get(priority)
        if found is None:
            name = key_of(f"{self.name} reserve {priority}")
            found = self._shares.setdefault(priority, type(self)(self.session, name, self.margin))
        return found

    def reserve(self, weight: float, patience: float, *, limit: float, per: float, burst: float) -> Turn | None:
        """Reserve a turn, blocking for one `timeout` at most; None where the process has to decide alone."""
        try:
            return Turn(*self.session.ask("reserve", self.name, **self._given(weight, patience, limit, per, burst)))
        except EngineError:
            return None

    async def async_reserve(
        self, weight: float, patience: float, *, limit: float, per: float, burst: float
    ) -> Turn | None:
        """Reserve a turn while other tasks run."""
        given = self._given(weight, patience, limit, per, burst)
        try:
            return Turn(*await self.session.ask_async("reserve", self.name, **given))
        except EngineError:
            return None

    def postpone(self, seconds: float) -> None:
        """Let no turn begin for some seconds, for which the caller does not wait."""
        self.session.post(lambda: self.session.ask_quietly("postpone", self.name, seconds=seconds))

    def pause(self, seconds: float) -> None:
        """Have no process take a turn for some seconds."""
        self.session.hold(f"limit:{self.name}", seconds, "")

    def watch(self, controller: Any) -> None:
        """Pause a controller whenever another process is paused."""
        self.session.watch_hold(controller, f"limit:{self.name}", _pause)

    @staticmethod
    def answer(wait: float, granted: bool) -> Turn:
        """Return the answer of a process that decides alone."""
        return Turn(wait, granted)

    @property
    def members(self) -> int:
        """Number of processes that took part when the engine was last there."""
        return self.session.members

    def waited(self, seconds: float) -> None:
        """Count the time that a call waited."""
        self.session.tally.add_wait(seconds)

    def _given(self, weight: float, patience: float, limit: float, per: float, burst: float) -> dict[str, float]:
        return {"interval": (per + self.margin) / limit, "burst": burst, "weight": weight, "patience": patience}


def _pause(controller: Any, seconds: float, _: str) -> None:
    controller.paused_by_others(seconds)


class Turn:
    """Answer to a reservation.

    Args:
        wait: Seconds until the turn.
        granted: Whether it is reserved; if not, the wait would be longer than the call's patience.
    """

    __slots__ = ("granted", "wait")

    def __init__(self, wait: float, granted: bool) -> None:
        self.wait = wait
        self.granted = granted
