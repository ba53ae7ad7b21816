"""Events of the name tables of primitives."""

from __future__ import annotations

from typing import NamedTuple

from peak_observe.support.shown import record_repr


class NamesOverflowed(NamedTuple):
    """The limit of names of one kind is reached; new names share the series `_overflow`.

    Args:
        kind: `breaker`, `operation`, `budget`, `bulkhead`, `limiter`, `check`, `repository`, `endpoint`,
            `exchange`, `call` or `policy`.
        name: The first name that found no place.
        limit: How many names there may be.
    """

    kind: str
    name: str
    limit: int

    def __repr__(self) -> str:
        return record_repr(self)
