"""Registry of the living breakers of this process, by name."""

from __future__ import annotations

from peak_observe.measures import BREAKERS
from peak_observe.resilience.breaker.breaker import CircuitBreaker


def breakers() -> list[CircuitBreaker]:
    """Return every breaker that is alive, by name and then by age."""
    found = (breaker for series in BREAKERS.known() for breaker in series.owners())
    return sorted((b for b in found if isinstance(b, CircuitBreaker)), key=lambda breaker: breaker.name)


def get_breaker(name: str) -> CircuitBreaker:
    """Return the breaker of this name; of several that live, the newest.

    Raises:
        KeyError: No living breaker has the name; the message lists those that are near.
    """
    living = breakers()
    for breaker in reversed(living):
        if breaker.name == name:
            return breaker
    import difflib

    near = difflib.get_close_matches(name, {breaker.name for breaker in living})
    hint = f"; near: {', '.join(near)}" if near else ""
    raise KeyError(f"no breaker is named {name!r}{hint}")
