"""How long to wait before the next attempt: pure arithmetic."""

from __future__ import annotations


def delay(attempt: int, *, base: float, cap: float, exponential: bool) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (from 1).

    Exponential delays are `base` times 1, 2, 4, 8 … and never more than `cap`; constant ones are `base` as it is.
    """
    if not exponential:
        return base
    # 2.0 ** 1024 is no float any more; long before that every cap is reached.
    return min(base * 2.0 ** min(attempt - 1, 1000), cap)
