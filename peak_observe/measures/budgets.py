"""Readings of retry budgets; readings of one name add up."""

from __future__ import annotations


class BudgetReading:
    """Reading of a retry budget, or of all budgets of a name; `tokens` is None when none of the name lives."""

    __slots__ = ("tokens",)

    tokens: float | None

    def add(self, other: BudgetReading) -> None:
        """Take in another reading of the same name."""
        if other.tokens is not None:
            self.tokens = (self.tokens or 0.0) + other.tokens

    def since(self, other: BudgetReading) -> tuple[bool, bool, bool]:
        """Return whether calls, tokens and settings differ from an earlier reading."""
        return False, self.tokens != other.tokens, False

    def retire(self) -> None:
        """Forget what only the living have."""
        self.tokens = None
