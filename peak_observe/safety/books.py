"""Books: pure comparison of what a program believes with what an exchange says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from peak_observe.catalog import DIFFERENCE_KINDS
from peak_observe.support.shown import shown

BALANCE, FOREIGN, MISSING, POSITION = DIFFERENCE_KINDS
ROUNDING = 1e-9
"""Share of an amount by which sums of floats may differ."""

Tolerance = float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between what the program believes and what the exchange says.

    Args:
        kind: `balance`, `foreign_order` (the exchange alone has it), `missing_order` (the program alone has it) or
            `position`.
        what: The currency, the order's id, or the market.
        believed: The program's amount; of an order 0.0 or 1.0.
        actual: The exchange's.
        about: The order in words.
    """

    kind: str
    what: str
    believed: float
    actual: float
    about: str = ""

    def __str__(self) -> str:
        if self.kind == FOREIGN:
            return f"order {self.what} ({self.about}) stands at the exchange, and the program does not know it"
        if self.kind == MISSING:
            return f"order {self.what} is open to the program, and the exchange has no such open order"
        return f"{self.kind} of {self.what} is {self.actual:.12g} at the exchange and {self.believed:.12g} here"


def tolerance_of(tolerance: Tolerance, what: str) -> float:
    """Return the amount by which both may differ."""
    return tolerance.get(what, 0.0) if isinstance(tolerance, Mapping) else tolerance


def compare_balances(
    believed: Mapping[str, float], balance: Mapping[str, Any], tolerance: Tolerance
) -> Iterator[Difference]:
    """Yield the currencies that differ, of those that the program names.

    Args:
        believed: Total amounts by currency.
        balance: ccxt's answer to `fetch_balance`.
        tolerance: Amounts by which both may differ.
    """
    totals = balance.get("total") or {}
    for currency, amount in _mapping("balances", believed).items():
        found = Difference(BALANCE, currency, float(amount), float(totals.get(currency) or 0.0))
        if _differs(found, tolerance):
            yield found


def compare_positions(
    believed: Mapping[str, float], positions: Iterable[Mapping[str, Any]], tolerance: Tolerance
) -> Iterator[Difference]:
    """Yield the markets whose positions differ, also those of which the program does not know.

    Args:
        believed: Contracts by market, below 0 for short.
        positions: ccxt's answer to `fetch_positions`; long and short ones of a market add up.
        tolerance: Contracts by which both may differ.
    """
    actual: dict[str, float] = {}
    for position in positions:
        actual[position["symbol"]] = actual.get(position["symbol"], 0.0) + _signed(position)
    here = _mapping("positions", believed)
    for symbol in sorted({*here, *actual}):
        found = Difference(POSITION, symbol, float(here.get(symbol, 0.0)), actual.get(symbol, 0.0))
        if _differs(found, tolerance):
            yield found


def _signed(position: Mapping[str, Any]) -> float:
    size = float(position.get("contracts") or 0.0)
    side = position.get("side")
    return size if side not in ("long", "short") else abs(size) * (1 if side == "long" else -1)


def compare_orders(believed: Iterable[Any], orders: Iterable[Mapping[str, Any]]) -> Iterator[Difference]:
    """Yield orders that only one side has.

    Args:
        believed: The orders that the program takes for open: ids, client order ids, or orders of ccxt.
        orders: ccxt's answer to `fetch_open_orders`.
    """
    if not isinstance(believed, Iterable) or isinstance(believed, str):
        raise TypeError(f"orders must return the open orders in a list, not {shown(believed)}")
    known = [_names(order) for order in believed]
    named = {name for names in known for name in names}
    standing: set[str] = set()
    for order in orders:
        names = _names(order)
        standing |= {*names}
        if not named.intersection(names):
            yield Difference(FOREIGN, str(order["id"]), 0.0, 1.0, _summary(order))
    for names in known:
        if not standing.intersection(names):
            yield Difference(MISSING, names[0], 1.0, 0.0)


def _mapping(name: str, believed: Any) -> Mapping[str, float]:
    if not isinstance(believed, Mapping):
        raise TypeError(f"{name} must return amounts by name in a mapping, not {shown(believed)}")
    return believed


def _names(order: Any) -> tuple[str, ...]:
    """Return the ids of an order: its own, then its client order id."""
    if isinstance(order, str | int) and not isinstance(order, bool) and order != "":
        return (str(order),)
    found = (order.get("id"), order.get("clientOrderId")) if isinstance(order, Mapping) else ()
    names = tuple(str(name) for name in found if name)
    if not names:
        raise ValueError(f"orders must return ids, client order ids or orders of ccxt, not {shown(order)}")
    return names


def _summary(order: Mapping[str, Any]) -> str:
    parts = (order.get("type"), order.get("side"), order.get("amount"), order.get("symbol"))
    words = " ".join(str(part) for part in parts if part is not None)
    return f"{words} at {order['price']}" if order.get("price") else words


def _differs(found: Difference, tolerance: Tolerance) -> bool:
    slack = tolerance_of(tolerance, found.what) + ROUNDING * max(abs(found.believed), abs(found.actual))
    return not abs(found.actual - found.believed) <= slack  # NaN differs from everything


def agreed(first: Iterable[Difference], second: Iterable[Difference], tolerance: Tolerance) -> tuple[Difference, ...]:
    """Return the differences of the second look that the first one saw, too, and by as much."""
    before = {(found.kind, found.what): found.actual - found.believed for found in first}
    return tuple(
        found
        for found in second
        if (key := (found.kind, found.what)) in before
        and not _differs(Difference(found.kind, found.what, before[key], found.actual - found.believed), tolerance)
    )
