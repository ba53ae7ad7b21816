"""What the names of primitives tell of."""

from __future__ import annotations

from typing import NamedTuple


class NamesOverflowed(NamedTuple):
    """There are too many names of one kind; new ones share the series `_overflow`.

    Args:
        kind: `breaker`, `operation`, `budget`, `bulkhead`, `limiter`, `check`, `repository`, `endpoint` or `exchange`.
        name: The first name that found no place.
        limit: How many names there may be.
    """

    kind: str
    name: str
    limit: int
