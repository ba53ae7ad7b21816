"""Value of an order in the currency that it is paid in."""

from __future__ import annotations

import math
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


def number(value: object) -> float | None:
    """Return an amount or price, which ccxt takes as text, too; None for what is no number, and for none."""
    try:
        found = None if value is None or isinstance(value, bool) else float(value)  # type: ignore[arg-type] # what is no number raises
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found is not None and math.isfinite(found) else None
