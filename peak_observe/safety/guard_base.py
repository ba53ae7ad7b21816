"""Base of the guards: name, counts, and what happens when a limit is exceeded."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import ConfigError, SharedStateError
from peak_observe.events import GuardTripped
from peak_observe.measures import GUARDS, GuardTally
from peak_observe.observers import emit
from peak_observe.safety.guard_file import GuardFile, GuardFileCorruptError, GuardFileError
from peak_observe.safety.switch_file import HALTED, TRADING
from peak_observe.safety.trading_switch import TradingSwitch
from peak_observe.support.durations import seconds
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

Action = Literal["halt", "reduce_only", "tell"]
ACTIONS = ("halt", "reduce_only", "tell")


class BaseGuard:
    """Guard that trips a trading switch.

    Args:
        trading: The switch.
        kind: Ends the name of its file, and its own if none is given.
        limits: The labels of its limits.
        on_trip: What happens then.
        for_seconds: How long it lasts; until somebody resumes if not given.
        name: Its name.
        clock: Where time comes from.
    """

    def __init__(
        self,
        trading: TradingSwitch,
        kind: str,
        limits: tuple[str, ...],
        *,
        on_trip: Action,
        for_seconds: float | str | None,
        name: str | None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not isinstance(trading, TradingSwitch):
            raise TypeError(f"trading must be a TradingSwitch, not {shown(trading)}")
        if on_trip not in ACTIONS:
            raise ValueError(f"on_trip must be one of {', '.join(ACTIONS)}, not {shown(on_trip)}")
        if for_seconds is not None:
            checked_seconds("for_seconds", for_seconds)  # now, as a trip must not fail
        self.name = f"{trading.name}.{kind}" if name is None else name
        self._switch = trading
        self._clock = clock
        self._action = on_trip
        self._for_seconds = for_seconds
        self._tally = GuardTally(limits)
        self._file = GuardFile(trading.folder / f"{trading.name}.{kind}")
        self._untold: list[GuardTripped] = []
        GUARDS.series(self.name).join(self, self._tally.read)

    def _trip(self, reason: str, message: str) -> None:
        """Count a limit that was exceeded, and do what was asked for then."""
        self._tally.trips[reason] += 1
        # What the file of the switch, or the shared state, does not take is obeyed here, and said in the log.
        with suppress(ConfigError, SharedStateError):
            self._act(f"guard {self.name}: {message}")
        self._untold.append(GuardTripped(self.name, reason, message, self._action, self._clock.now()))

    def _tell(self) -> None:
        """Tell observers of trips, now that no lock is held."""
        while self._untold:
            emit(self._untold.pop(0))

    def _act(self, why: str) -> None:
        by = f"guard {self.name}"
        if self._action == "halt":
            self._switch.halt(why, for_seconds=self._for_seconds, by=by)
        elif self._action == "reduce_only":
            self._switch.reduce_only(why, for_seconds=self._for_seconds, by=by, unless_halted=True)

    def _broken(self, error: GuardFileError) -> None:
        """Trip, as a guard that cannot count must not let anything pass; begin anew where the counts are lost."""
        if isinstance(error, GuardFileCorruptError):
            with suppress(OSError):
                self._file.forget()
        self._trip("unreadable", str(error))

    def _refuse_if_stopped(self) -> None:
        state = self._switch.refresh()
        if state.state == HALTED or (self._action == "reduce_only" and state.state != TRADING):
            raise self._switch.refusal(state)


def checked_seconds(name: str, value: float | str) -> float:
    """Return a time in seconds.

    Raises:
        ValueError: It is no time; the message names the argument.
    """
    try:
        return seconds(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def is_finite(value: object) -> bool:
    """Return whether a value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max


def checked_number(name: str, value: object, *, whole: bool = False) -> None:
    """Raise ValueError unless a limit is a number above 0, or None."""
    fits = is_finite(value) and isinstance(value, int if whole else int | float) and value > 0
    if value is not None and not fits:
        raise ValueError(f"{name} must be a {'whole ' if whole else ''}number above 0, not {shown(value)}")


def least(ratios: Iterator[float]) -> float:
    """Return the least headroom, from 0 to 1."""
    return min(1.0, max(0.0, min(ratios, default=1.0)))
