"""Spot markets of the fake exchanges, whose prices follow from a counter."""

from __future__ import annotations

from dataclasses import dataclass

Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One spot market under the several names that Kraken gives it."""

    id: str
    altname: str
    wsname: str
    base: str
    quote: str
    decimals: int
    minimum: str
    start: float

    def price(self, tick: int) -> float:
        """Return the price at `tick`: a triangle wave of ±1 % around the start, 200 ticks long."""
        return round(self.start * (0.99 + 0.0002 * abs((tick + 150) % 200 - 100)), self.decimals)

    def pair(self) -> Json:
        """Return the market as AssetPairs shows it."""
        return {
            "altname": self.altname,
            "wsname": self.wsname,
            "aclass_base": "currency",
            "base": self.base,
            "aclass_quote": "currency",
            "quote": self.quote,
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": self.decimals,
            "lot_decimals": 8,
            "lot_multiplier": 1,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [[0, 0.25]],
            "fees_maker": [[0, 0.16]],
            "fee_volume_currency": "ZUSD",
            "ordermin": self.minimum,
            "costmin": "0.5",
            "tick_size": str(10.0**-self.decimals),
            "status": "online",
        }

    def ticker(self, tick: int) -> Json:
        """Return the market as Ticker shows it at `tick`."""
        price, step = self.price(tick), 10.0**-self.decimals
        low, high = f"{self.start * 0.99:.5f}", f"{self.start * 1.01:.5f}"
        return {
            "a": [f"{price + step:.5f}", "1", "1.000"],
            "b": [f"{price - step:.5f}", "1", "1.000"],
            "c": [f"{price:.5f}", "0.01000000"],
            "v": ["1000.00000000", "2000.00000000"],
            "p": [f"{self.start:.5f}", f"{self.start:.5f}"],
            "t": [1000, 2000],
            "l": [low, low],
            "h": [high, high],
            "o": f"{self.start:.5f}",
        }

    def candle(self, number: int, minutes: int) -> list[object]:
        """Return candle `number` since the epoch, as OHLC shows it."""
        opened, closed = self.price(number), self.price(number + 1)
        prices = opened, max(opened, closed), min(opened, closed), closed, (opened + closed) / 2
        return [number * minutes * 60, *(f"{price:.{self.decimals}f}" for price in prices), "10.00000000", 20]


MARKETS = (
    Market(
        id="XXBTZUSD", altname="XBTUSD", wsname="XBT/USD", base="XXBT", quote="ZUSD",
        decimals=1, minimum="0.00005", start=60_000.0,
    ),
    Market(
        id="XETHZUSD", altname="ETHUSD", wsname="ETH/USD", base="XETH", quote="ZUSD",
        decimals=2, minimum="0.002", start=3_000.0,
    ),
)  # fmt: skip

USDT_MARKETS = {"BTC": MARKETS[0], "ETH": MARKETS[1]}
USDT_BALANCES = {"BTC": 10.0, "ETH": 100.0, "USDT": 1_000_000.0}
"""The markets by their base, and the balances, where prices are in USDT."""
