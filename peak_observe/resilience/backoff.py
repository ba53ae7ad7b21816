"""How long to wait before the next attempt: pure arithmetic."""

from __future__ import annotations

SHARES = {"full": 1.0, "equal": 0.5}
"""How much of a delay the named kinds of jitter leave to chance."""


def delay(attempt: int, *, base: float, cap: float, exponential: bool) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (from 1).

    Exponential delays are `base` times 1, 2, 4, 8 … and never more than `cap`; constant ones are `base` as it is.
    """
    if not exponential:
        return base
    # 2.0 ** 1024 is no float any more; long before that every cap is reached.
    return min(base * 2.0 ** min(attempt - 1, 1000), cap)


def jittered(delay: float, *, share: float, chance: float) -> float:
    """Return a delay of which a share is left to chance, so that it never grows.

    With a share of 1 this is the full jitter, with 0.5 the equal jitter of AWS's "Exponential Backoff And Jitter".

    Args:
        delay: Seconds.
        share: From 0 to 1.
        chance: From 0 to 1; at 0 the delay stays whole.
    """
    return delay * (1 - share * chance)


def decorrelated(previous: float, *, base: float, cap: float, chance: float) -> float:
    """Return a delay between `base` and three times the one before, and never more than `cap` (the same source).

    Args:
        previous: The seconds of the delay before; 0 if there was none.
        base: The least delay in seconds.
        cap: The most.
        chance: From 0 to 1.
    """
    return min(cap, base + (3 * max(previous, base) - base) * chance)
