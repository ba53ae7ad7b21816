"""Pure records of the shared state: circuits with era and fencing token, holds, and turns of a rate limit.

Each function takes a record and the engine's present second, and returns the record after it. Nothing here locks,
waits or sends, so both engines and the tests have one meaning of each step. An era counts the transitions of a circuit;
a token counts its probe leases, so that a probe which lost its lease can change nothing (Kleppmann, "How to do
distributed locking", 2016). Turns follow the generic cell rate algorithm (ITU-T I.371, annex A).
"""

from __future__ import annotations

import math
from typing import NamedTuple

CLOSED, OPEN, FORCED_OPEN, DISABLED = "closed", "open", "forced_open", "disabled"
GRANTED, TAKEN, EARLY, UNNEEDED, LATE = "granted", "taken", "early", "unneeded", "late"
"""Answers to the claim of a probe lease."""


class CircuitRecord(NamedTuple):
    """Shared state of one circuit, in seconds of the engine's clock.

    Args:
        era: How many transitions there were.
        state: `closed`, `open`, `forced_open` or `disabled`; an open circuit that is due is half-open.
        due: When an open one may be probed, or a forced state ends; infinity for never.
        token: The number of the last probe lease.
        leased_until: When that lease ends; 0 if there is none.
        by: The process that made the transition.
        reason: Why, in words.
        at: When the transition was made.
    """

    era: int = 0
    state: str = CLOSED
    due: float = 0.0
    token: int = 0
    leased_until: float = 0.0
    by: str = ""
    reason: str = ""
    at: float = 0.0

    def is_closed(self, now: float) -> bool:
        """Return whether it is closed, or was disabled for a time that has passed."""
        return self.state == CLOSED or (self.state == DISABLED and now >= self.due)


class Hold(NamedTuple):
    """Time until which nobody asks an exchange.

    Args:
        until: When it ends, in seconds of the engine's clock.
        reason: What the exchange said.
    """

    until: float
    reason: str = ""


def opened(record: CircuitRecord, now: float, *, era: int, seconds: float, by: str, reason: str) -> CircuitRecord:
    """Open a circuit if it is closed, and its era the one that the caller knows."""
    if not record.is_closed(now) or record.era != era:
        return record
    return CircuitRecord(era + 1, OPEN, now + seconds, record.token, 0.0, by, reason, now)


def claimed(record: CircuitRecord, now: float, *, lease: float, deadline: float) -> tuple[str, CircuitRecord]:
    """Lease the probe of a circuit that is due, unless the claim came too late or somebody else has the lease."""
    if now > deadline:
        return LATE, record
    if record.state in (CLOSED, DISABLED):
        return UNNEEDED, record
    if now < record.due:
        return EARLY, record
    if record.leased_until > now:
        return TAKEN, record
    return GRANTED, record._replace(token=record.token + 1, leased_until=now + lease)


def extended(record: CircuitRecord, now: float, *, token: int, lease: float) -> CircuitRecord:
    """Lengthen a lease that nobody else has taken since."""
    if token != record.token or not record.leased_until:
        return record
    return record._replace(leased_until=now + lease)


def settled(
    record: CircuitRecord, now: float, *, token: int, state: str, seconds: float, by: str, reason: str
) -> CircuitRecord:
    """Close or reopen a circuit by the result of its probe, if the probe's lease is the last one."""
    if token != record.token or not record.leased_until:
        return record
    return CircuitRecord(record.era + 1, state, now + seconds, token, 0.0, by, reason, now)


def overridden(record: CircuitRecord, now: float, *, state: str, seconds: float, by: str, reason: str) -> CircuitRecord:
    """Set the state by hand; a probe that is under way is fenced off."""
    return CircuitRecord(record.era + 1, state, now + seconds, record.token + 1, 0.0, by, reason, now)


def seeded(record: CircuitRecord, remembered: CircuitRecord) -> CircuitRecord:
    """Bring back what a member remembers of a circuit that the engine lost, or knows an older era of."""
    return remembered if remembered.era > record.era else record


def held(hold: Hold | None, now: float, *, seconds: float, reason: str) -> Hold:
    """Hold for some seconds, unless a longer hold is there."""
    return hold if hold is not None and hold.until >= now + seconds else Hold(now + seconds, reason)


def reserved(
    full_at: float, now: float, *, interval: float, burst: float, weight: float, patience: float
) -> tuple[float, float | None]:
    """Reserve a turn of a rate limit.

    Args:
        full_at: When the bucket is full again.
        now: The present second.
        interval: Seconds between two turns of weight 1.
        burst: Weight that may pass at once after a pause.
        weight: The weight of this call.
        patience: Seconds that it would wait at most.

    Returns:
        The seconds until its turn, and when the bucket is full after it; None there if it would not wait so long.
    """
    start = max(full_at, now)
    wait = max(0.0, start - interval * (burst - min(weight, burst)) - now)
    return wait, None if wait > patience else start + interval * weight


def next_nonce(last: int | None, least: int) -> int:
    """Return the nonce after the last one of a key, or a higher one that the caller needs at least."""
    return least if last is None else max(last + 1, least)


def left(until: float, now: float) -> float:
    """Return the seconds that are left; infinity stays."""
    return math.inf if until == math.inf else max(0.0, until - now)
