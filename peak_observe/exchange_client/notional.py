"""Notional value of an order: amount times price in the currency that it is paid in, as far as the market tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.safety.order_value import OrderValue, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Notional:
    """Values orders by the markets that an exchange object has loaded.

    Args:
        exchange: Returns the ccxt object, None when it is gone.
        prices: The last prices that it saw, by symbol.
    """

    def __init__(self, exchange: Callable[[], Any], prices: Mapping[str, float]) -> None:
        self._exchange = exchange
        self._prices = prices

    def is_contract(self, symbol: Any) -> bool:
        """Return whether a symbol is that of a contract, of which there are positions to reduce."""
        market = self._market(symbol)
        if market is not None:
            return not market.get("spot") or bool(market.get("contract"))
        return isinstance(symbol, str) and ":" in symbol

    def of(self, order: Mapping[str, Any]) -> OrderValue:
        """Return the value of an order; its amount is None where nobody knows the price."""
        symbol = order.get("symbol")
        market = self._market(symbol) or {}
        quote = market.get("settle") or market.get("quote") or _quote(symbol)
        size = market.get("contractSize") or 1.0
        amount, price = number(order.get("amount")), number(order.get("price"))
        cost = number(order.get("cost")) or number((order.get("params") or {}).get("cost"))
        if cost is not None:
            return OrderValue(quote, cost)
        if market.get("inverse"):
            return OrderValue(market.get("quote") or quote, None if amount is None else amount * size)
        price = price or number((order.get("params") or {}).get("triggerPrice")) or self._prices.get(str(symbol))
        return OrderValue(quote, None if amount is None or price is None else amount * size * price, amount, size)

    def _market(self, symbol: Any) -> dict[str, Any] | None:
        markets = getattr(self._exchange(), "markets", None)
        found = markets.get(symbol) if isinstance(markets, dict) and isinstance(symbol, str) else None
        return found if isinstance(found, dict) else None


def _quote(symbol: Any) -> str:
    if not isinstance(symbol, str):
        return ""
    pair, _, settle = symbol.partition(":")
    return settle.partition("-")[0] or pair.partition("/")[2]
