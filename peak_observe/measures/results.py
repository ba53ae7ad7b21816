"""Readings of shared calls and of fallbacks; readings of one name add up."""

from __future__ import annotations


class ResultReading:
    """Counts of calls by outcome, of one primitive or of all of a name, at one moment.

    Args:
        calls: The counts, in the order of `catalog.SHARE_OUTCOMES` or `catalog.FALLBACK_OUTCOMES`.
    """

    __slots__ = ("calls",)

    def __init__(self, calls: list[int]) -> None:
        self.calls = calls

    def add(self, other: ResultReading) -> None:
        """Add another reading of the same name."""
        self.calls = [a + b for a, b in zip(self.calls, other.calls, strict=True)]

    def since(self, other: ResultReading) -> tuple[bool, bool, bool]:
        """Return whether calls differ from an earlier reading."""
        return self.calls != other.calls, False, False

    def retire(self) -> None:
        """Keep everything: there are no gauges."""
