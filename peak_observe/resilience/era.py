"""One stay of a circuit in one state, the permits that are given in it, and the step from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from weakref import ref


class Change(NamedTuple):
    """A change of state: indices of the states, the monotonic second in which it happened, and why."""

    old: int
    new: int
    at: float
    reason: str


class Era:
    """One stay in one state, with all that ends with it: to enter a state is one store, which nothing can tear.

    Args:
        state: Which.
        since: The second in which it began.
        pause: Seconds after which what follows by itself follows.
        seconds: Seconds spent in each state before.
        entered: How often each state was entered.

    Attributes:
        quick: Seconds below which a success of this era changes nothing, so that nobody needs to tell the circuit.
        probes: The permits of probes.
        successes: Probes that succeeded.
    """

    __slots__ = ("entered", "pause", "probes", "quick", "seconds", "since", "state", "successes")

    def __init__(self, state: int, since: float, pause: float, seconds: list[float], entered: list[int]) -> None:
        self.state = state
        self.since = since
        self.pause = pause
        self.seconds = seconds
        self.entered = entered
        self.quick = -1.0
        self.probes: list[ref[Permit]] = []
        self.successes = 0

    def seconds_at(self, now: float) -> list[float]:
        """Return the seconds spent in each state until now."""
        seconds = self.seconds.copy()
        seconds[self.state] += max(0.0, now - self.since)
        return seconds


class Permit:
    """What lets one call through, held by the call alone; a probe's is good until a second of the monotonic clock."""

    __slots__ = ("__weakref__", "era", "until")

    def __init__(self, era: Era, until: float) -> None:
        self.era = era
        self.until = until
