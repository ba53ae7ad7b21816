"""Order of the strategies of a policy: the recommended one, and the reasons against others.

The thinking is that of resilience4j, Polly and failsafe-go, which all leave the order to the user and the reasons to
their documents.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.resilience.common.strategy import (
    BREAKER,
    BULKHEAD,
    CHAOS,
    DEADLINE,
    HEDGE,
    RATE_LIMIT,
    RETRY,
    SHARE,
    TIMED,
    TIMEOUT,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECOMMENDED = (TIMED, DEADLINE, SHARE, BULKHEAD, BREAKER, RETRY, HEDGE, RATE_LIMIT, TIMEOUT, CHAOS)
"""From the outside in."""
INSIST = ", or insist with order='as_given'"


class Place(NamedTuple):
    """Place of a strategy in a policy.

    Args:
        kind: What it is.
        seconds: Of a timeout its seconds.
        has_fallback: Whether it has a fallback.
        outside: Of a custom part the kinds that must be inside of it.
        inside: Of a custom part the kinds that must be outside of it.
    """

    kind: str
    seconds: float = 0.0
    has_fallback: bool = False
    outside: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}({self.seconds:g})" if self.seconds else self.kind


# Outside, inside, and why it must not be so.
WRONG = {
    (RATE_LIMIT, RETRY): "each attempt is a call of the service, and only the first one would wait for its turn",
    (RATE_LIMIT, BREAKER): "while the circuit is open, calls would wait for their turn, and use it up, to be refused",
    (BULKHEAD, SHARE): "calls that only wait for a shared one would take places",
    (RATE_LIMIT, SHARE): "calls that only wait for a shared one would use up the rate",
    (BREAKER, SHARE): "one failure of a shared call would count once for each caller",
    (RETRY, SHARE): "each caller would retry by itself what failed once for all",
    (HEDGE, SHARE): "a hedge would only wait for the request that it shall be quicker than",
    (RATE_LIMIT, HEDGE): "each hedge is a call of the service, and only the first request would wait for its turn",
    (RETRY, RETRY): "the attempts of both multiply",
    (HEDGE, RETRY): "a hedge would begin attempts of its own while the first request waits between two of them",
    (HEDGE, HEDGE): "the requests of both multiply",
    (TIMEOUT, BREAKER): (
        "a call that the timeout cancels is not counted by the circuit, which then never learns of calls that hang; "
        "have a timeout inside the circuit_breaker, also where another one stands outside"
    ),
}


def problems(places: Sequence[Place]) -> Iterator[str]:
    """Yield the problems of an order, from the outside in, a sentence each."""
    for (at, outer), (_, inner) in combinations(enumerate(places), 2):
        reason = WRONG.get((outer.kind, inner.kind))
        timed_inside = inner.kind == BREAKER and any(place.kind == TIMEOUT for place in _inside(places, inner, at))
        if reason and not (outer.kind == TIMEOUT and timed_inside):
            yield f"{outer.kind} stands outside {inner.kind}: {reason}"
        if inner.has_fallback and outer.kind in {BREAKER, RETRY}:
            yield (
                f"the fallback of {inner.kind} hides its failures from {outer.kind} outside: give it to the policy, "
                "as Policy(…, fallback=…)"
            )
        if outer.kind == inner.kind == TIMEOUT and inner.seconds >= outer.seconds:
            yield f"the timeout of {inner.seconds:g} s inside that of {outer.seconds:g} s can never be the first to end"
        if inner.kind in outer.inside:
            yield f"{outer.kind} stands outside {inner.kind}, and says that it has to be inside"
        if outer.kind in inner.outside:
            yield f"{inner.kind} stands inside {outer.kind}, and says that it has to be outside"


def _inside(places: Sequence[Place], inner: Place, at: int) -> Sequence[Place]:
    return places[places.index(inner, at) + 1 :]


def check(places: Sequence[Place]) -> None:
    """Raise ValueError for an order that does not make sense; the message says why and names one that does."""
    found = list(dict.fromkeys(problems(places)))
    if not found:
        return
    better = recommended(places)
    mend = f"; write {', '.join(map(str, better))} (outermost first)" if not [*problems(better)] else ""
    raise ValueError(f"{'; '.join(found)}{mend}{INSIST}")


def recommended(places: Sequence[Place]) -> list[Place]:
    """Return the recommended order; of several timeouts the shortest goes inside."""
    timeouts = sorted((place for place in places if place.kind == TIMEOUT), key=lambda place: -place.seconds)
    known = [place for place in places if place.kind in RECOMMENDED and place.kind != TIMEOUT]
    order = [*timeouts[:-1], *sorted([*known, *timeouts[-1:]], key=lambda place: RECOMMENDED.index(place.kind))]
    for index, place in enumerate(places):
        if place.kind not in RECOMMENDED:
            order.insert(_index(place, order, places[index - 1] if index else None), place)
    return order


def _index(custom: Place, order: Sequence[Place], before: Place | None) -> int:
    """Return where a custom part belongs: as it says, or behind the part that it was written behind."""
    inside = [index + 1 for index, place in enumerate(order) if place.kind in custom.inside]
    outside = [index for index, place in enumerate(order) if place.kind in custom.outside]
    if inside or outside:
        return max(inside) if inside else min(outside)
    return order.index(before) + 1 if before in order else 0
