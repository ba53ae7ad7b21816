"""Value of an order in the currency that it is paid in."""

from __future__ import annotations

from typing import NamedTuple


class OrderValue(NamedTuple):
    """Value of an order.

    Args:
        currency: In which it is paid.
        value: Amount times price; None where the price is not known.
        amount: The amount, in the market's units, where the price is not known.
        size: What one unit is of.
    """

    currency: str
    value: float | None
    amount: float | None = None
    size: float = 1.0
