"""Registry of the living breakers of this process, by name."""

from __future__ import annotations

from peak_observe.measures import BREAKERS
from peak_observe.resilience.breaker.breaker import CircuitBreaker


def breakers() -> list[CircuitBreaker]:
    """Return every breaker that is alive, by name and then by age."""
    found = (breaker for series in BREAKERS.known() for breaker in series.owners())
    return sorted((b for b in found if isinstance(b, CircuitBreaker)), key=lambda breaker: breaker.name)


def of_name(name: str) -> list[CircuitBreaker]:
    """Return the living breakers of a name, oldest first."""
    series = BREAKERS.get(name)
    return [] if series is None else [owner for owner in series.owners() if isinstance(owner, CircuitBreaker)]


def get_breaker(name: str) -> CircuitBreaker:
    """Return the breaker of this name; of several that live, the newest.

    The module in the name of a breaker that has that of its function may be left out, where that is clear.

    Raises:
        KeyError: No living breaker has the name; the message lists those that are near.
    """
    living = breakers()
    for breaker in reversed(living):
        if breaker.name == name:
            return breaker
    ending = [breaker for breaker in living if breaker.name.endswith(f".{name}")]
    if len({breaker.name for breaker in ending}) == 1:
        return ending[-1]
    import difflib

    near = difflib.get_close_matches(name, {breaker.name for breaker in living})
    hint = f"; near: {', '.join(near)}" if near else ""
    raise KeyError(f"no breaker is named {name!r}{hint}")
