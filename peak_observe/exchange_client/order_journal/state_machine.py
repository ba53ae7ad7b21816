"""Pure state machine of an intent, and the rule by which an order is known to be absent.

`intended → sent → open | closed | refused | unknown`. An order that is known not to stand is `intended` again: nothing
else leads back there, and nothing else may be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peak_observe.exchange_client.order_journal.intent import CLOSED, INTENDED, OPEN, REFUSED, SENT, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSITIONS: Mapping[str, frozenset[str]] = {
    INTENDED: frozenset((SENT, REFUSED)),
    SENT: frozenset((OPEN, CLOSED, REFUSED, UNKNOWN, INTENDED)),
    UNKNOWN: frozenset((OPEN, CLOSED, REFUSED, UNKNOWN, INTENDED)),
    OPEN: frozenset((OPEN, CLOSED)),
    CLOSED: frozenset((CLOSED,)),
    REFUSED: frozenset(),
}

_SETTLED = {"closed": CLOSED, "canceled": CLOSED, "expired": CLOSED, "rejected": REFUSED}


def allowed(state: str, to: str) -> bool:
    """Return whether an intent may go from one state to another."""
    return to in TRANSITIONS[state]


def state_of_order(status: object, filled: object = None) -> str:
    """Return the state of an intent whose order the exchange has shown.

    Args:
        status: ccxt's status of the order; one that is not told is open.
        filled: How much of it was filled: what was rejected after a part was filled is closed.
    """
    state = _SETTLED.get(str(status), OPEN)
    return CLOSED if state == REFUSED and isinstance(filled, int | float) and filled > 0 else state


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time by both clocks of a machine.

    Args:
        wall: Unix time.
        monotonic: Seconds of the monotonic clock.
        boot: Names the start of the machine within which `monotonic` counts; empty where that is unknown.
    """

    wall: float
    monotonic: float
    boot: str = ""

    def since(self, earlier: Moment) -> float:
        """Return the seconds that have surely passed: a clock that was set forward adds none."""
        wall = max(0.0, self.wall - earlier.wall)
        same = self.boot and self.boot == earlier.boot and self.monotonic >= earlier.monotonic
        return min(wall, self.monotonic - earlier.monotonic) if same else wall


@dataclass(frozen=True, slots=True)
class Fence:
    """Rule by which an order of unknown fate is known to be absent.

    A request that is still under way can be carried out until its deadline, and what was carried out shows after a
    delay. Only answers asked for after both count, and one alone may come from a server that is behind.

    Args:
        sent: When the request went out.
        deadline: Seconds after which the exchange does not carry it out any more.
        visibility: Seconds after which it shows each order that it took.
        retention: Seconds for which it shows orders that have ended; absence means nothing after them.
        skew: Seconds that this machine's clock is ahead of the exchange's, if it is.
        answers: How many empty answers are needed.
    """

    sent: Moment
    deadline: float
    visibility: float
    retention: float
    skew: float = 0.0
    answers: int = 2

    def remaining(self, now: Moment) -> float:
        """Return the seconds until an empty answer counts."""
        return max(0.0, self.deadline + self.visibility + max(0.0, self.skew) - now.since(self.sent))

    def proves(self, empty: int, now: Moment) -> bool:
        """Return whether the order is absent.

        Args:
            empty: Number of valid, empty answers that were asked for when nothing remained.
            now: The present.
        """
        return empty >= self.answers and self.remaining(now) <= 0 and not self.expired(now)

    def expired(self, now: Moment) -> bool:
        """Return whether so much time has passed that an order which has ended may not be shown any more."""
        return now.wall - self.sent.wall >= self.retention
